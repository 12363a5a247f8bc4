"""Which of an issuer's keys prove a token, and with which algorithm."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.oidc.hostile import DISCOVERY, RemoteIssuer, Server
from tests.oidc.place import EMAIL, NOW, Fixed, Place, ignore
from touchplate.errors import RefusedError
from touchplate.oidc import Authenticator, Issuer, OwnIssuer, base64url
from touchplate.oidc.discovery import Discovery
from touchplate.oidc.jwk import encode_jwk


def test_duplicate_key_id(place: Place) -> None:
    """Of several keys with one id each is tried, and nothing else."""
    token = place.mint()
    mine = json.loads(place.issuer.own.jwks())["keys"][0]
    others = [json.loads(RemoteIssuer(place.server).own.jwks())["keys"][0] for _ in range(2)]
    place.issuer.publish({"keys": [{**each, "kid": mine["kid"]} for each in others] + [mine]})
    assert place.authenticate(token).san.value == EMAIL
    place.issuer.publish({"keys": [{**each, "kid": mine["kid"]} for each in others]})
    place.now += 700
    with pytest.raises(RefusedError):
        place.authenticate(token)


RSA = rsa.generate_private_key(65537, 2048)


def rsa_jwk(**changes: str) -> dict[str, str]:
    """Publish the RSA key."""
    numbers = RSA.public_key().public_numbers()
    n = base64url.encode(numbers.n.to_bytes(256, "big"))
    return {"kty": "RSA", "kid": "r", "n": n, "e": "AQAB", **changes}


EC_KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
EC_JWK = {name: value for name, value in encode_jwk("r", "ES256", EC_KEY).items() if name != "alg"}


def compact(header: dict[str, object], issuer: str, sign: Any) -> str:
    """Make a token whose signature `sign` makes."""
    claims = {
        "iss": issuer,
        "aud": "sigstore",
        "sub": "x",
        "exp": int(NOW.timestamp()) + 60,
        "email": EMAIL,
        "email_verified": True,
    }
    message = ".".join(base64url.encode(json.dumps(part).encode()) for part in (header, claims))
    return f"{message}.{base64url.encode(sign(message.encode()))}"


def by_rsa(message: bytes) -> bytes:
    """Sign as RS256 does."""
    return RSA.sign(message, padding.PKCS1v15(), hashes.SHA256())


def by_hmac_with_public_key(message: bytes) -> bytes:
    """Sign with the public key as if it were a secret."""
    key = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    made = hmac.HMAC(key, hashes.SHA256())
    made.update(message)
    return made.finalize()


@pytest.mark.slow
def test_default_algorithm(place: Place) -> None:
    """An issuer that does not say what it signs with signs with RS256."""
    token = compact({"alg": "RS256", "kid": "r"}, place.issuer.url, by_rsa)
    for listed in (None, [], ["none", "HS256"], "RS256"):
        place.issuer.publish({"keys": [rsa_jwk()]}, id_token_signing_alg_values_supported=listed)
        place.now += 700
        assert place.authenticate(token).san.value == EMAIL


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "listed", "jwk", "sign"),
    [
        ("none", ["none", "RS256"], rsa_jwk(), lambda _: b""),
        ("None", ["None", "RS256"], rsa_jwk(), lambda _: b""),
        ("HS256", ["HS256", "RS256"], rsa_jwk(), by_hmac_with_public_key),
        ("HS256", ["HS256"], rsa_jwk(alg="HS256"), by_hmac_with_public_key),
        ("RS256", ["ES256"], rsa_jwk(), by_rsa),
        ("RS256", ["RS256"], rsa_jwk(alg="PS256"), by_rsa),
        ("RS256", ["RS256"], rsa_jwk(alg="RS512"), by_rsa),
        ("RS256", ["RS256"], rsa_jwk(use="enc"), by_rsa),
        ("PS256", ["RS256", "PS256"], rsa_jwk(), by_rsa),
        ("ES256", ["RS256", "ES256"], rsa_jwk(), by_rsa),
        ("RS384", ["RS256"], rsa_jwk(), by_rsa),
        ("RS256", ["RS256"], EC_JWK, by_rsa),
    ],
)
def test_key_confusion(
    place: Place, algorithm: str, listed: list[str], jwk: Any, sign: Any
) -> None:
    """The issuer chooses algorithms, and the key's kind must fit; a token chooses nothing."""
    place.issuer.publish({"keys": [jwk]}, id_token_signing_alg_values_supported=listed)
    with pytest.raises(RefusedError):
        place.authenticate(compact({"alg": algorithm, "kid": "r"}, place.issuer.url, sign))


def test_google_without_scheme() -> None:
    """Google's tokens may leave out the scheme, where the table has that name."""
    google, now = "https://accounts.google.com", 1000.0
    issuer = RemoteIssuer(Server(1))
    own = OwnIssuer(google, issuer.signer)
    answers = {f"{google}{DISCOVERY}": own.discovery(), f"{google}/jwks": own.jwks()}
    discovery = Discovery(lambda: now, ignore, open_transport=lambda _: Fixed(answers))
    short = OwnIssuer("accounts.google.com", issuer.signer).mint(EMAIL, NOW)
    rows = [Issuer(google), Issuer(google, key="accounts.google.com")]
    table = Authenticator(rows, discover=discovery.keys_of)

    assert table.authenticate(own.mint(EMAIL, NOW), NOW).issuer == google
    assert table.authenticate(short, NOW).issuer == "accounts.google.com"
    with pytest.raises(RefusedError):
        Authenticator(rows[:1], discover=discovery.keys_of).authenticate(short, NOW)
