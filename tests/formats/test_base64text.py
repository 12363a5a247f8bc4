from base64 import b64encode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.formats.base64text import base64_text, parse_any_base64, parse_base64


@given(st.binary(max_size=50))
def test_round_trip(data: bytes) -> None:
    """Bytes come back from the standard form, and from each form of protobuf JSON."""
    standard, urlsafe = b64encode(data).decode(), urlsafe_b64encode(data).decode()
    assert base64_text(data) == standard
    assert parse_base64(standard) == data
    for text in (standard, urlsafe, standard.rstrip("="), urlsafe.rstrip("=")):
        assert parse_any_base64(text) == data


@pytest.mark.parametrize(
    "text",
    ["YWJj=", "YWJj==", "YWJj====", "YQ===", "YQ=", "=", "====", "Y", "YWJjZ", "YQ==YQ==", "Y Q=",
     "YQ==\n", "\nYQ==", "YW=j", "é", "\ud800", "YQ\x00="],
)  # fmt: skip
def test_refused(text: str) -> None:
    """Other characters, wrong padding and padding too much are refused on every Python."""
    with pytest.raises(ValueError, match=r".+"):
        parse_base64(text)
    with pytest.raises(ValueError, match=r".+"):
        parse_any_base64(text)


@pytest.mark.parametrize("text", ["YQ", "-_8=", "-_8"])
def test_forms_of_protobuf_only(text: str) -> None:
    """What only protobuf JSON allows is not standard base64."""
    parse_any_base64(text)
    with pytest.raises(ValueError, match=r".+"):
        parse_base64(text)


@given(st.text(max_size=20))
def test_garbage(text: str) -> None:
    """A text that is read has the length that its bytes have."""
    try:
        data = parse_base64(text)
    except ValueError:
        return
    assert len(base64_text(data)) == len(text)
