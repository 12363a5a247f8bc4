"""What the gRPC services of all roles share; the calls themselves are tested with the roles."""

import pytest

from touchplate.transport.grpc import address_of


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:50051", "192.0.2.1"),
        ("ipv6:%5B::1%5D:50051", "::1"),
        ("ipv6:[2001:db8::1]:443", "2001:db8::1"),
        ("unix:/run/a.sock", "unix:/run/a.sock"),
        ("", ""),
    ],
)
def test_address(peer: str, address: str) -> None:
    """The address of a call, without its port."""
    assert address_of(peer) == address
