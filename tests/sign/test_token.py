from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import MalformedError, RefusedError, VerificationError
from touchplate.sign.token import Expected, check_names, read_token
from touchplate.testing import World
from touchplate.verify.verdict import Verdict

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LATER = int((NOW + timedelta(minutes=5)).timestamp())
ISSUER = "https://login.example.test"


def token(**claims: object) -> str:
    """Write an unsigned token: the client never checks signatures of tokens."""
    parts = ({"alg": "none"}, {"iss": ISSUER, "exp": LATER, **claims})
    encoded = [urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join((*encoded, "c2ln"))


def test_email() -> None:
    """The issuer and the address must come back in the certificate."""
    read = read_token(token(email="a@example.com"), NOW)
    assert (read.issuer, read.email) == (ISSUER, "a@example.com")


def test_federated() -> None:
    """Behind a federation the certificate names the issuer that it asked."""
    read = read_token(token(federated_claims={"connector_id": "https://github.com"}), NOW)
    assert (read.issuer, read.email) == ("https://github.com", None)


@pytest.mark.parametrize(
    "claims", [{"exp": LATER - 300}, {"exp": None}, {"exp": True}, {"exp": "9"}, {"exp": 1e30}]
)
def test_expiry(claims: dict[str, object]) -> None:
    """A token that has expired, or that says nothing of it, is not sent anywhere."""
    with pytest.raises(RefusedError) as caught:
        read_token(token(**claims), NOW)
    assert caught.value.code == "TOKEN_REFUSED"


@pytest.mark.parametrize("text", ["", "a", "a.b", "a.b.c", "..", "a.b.c.d", "." * 100_000])
def test_malformed(text: str) -> None:
    """What is no token is malformed; dots in the millions are counted, not split."""
    with pytest.raises(MalformedError) as caught:
        read_token(text, NOW)
    assert caught.value.code == "TOKEN_MALFORMED"


@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    """Whatever is given as a token, a typed error comes of it, which does not quote it."""
    with pytest.raises((MalformedError, RefusedError)) as caught:
        read_token(text, NOW)
    assert len(text) < 8 or text not in str(caught.value)


@pytest.fixture(scope="module")
def verdict() -> Verdict:
    """Give the verdict on a bundle by a@example.com."""
    with World() as world:
        from touchplate.verify import Artifact

        return world.signer("a@example.com").sign(Artifact.from_bytes(b"")).verdict


def test_names(verdict: Verdict) -> None:
    """A certificate for whom the token names gives its identity."""
    assert verdict.certificate is not None
    issuer = verdict.issuer or ""
    expected = Expected(issuer, "a@example.com", NOW)
    assert check_names(verdict.certificate, expected) == "a@example.com"


@pytest.mark.parametrize(
    ("issuer", "email", "code"),
    [
        ("https://other.example.test", "a@example.com", "ISSUER_MISMATCH"),
        (None, "b@example.com", "IDENTITY_MISMATCH"),
        (None, None, "IDENTITY_MISMATCH"),
        (None, "A@example.com", "IDENTITY_MISMATCH"),
    ],
)
def test_other_names(verdict: Verdict, issuer: str | None, email: str | None, code: str) -> None:
    """A certificate for somebody else, or by another issuer, is not signed with."""
    assert verdict.certificate is not None
    expected = Expected(issuer or verdict.issuer or "", email, NOW)
    with pytest.raises(VerificationError) as caught:
        check_names(verdict.certificate, expected)
    assert caught.value.code == code
