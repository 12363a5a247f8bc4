"""Compact tokens: limits, algorithms, audience and times."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import MalformedError, RefusedError
from touchplate.oidc import base64url
from touchplate.oidc.jwk import ALGORITHMS, JsonWebKey
from touchplate.oidc.keys import IssuerKeys
from touchplate.oidc.tokens import MAX_TOKEN, Claims, check_token, parse_token

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEYS = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
}
ED_KEY = ed25519.Ed25519PrivateKey.generate()
HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def sign(algorithm: str, message: bytes) -> bytes:
    """Sign as a JWS does."""
    if algorithm == "EdDSA":
        return ED_KEY.sign(message)
    digest = HASHES[algorithm[2:]]
    if algorithm.startswith("ES"):
        key = EC_KEYS[algorithm]
        size = (key.curve.key_size + 7) // 8
        r, s = decode_dss_signature(key.sign(message, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
    return RSA_KEY.sign(message, padding.PKCS1v15() if algorithm[0] == "R" else pss, digest)


def key_of(algorithm: str) -> Any:
    """Give the public key that goes with the algorithm."""
    if algorithm == "EdDSA":
        return ED_KEY.public_key()
    return (EC_KEYS.get(algorithm) or RSA_KEY).public_key()


def part(value: object) -> str:
    """Encode one part of a token."""
    return base64url.encode(json.dumps(value).encode())


def claims(**changes: object) -> dict[str, object]:
    """Give good claims with changes; None takes a claim out."""
    found = {
        "iss": "https://idp.example.com",
        "aud": "sigstore",
        "sub": "user-42",
        "exp": int(NOW.timestamp()) + 300,
        **changes,
    }
    return {name: value for name, value in found.items() if value is not None}


def token(
    algorithm: str = "ES256", header: dict[str, object] | None = None, **changes: object
) -> str:
    """Sign a token."""
    message = f"{part(header or {'alg': algorithm, 'kid': 'k1'})}.{part(claims(**changes))}"
    return f"{message}.{base64url.encode(sign(algorithm, message.encode()))}"


def check(
    text: str, algorithm: str = "ES256", keys: tuple[JsonWebKey, ...] = (), at: datetime = NOW
) -> Claims:
    """Check a token of an issuer that signs with one algorithm."""
    keys = keys or (JsonWebKey("k1", None, key_of(algorithm)),)
    return check_token(
        parse_token(text),
        audience="sigstore",
        find_keys=lambda _: IssuerKeys((algorithm,), keys),
        at=at,
    )


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_each_algorithm(algorithm: str) -> None:
    """A token signed with an algorithm of the table proves its claims."""
    found = check(token(algorithm), algorithm)

    assert found.issuer == "https://idp.example.com"
    assert found.subject == "user-42"


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_flipped_bit(algorithm: str) -> None:
    """A changed signature proves nothing."""
    head, body, tail = token(algorithm).split(".")
    raw = bytearray(base64url.decode(tail))
    raw[7] ^= 1
    with pytest.raises(RefusedError) as caught:
        check(f"{head}.{body}.{base64url.encode(bytes(raw))}", algorithm)

    assert caught.value.code == "TOKEN_REFUSED"


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS256", "ES384", "es256", "", "PS256"])
def test_algorithm_not_of_the_issuer(algorithm: str) -> None:
    """The token does not choose its algorithm: only what its issuer uses is accepted."""
    with pytest.raises(RefusedError):
        check(token(header={"alg": algorithm, "kid": "k1"}))


@pytest.mark.parametrize("algorithm", ["none", "HS256", "HS512"])
def test_never_symmetric(algorithm: str) -> None:
    """`none` and HMAC are refused even if an issuer's document lists them."""
    text = token(header={"alg": algorithm, "kid": "k1"})
    with pytest.raises(RefusedError):
        check_token(
            parse_token(text),
            audience="sigstore",
            find_keys=lambda _: IssuerKeys(
                (algorithm,), (JsonWebKey("k1", None, key_of("ES256")),)
            ),
            at=NOW,
        )


def test_key_is_bound_to_its_algorithm() -> None:
    """An RSA key that is published for PS256 does not check RS256."""
    with pytest.raises(RefusedError):
        check(token("RS256"), "RS256", (JsonWebKey("k1", "PS256", key_of("RS256")),))


