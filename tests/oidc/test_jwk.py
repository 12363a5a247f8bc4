"""Key sets of issuers: what is read, what is passed over, what is refused."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from touchplate.errors import MalformedError
from touchplate.oidc.jwk import MAX_JWKS, MAX_KEYS, encode_jwk, parse_jwks

KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
# RFC 7517 appendix A.1
RSA = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJ"
    "ECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368"
    "QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2"
    "NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}
# RFC 8037 appendix A.2
OKP = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}


def test_published_keys() -> None:
    """The keys of RFC 7517 and RFC 8037, and one of our own, are read."""
    document = json.dumps({"keys": [RSA, OKP, encode_jwk("k", "ES256", KEY)]}).encode()
    found = parse_jwks(document)

    assert [key.key_id for key in found] == ["2011-04-29", None, "k"]
    assert found[2].key == KEY


@pytest.mark.parametrize(
    "changes",
    [
        {"use": "enc"},
        {"alg": "HS256"},
        {"alg": 7},
        {"kid": 7},
        {"kty": "oct"},
        {"kty": None},
        {"n": "AQAB"},
        {"n": "A" * 3000},
        {"n": 3},
        {"e": "_____________w"},
        {"e": "=="},
    ],
)
def test_passed_over(changes: dict[str, object]) -> None:
    """A key of another use or kind is no error and is not used."""
    assert parse_jwks(json.dumps({"keys": [RSA | changes]}).encode()) == ()


def test_point_off_the_curve() -> None:
    """An elliptic curve point that is not on its curve is no key."""
    jwk = encode_jwk("k", "ES256", KEY)

    assert parse_jwks(json.dumps({"keys": [jwk | {"x": jwk["y"]}]}).encode()) == ()


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b"{" * 100,
        b" " * (MAX_JWKS + 1),
        json.dumps({"keys": [OKP] * (MAX_KEYS + 1)}).encode(),
    ],
)
def test_malformed(document: bytes) -> None:
    """A document that is no key set, or too large, is refused."""
    with pytest.raises(MalformedError):
        parse_jwks(document)
