"""Which clients take gzip."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.transport.content_coding import accepts_gzip, gzip_encode


@pytest.mark.parametrize(
    "header",
    [
        "gzip",
        "GZIP",
        "x-gzip",
        "gzip, identity",
        "identity;q=0.5, gzip;q=0.5",
        "gzip, deflate, br, zstd",
        "br;q=1.0, gzip;q=0.8, *;q=0.1",
        "*",
        "*;q=0.001",
        "gzip;q=1.000",
        "gzip ; q=1",
        "deflate ,gzip",
        "gzip;Q=0.3",
        "identity;q=0, *",
    ],
)
def test_accepted(header: str) -> None:
    """Gzip is named, or anything goes, and plain bytes are not liked better."""
    assert accepts_gzip(header)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "identity",
        "deflate, br",
        "gzip;q=0",
        "gzip;q=0.0",
        "gzip;q=0.000",
        "gzip;q=0, *",
        "*;q=0",
        "gzipped",
        "identity, gzip;q=0.5",
        "gzip;q=2",
        "gzip;q=-1",
        "gzip;q=0.0001",
        "gzip;q=one",
        "gzip;q",
        "gzip;level=9",
    ],
)
def test_not_accepted(header: str) -> None:
    """Gzip is not named, refused, liked less than plain bytes, or the header is none."""
    assert not accepts_gzip(header)


def test_many_codings() -> None:
    """Only the first 32 codings are looked at."""
    assert accepts_gzip("br," * 31 + "gzip")
    assert not accepts_gzip("br," * 32 + "gzip")


@given(st.text(max_size=100))
def test_any_header(header: str) -> None:
    """No header is an error."""
    assert accepts_gzip(header) in (True, False)


@given(st.binary(max_size=2000))
def test_round_trip(data: bytes) -> None:
    """What is packed is unpacked, and packed again the same."""
    assert gzip.decompress(gzip_encode(data)) == data
    assert gzip_encode(data) == gzip_encode(data)
