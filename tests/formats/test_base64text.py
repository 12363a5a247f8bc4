from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.verify.certificates import new_key, spki
from touchplate.entries.body import read_base64
from touchplate.entries.pem import parse_pem
from touchplate.errors import TouchplateError
from touchplate.formats.base64text import base64_text, parse_any_base64, parse_base64
from touchplate.formats.certificate import parse_pem_certificates
from touchplate.formats.ct import parse_add_chain
from touchplate.formats.jsontext import Fields
from touchplate.formats.timestamp_request import parse_json_request
from touchplate.keys.public import load_public_key, load_public_key_pem
from touchplate.oidc import base64url


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


@pytest.mark.parametrize("excess", ["=", "==", "===="])
def test_every_reader_refuses_excess(excess: str) -> None:
    """What reads base64 anywhere refuses padding after a complete group, on every Python."""
    key = load_public_key(spki(new_key("p384", 5201)))  # 120 bytes: without padding of its own
    pem = key.pem().replace("\n-----END", excess + "\n-----END")
    tail = excess.encode()
    fields = Fields({"member": "YWJj" + excess}, error="ENTRY_MALFORMED")
    readers: tuple[Callable[[], object], ...] = (
        lambda: load_public_key_pem(pem),
        lambda: parse_pem(pem.encode(), error="ENTRY_MALFORMED"),
        lambda: parse_pem_certificates(pem.replace("PUBLIC KEY", "CERTIFICATE")),
        lambda: read_base64(fields, "member"),
        lambda: fields.bytes("member"),
        lambda: parse_add_chain(b'{"chain":["YWJj%b"]}' % tail),
        lambda: parse_json_request(b'{"artifactHash":"YWJj%b","hashAlgorithm":"sha256"}' % tail),
        lambda: base64url.decode("YWJj" + excess),
    )
    assert load_public_key_pem(key.pem()) == key
    for read in readers:
        with pytest.raises((TouchplateError, ValueError), match=r".+"):
            read()


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
