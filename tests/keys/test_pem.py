"""PEM text: what the library writes, whatever the size."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from touchplate.keys.pem import encode_pem


@pytest.mark.parametrize("size", [*range(1, 200), 1439, 1440, 1441, 70_000])
def test_lines(size: int) -> None:
    """Each line but the last has 64 columns, none is empty, and all of them are the bytes."""
    der = bytes(number * 7 % 251 for number in range(size))
    text = encode_pem("ANY THING", der)
    first, *lines, last, after = text.split(b"\n")
    assert (first, last, after) == (b"-----BEGIN ANY THING-----", b"-----END ANY THING-----", b"")
    assert {len(line) for line in lines[:-1]} <= {64}
    assert 0 < len(lines[-1]) <= 64
    assert base64.b64decode(b"".join(lines)) == der


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_as_the_library(curve: ec.EllipticCurve) -> None:
    """A key is written as the library writes it."""
    key = ec.generate_private_key(curve).public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert encode_pem("PUBLIC KEY", der) == key.public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
