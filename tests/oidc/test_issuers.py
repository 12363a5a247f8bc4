"""The table of issuers, the identity types, and our own issuer."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from touchplate.errors import RefusedError, SettingsError
from touchplate.keys.signer import generate
from touchplate.oidc import Authenticator, Issuer, OwnIssuer, mint_token
from touchplate.oidc.identity import IDENTITY_TYPES, SubjectName, TypeSettings, is_email
from touchplate.oidc.jwk import parse_jwks
from touchplate.oidc.keys import IssuerKeys, OwnKeys
from touchplate.oidc.tokens import Claims

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
URL = "https://idp.example.com"
OWN = OwnIssuer(URL, generate())


def identify(kind: str, settings: TypeSettings | None = None, **values: object) -> SubjectName:
    """Give the name that claims become."""
    claims = Claims(URL, str(values.get("sub", "user-42")), values)
    return IDENTITY_TYPES[kind].identify(claims, settings or TypeSettings()).san


def test_own_token() -> None:
    """A token of our own issuer proves the email address that the operator vouched for."""
    identity = Authenticator([OWN.as_issuer()]).authenticate(OWN.mint("dev@example.com", NOW), NOW)

    assert identity.issuer == URL
    assert identity.san == SubjectName("email", "dev@example.com")
    assert identity.challenge == "dev@example.com"


def test_published_keys_prove_it() -> None:
    """What discovery and key set publish is enough to check a token, as others do."""
    discovery = json.loads(OWN.discovery())
    issuer = Issuer(
        discovery["issuer"],
        OwnKeys(
            lambda: IssuerKeys(
                tuple(discovery["id_token_signing_alg_values_supported"]), parse_jwks(OWN.jwks())
            )
        ),
    )

    assert discovery["jwks_uri"] == f"{URL}/jwks"
    assert Authenticator([issuer]).authenticate(OWN.mint("a@example.com", NOW), NOW).challenge


def test_expired_token() -> None:
    """A minted token ends with its lifetime."""
    text = OWN.mint("dev@example.com", NOW, timedelta(minutes=1))
    with pytest.raises(RefusedError):
        Authenticator([OWN.as_issuer()]).authenticate(text, NOW + timedelta(seconds=61))


def test_retired_key() -> None:
    """After rotation tokens of the earlier key hold; those of an unknown key do not."""
    rotated = OwnIssuer(URL, generate(), retired=(OWN.signer.public_key,))
    text = OWN.mint("dev@example.com", NOW)

    assert Authenticator([rotated.as_issuer()]).authenticate(text, NOW).subject
    with pytest.raises(RefusedError):
        Authenticator([OwnIssuer(URL, generate()).as_issuer()]).authenticate(text, NOW)


@pytest.mark.parametrize(
    "url",
    [
        URL + "/",
        URL + ".evil.example",
        "https://idp.example.co",
        "https://evil.example/" + URL,
        "https://evil.example/?" + URL,
        "https://idpxexample.com",
    ],
)
def test_cve_2026_22772_unknown_issuer(url: str) -> None:
    """An issuer is matched byte for byte, and as a whole."""
    text = mint_token(OWN.signer, url, "dev@example.com", now=NOW)
    with pytest.raises(RefusedError):
        Authenticator([OWN.as_issuer()]).authenticate(text, NOW)


@pytest.mark.parametrize(
    ("email", "lifetime"),
    [("nobody", 60), ("", 60), ("a@b", 60), ("a@example.com", 0), ("a@example.com", 90_000)],
)
def test_mint_refuses(email: str, lifetime: int) -> None:
    """Nothing is minted for what is no address, or for longer than a day."""
    with pytest.raises(SettingsError):
        OWN.mint(email, NOW, timedelta(seconds=lifetime))


@pytest.mark.parametrize(
    "email",
    ["dev@example.com", "a.b+c@x-y.example.co", '"a b"@example.com', "D@Example.COM", "ü@ex.de"],
)
def test_addresses(email: str) -> None:
    """An address is taken verbatim, without folding its case."""
    assert identify("email", email=email, email_verified=True) == SubjectName("email", email)


@pytest.mark.parametrize(
    "email",
    [
        "",
        "a",
        "a@b",
        "@example.com",
        "a@@example.com",
        "a b@example.com",
        "a@example.c0m@x.de",
        "a@-x.de",
        "a@x-.de",
        "a@example.com\n",
        "a@ex\x00.de",
        "a@x.1com",
        "a.@example.com",
        "a@" + "x" * 64 + ".de",
        "a" * 250 + "@x.de",
        "(c)a@example.com",
    ],
)
def test_no_addresses(email: str) -> None:
    """What is no address becomes no identity."""
    assert not is_email(email)
    with pytest.raises(RefusedError):
        identify("email", email=email, email_verified=True)


@pytest.mark.parametrize("value", [True, "true", "True"])
def test_verified(value: object) -> None:
    """The issuer may say true as a text."""
    assert identify("email", email="a@example.com", email_verified=value).value


@pytest.mark.parametrize("value", [None, False, "false", "False", "TRUE", 1, 0, "", "yes", [True]])
def test_not_verified(value: object) -> None:
    """Unknown is never taken for yes."""
    values = {} if value is None else {"email_verified": value}
    with pytest.raises(RefusedError):
        identify("email", None, email="a@example.com", **values)


@pytest.mark.parametrize(("value", "holds"), [(None, True), (False, True), ("maybe", False)])
def test_verification_skipped(value: object, holds: bool) -> None:
    """Where the operator skips it, a missing or false claim passes, nonsense does not."""
    values = {} if value is None else {"email_verified": value}
    settings = TypeSettings(skip_email_verification=True)
    if holds:
        assert identify("email", settings, email="a@example.com", **values).value
    else:
        with pytest.raises(RefusedError):
            identify("email", settings, email="a@example.com", **values)


@pytest.mark.parametrize("uri", ["https://ci.example.com/a/b", "https://ci.example.com:8443/x?y#z"])
def test_uri(uri: str) -> None:
    """A URI in the subject domain is taken verbatim; port and path are free."""
    assert identify("uri", TypeSettings("https://ci.example.com"), sub=uri).value == uri


@pytest.mark.parametrize(
    "uri",
    [
        "http://ci.example.com/a",
        "https://evil.example/a",
        "https://ci.example.com.evil.example",
        "https://ci.example.com@evil.example/",
        "https://ci.example.com\\@evil.example",
        "ci",
        "",
        "https://ci.example.com/\n",
        "https://ci.ex\tample.com/",
        "https://[",
        "a@example.com",
        "https://ci.example.com/ü",
        "https://ci.example.com/" + "a" * 3000,
    ],
)
def test_other_uri(uri: str) -> None:
    """A URI of another scheme or host, or one that parsers read in two ways, is refused."""
    with pytest.raises(RefusedError):
        identify("uri", TypeSettings("https://ci.example.com"), sub=uri)


def issuer(url: str = URL, **changes: str) -> Issuer:
    """Give a row of the table."""
    return Issuer(url, OwnKeys(lambda: IssuerKeys((), ())), **changes)  # type: ignore[arg-type]  # changed texts only


@pytest.mark.parametrize(
    "table",
    [
        [issuer(), issuer()],
        [issuer("idp.example.com")],
        [issuer("ftp://idp.example.com")],
        [issuer(audience="")],
        [issuer(type="carrier-pigeon")],
        [issuer(type="uri")],
        [issuer(type="uri", subject_domain="ci.example.com")],
        [issuer(type="uri", subject_domain="http://ci.example.com")],
        [issuer(type="uri", subject_domain="https://ci.example.org")],
    ],
)
def test_table_refused(table: list[Issuer]) -> None:
    """A table that contradicts itself stops the start."""
    with pytest.raises(SettingsError) as caught:
        Authenticator(table)

    assert caught.value.code == "SETTINGS_INVALID"


def test_table_with_uri() -> None:
    """An issuer may speak for hosts of its own domain."""
    row = issuer(type="uri", subject_domain="https://ci.example.com")

    assert Authenticator([row]).issuers[0].challenge_claim == "sub"
