"""PEM: one form out, several in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.entries.pem import parse_pem
from touchplate.errors import MalformedError
from touchplate.keys.pem import encode_pem

BLOCKS = st.lists(
    st.tuples(st.sampled_from(["CERTIFICATE", "PUBLIC KEY"]), st.binary(min_size=1, max_size=200)),
    min_size=1,
    max_size=10,
)


@given(BLOCKS)
def test_round_trip(blocks: list[tuple[str, bytes]]) -> None:
    """What is written is read back, block by block."""
    text = b"".join(encode_pem(label, der) for label, der in blocks)
    assert parse_pem(text, error="REQUEST_MALFORMED") == tuple(blocks)


def test_headers() -> None:
    """Header lines before the base64 are dropped."""
    plain = encode_pem("CERTIFICATE", b"abc")
    text = plain.replace(b"-----\nYW", b"-----\nSubject: a\nIssuer: b\n\nYW")
    assert text != plain
    assert parse_pem(text, error="REQUEST_MALFORMED") == (("CERTIFICATE", b"abc"),)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" \n",
        b"no block",
        b"-----BEGIN X-----\nYWJj\n",
        b"-----BEGIN X-----\nYWJj\n-----END Y-----\n",
        b"-----BEGIN X-----\nY*Jj\n-----END X-----\n",
        b"-----BEGIN X-----\n-----END X-----\n",
        encode_pem("CERTIFICATE", b"abc") + b"more",
        encode_pem("CERTIFICATE", b"abc") * 11,
        b"-----BEGIN \xc3\xa9-----\nYWJj\n-----END \xc3\xa9-----\n",
    ],
)
def test_malformed(text: bytes) -> None:
    """Text that is not whole blocks is refused; eleven blocks are too many."""
    with pytest.raises(MalformedError):
        parse_pem(text, error="REQUEST_MALFORMED")


@given(st.binary(max_size=300))
def test_garbage(text: bytes) -> None:
    """Any bytes are read or refused."""
    try:
        parse_pem(b"-----BEGIN " + text, error="REQUEST_MALFORMED")
    except MalformedError:
        return
