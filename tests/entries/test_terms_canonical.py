"""The short way to the terms of an entry: whatever it takes, the long way reads the same."""

import json
from base64 import b64encode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.entries.worked import VECTORS
from tests.index.bodies import certificate, email, spki, uri
from touchplate.entries.hashedrekord_v002 import encode_body
from touchplate.entries.terms import read_any, terms
from touchplate.entries.terms_canonical import read_canonical
from touchplate.keys.algorithms import ALGORITHMS, Algorithm

BODY = (VECTORS / "hashedrekord_v002" / "body.json").read_bytes()
NAMES = (email("Dev@example.com"), uri("https://example.com/flow"), email("Dev@example.com"))
CERTIFICATE = certificate(NAMES, {1: "https://i", 8: "https://i", 20: "push"})
HASHING = [algorithm for algorithm in ALGORITHMS if algorithm.hash is not None]


@given(
    algorithm=st.sampled_from(HASHING),
    digest=st.binary(max_size=64),
    signature=st.binary(max_size=80),
    verifier=st.sampled_from((CERTIFICATE, spki("key"))) | st.binary(max_size=300),
    is_certificate=st.booleans(),
)
@example(algorithm=HASHING[0], digest=b"", signature=b"", verifier=b"", is_certificate=True)
def test_what_a_log_writes(
    algorithm: Algorithm, digest: bytes, signature: bytes, verifier: bytes, *, is_certificate: bool
) -> None:
    """Every body that a log writes goes the short way, and gives what the long way does."""
    body = encode_body(algorithm, digest, signature, verifier, is_certificate=is_certificate)

    assert read_canonical(body) == read_any(body) == terms(body)


def test_real_body() -> None:
    """The worked example goes the short way."""
    assert read_canonical(BODY) == read_any(BODY)


@given(st.data())
def test_changed_bytes(data: st.DataObject) -> None:
    """A body with changed bytes gives what the long way does, whichever way it goes."""
    raw = bytearray(BODY)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(raw) - 1))
        new = data.draw(st.binary(max_size=2) | st.sampled_from((b'"', b"\\", b"=", b"A", b"%b")))
        raw[place : place + data.draw(st.integers(0, 2))] = new
    body = bytes(raw)

    assert terms(body) == read_any(body)


def changed(place: str, value: str) -> bytes:
    """Give the body with one of its values replaced, as it stands in the text."""
    spec = json.loads(BODY)["spec"]["hashedRekordV002"]
    verifier = spec["signature"]["verifier"]
    (kind,) = verifier.keys() - {"keyDetails"}
    old = {
        "algorithm": spec["data"]["algorithm"],
        "digest": spec["data"]["digest"],
        "signature": spec["signature"]["content"],
        "keyDetails": verifier["keyDetails"],
        "kind": kind,
        "verifier": verifier[kind]["rawBytes"],
    }[place]
    assert BODY.count(f'"{old}"'.encode()) == 1
    return BODY.replace(f'"{old}"'.encode(), f'"{value}"'.encode())


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("algorithm", "SHA3_256"),
        ("algorithm", "SHA2_256\\u0000"),
        ("digest", "AAAA\\n"),
        ("digest", "AAA"),
        ("signature", "\\u0041AAA"),
        ("signature", "\\"),
        ("signature", "\x01"),
        ("keyDetails", "\\u0050KIX_ECDSA_P256_SHA_256"),
        ("keyDetails", "\x01"),
        ("keyDetails", "é"),
        ("kind", "other"),
        ("verifier", "QUI="),
        ("verifier", "QUJ="),  # decodes to the same, and is not what an encoder writes
        ("verifier", b64encode(spki("x")).decode() + "===="),
        ("verifier", "%b"),
    ],
)
def test_other_values(place: str, value: str) -> None:
    """A value that a log would not write there leads to the same terms as the long way."""
    body = changed(place, value)

    assert terms(body) == read_any(body)