def test_key_is_picked_by_id() -> None:
    """A token that names a key is checked with that key only; one that names none with all."""
    other = JsonWebKey("k2", None, key_of("ES256"))
    with pytest.raises(RefusedError):
        check(token(), keys=(other,))

    assert check(token(header={"alg": "ES256"}), keys=(other,)).subject == "user-42"


@pytest.mark.parametrize("audience", ["sigstore", ["x", "sigstore"]])
def test_audience(audience: object) -> None:
    """The audience is a text or a list that holds it."""
    assert check(token(aud=audience)).subject == "user-42"


@pytest.mark.parametrize("audience", [None, "", "sigstore2", ["x"], [], {"sigstore": 1}, 7])
def test_other_audience(audience: object) -> None:
    """A token for somebody else is refused."""
    with pytest.raises(RefusedError):
        check(token(aud=audience))


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({"exp": NOW.timestamp()}, True),
        ({"exp": NOW.timestamp() - 1}, False),
        ({"exp": None}, False),
        ({"exp": "1893456000"}, False),
        ({"exp": True}, False),
        ({"nbf": NOW.timestamp() + 300}, True),
        ({"nbf": NOW.timestamp() + 301}, False),
        ({"nbf": "soon"}, False),
        ({"iat": NOW.timestamp() + 9000}, True),
        ({"sub": None}, False),
        ({"sub": ""}, False),
        ({"sub": 42}, False),
    ],
)
def test_times_and_subject(changes: dict[str, object], holds: bool) -> None:
    """Expiry has no leeway, not-before five minutes, the issue time is not looked at."""
    text = token("ES256", None, **changes)
    if holds:
        assert check(text).subject == "user-42"
    else:
        with pytest.raises(RefusedError):
            check(text)


GOOD = token()
DUPLICATE = b'{"iss":"a","iss":"b"}'
BAD_TOKENS = [
    "",
    "..",
    "." * 1_000_000,
    "a.b",
    GOOD + ".x",
    GOOD + "=",
    GOOD.replace(".", "\n.", 1),
    "é.é.é",
    "x" * (MAX_TOKEN + 1),
    f"{part([])}.{part({})}.",
    f"{part({'alg': 'ES256'})}.{part([])}.",
    f"{part({'alg': 'ES256'})}.{part({'iss': 7})}.",
    f"{part({'alg': 'ES256', 'kid': 7})}.{part({'iss': 'x'})}.",
    f"{part({'alg': 'ES256', 'crit': ['exp']})}.{part({'iss': 'x'})}.",
    f"{part({'alg': 'ES256'})}.{base64url.encode(b'[' * 5000)}.",
    f"{part({'alg': 'ES256'})}.{base64url.encode(DUPLICATE)}.",
]


@pytest.mark.parametrize("text", BAD_TOKENS, ids=range(len(BAD_TOKENS)))
def test_malformed(text: str) -> None:
    """What is no compact JWT within the limits is refused before any key is touched."""
    with pytest.raises(MalformedError) as caught:
        parse_token(text)

    assert caught.value.code in {"TOKEN_MALFORMED", "LIMIT_EXCEEDED"}


def test_cve_2025_66506_token_of_dots() -> None:
    """Millions of dots are counted, not split."""
    with pytest.raises(MalformedError):
        parse_token("." * 10_000_000)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
def test_any_text(text: str) -> None:
    """Any text is a token or malformed, nothing else."""
    for candidate in (
        text,
        f"{text}.{text}.{text}",
        f"{part({'alg': text})}.{part({'iss': text})}.",
    ):
        try:
            parse_token(candidate)
        except MalformedError:
            continue


BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(st.integers(0, len(GOOD) - 1), st.sampled_from(BASE64URL + ".=+ \n"))
def test_changed_character(place: int, character: str) -> None:
    """With any one character changed a token says the same or is refused."""
    changed = GOOD[:place] + character + GOOD[place + 1 :]
    try:
        found = check(changed)
    except (MalformedError, RefusedError):
        return
    assert found == check(GOOD)


@given(st.integers(0, len(GOOD)))
def test_cut_token(size: int) -> None:
    """A token that is cut short is refused."""
    if size < len(GOOD):
        with pytest.raises((MalformedError, RefusedError)):
            check(GOOD[:size])
