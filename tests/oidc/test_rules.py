"""What a deployment asks of identities beyond upstream's file, and how they logged in."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import RefusedError
from touchplate.keys.signer import generate
from touchplate.oidc import Authenticator, OwnIssuer, base64url
from touchplate.oidc.identity import Identity
from touchplate.oidc.issuer import token_key_id
from touchplate.oidc.rules import IssuerRule, matches

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OWN = OwnIssuer("https://idp.example.com", generate())


def token(**claims: object) -> str:
    """Sign claims as our own issuer does."""
    values = {
        "iss": OWN.url,
        "aud": "sigstore",
        "sub": "x",
        "exp": int(NOW.timestamp()) + 60,
        "email": "dev@example.com",
        "email_verified": True,
        **claims,
    }
    header = {"alg": "ES256", "kid": token_key_id(OWN.signer.public_key)}
    message = ".".join(base64url.encode(json.dumps(part).encode()) for part in (header, values))
    der = OWN.signer.sign(message.encode())
    r, s = decode_dss_signature(der)
    return f"{message}.{base64url.encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def identify(*rules: IssuerRule, **claims: object) -> Identity:
    """Prove a token under rules."""
    return Authenticator([OWN.as_issuer()], rules=rules).authenticate(token(**claims), NOW)


def test_login() -> None:
    """The identity carries how the issuer says that they logged in, as it said it."""
    identity = identify(amr=["pwd", "otp", "mfa"], acr="urn:example:2")
    assert identity.amr == ("pwd", "otp", "mfa")
    assert identity.acr == "urn:example:2"


@pytest.mark.parametrize(
    "amr",
    [None, "mfa", {"mfa": True}, ["mfa", 5], ["mfa", ""], ["mfa"] * 17, [["mfa"]], ["m\n"], True],
)
def test_unknown_is_not_yes(amr: Any) -> None:
    """What is not a list of words says nothing, and cannot meet a rule."""
    assert identify(amr=amr).amr == ()
    with pytest.raises(RefusedError):
        identify(IssuerRule(OWN.url, require_amr=("mfa",)), amr=amr)


@pytest.mark.parametrize("acr", [None, 2, ["2"], "", "x" * 257, "a\x00"])
def test_unknown_class(acr: Any) -> None:
    """The same for the class of the login."""
    assert identify(acr=acr).acr == ""
    with pytest.raises(RefusedError):
        identify(IssuerRule(OWN.url, require_acr=("2", "x")), acr=acr)


@pytest.mark.parametrize(
    ("rule", "is_allowed"),
    [
        (IssuerRule(OWN.url), True),
        (IssuerRule(OWN.url, require_acr=("1", "2")), True),
        (IssuerRule(OWN.url, require_acr=("1",)), False),
        (IssuerRule(OWN.url, require_amr=("otp",)), True),
        (IssuerRule(OWN.url, require_amr=("otp", "pwd")), True),
        (IssuerRule(OWN.url, require_amr=("otp", "hwk")), False),
        (IssuerRule(OWN.url, allowed_subjects=("*@example.org", "dev@example.com")), True),
        (IssuerRule(OWN.url, allowed_subjects=("*@example.org",)), False),
        (IssuerRule(OWN.url, ("1",), ("otp",), ("*",)), False),
        (IssuerRule("https://other.example", require_acr=("1",)), True),
    ],
)
def test_rule(rule: IssuerRule, is_allowed: bool) -> None:
    """All members of a rule must hold, for the tokens of its issuer."""
    try:
        identify(rule, amr=["pwd", "otp"], acr="2")
    except RefusedError as error:
        assert not is_allowed
        assert error.code == "TOKEN_REFUSED"  # noqa: PT017
    else:
        assert is_allowed


def test_two_rules() -> None:
    """Several rules for one issuer must all hold."""
    rules = (IssuerRule(OWN.url, require_amr=("otp",)), IssuerRule(OWN.url, require_acr=("1",)))
    with pytest.raises(RefusedError):
        identify(*rules, amr=["otp"], acr="2")


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("*@example.com", "dev@example.com", True),
        ("*@example.com", "dev@example.com.evil.org", False),
        ("*@example.com", "dev@EXAMPLE.com", False),
        ("*@example.com", "dev@example.com\n", False),
        ("https://github.com/acme/*", "https://github.com/acme/a/b@refs/heads/x", True),
        ("https://github.com/acme/*", "https://github.com/acmeevil/a", False),
        ("https://github.com/acme/*", "x https://github.com/acme/a", False),
        ("a.c", "abc", False),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("a**b", "ab", True),
        ("*b*", "abc", True),
        ("*b*", "ac", False),
        ("ab*ba", "aba", False),
        ("", "", True),
        ("", "a", False),
        ("[a]?", "a1", False),
    ],
)
def test_glob(pattern: str, text: str, expected: bool) -> None:
    """A pattern is for the whole name; only the star is special, and case matters."""
    assert matches(pattern, text) == expected


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_glob_as_expression(pattern: str, text: str) -> None:
    """It is what the expression is, without its time."""
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert matches(pattern, text) == (re.fullmatch(expression, text, re.DOTALL) is not None)


def test_glob_time() -> None:
    """Many stars do not take long."""
    assert not matches("a*" * 500 + "b", "a" * 2000)
