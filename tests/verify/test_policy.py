"""Who may have signed: every policy changes a verdict, and none accepts what it does not name."""

from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from tests.verify.certificates import NOW, new_key, raw, spki, utf8
from tests.verify.mint import ISSUER, NAME, Mint
from touchplate.errors import MalformedError, PolicyError, RefusedError
from touchplate.formats.authentication import EXTENSION, encode_authentication
from touchplate.formats.extensions import EXTENSIONS
from touchplate.keys.public import load_public_key
from touchplate.verify import (
    Policy,
    all_of,
    any_of,
    extension,
    glob,
    identity,
    key,
    predicate_type,
    require_mfa,
)
from touchplate.verify.policy import Signed, require_signer

WORKFLOW = "https://github.com/example/project/.github/workflows/release.yml@refs/tags/v1"
SDA = ObjectIdentifier(EXTENSION)
GITHUB = "https://token.actions.githubusercontent.com"
TYPE = "https://example.test/p/v1"
VALUES = {row.number: f"value of {row.name}" for row in EXTENSIONS if row.number not in {1, 8}}


@pytest.fixture(scope="module")
def signed(mint: Mint) -> Signed:
    """Give a proven signer: a workflow with every extension, and a statement."""
    extra = [(raw if number < 8 else utf8)(number, text) for number, text in VALUES.items()]
    leaf = mint.leaf(name=WORKFLOW, issuer=GITHUB, extra=extra)
    verdict = mint.verify(mint.bundle("v2-dsse", leaf=leaf), policy=identity(WORKFLOW, GITHUB))
    return Signed(verdict.key, verdict.certificate, verdict.statement, verdict.times)


def code_of(policy: Policy, signed: Signed) -> str | None:
    """Give the code with which a policy turns the signer away; None if it does not."""
    try:
        policy.check(signed)
    except PolicyError as error:
        return error.code
    return None


@pytest.mark.parametrize(
    ("name", "issuer", "code"),
    [
        (WORKFLOW, GITHUB, None),
        (WORKFLOW, f"{GITHUB}/", "ISSUER_MISMATCH"),
        (WORKFLOW, GITHUB.upper(), "ISSUER_MISMATCH"),
        (WORKFLOW.upper(), GITHUB, "IDENTITY_MISMATCH"),
        (WORKFLOW[:-1], GITHUB, "IDENTITY_MISMATCH"),
        (f"{WORKFLOW} ", GITHUB, "IDENTITY_MISMATCH"),
        ("https://github.com/*", GITHUB, "IDENTITY_MISMATCH"),
        (NAME, ISSUER, "IDENTITY_MISMATCH"),
    ],
)
def test_identity(signed: Signed, name: str, issuer: str, code: str | None) -> None:
    """An identity and its issuer are compared letter by letter."""
    assert code_of(identity(name, issuer), signed) == code


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("https://github.com/example/*", True),
        ("*@refs/tags/v1", True),
        ("https://github.com/*/.github/workflows/release.yml@refs/tags/*", True),
        ("https://github.com/example/project/.github/workflows/release.yml@refs/tags/v1*", True),
        ("https://*project*release.yml*", True),
        (WORKFLOW, True),
        ("github.com/example/*", False),
        ("https://github.com/example", False),
        ("https://github.com/example/*/v2", False),
        ("https://github.com/example/*.yml", False),
        ("https://github.com/ex?mple/*", False),
        ("https://github.com/[e]xample/*", False),
        ("https://github.com/.*", False),
        ("*release.yml*project*", False),
        ("*h*", True),
        (f"{WORKFLOW[:30]}*{WORKFLOW[29:]}", False),
    ],
)
def test_glob(signed: Signed, pattern: str, matches: bool) -> None:
    """A pattern is for the whole name, and nothing but the star is special."""
    expected = None if matches else "IDENTITY_MISMATCH"
    assert code_of(glob(pattern, GITHUB), signed) == expected


def test_glob_needs_its_issuer(signed: Signed) -> None:
    """The issuer is exact beside a pattern too."""
    assert code_of(glob("https://*", "https://*"), signed) == "ISSUER_MISMATCH"


@given(st.lists(st.text("ab*", max_size=4), max_size=4), st.text("ab", max_size=12))
def test_glob_is_the_regular_expression(parts: list[str], name: str) -> None:
    """A pattern matches what the same pattern does as an anchored regular expression."""
    import re

    from touchplate.verify.policy import _matches

    pattern = "*".join(parts)
    expression = ".*".join(re.escape(part) for part in pattern.split("*"))
    assert _matches(pattern, name) == bool(re.fullmatch(expression, name, re.DOTALL))


def test_each_extension(signed: Signed) -> None:
    """Each extension's value is compared; another value, or another extension's, is refused."""
    for number, text in VALUES.items():
        row = next(row for row in EXTENSIONS if row.number == number)
        assert code_of(extension(row.name, text), signed) is None
        assert code_of(extension(row.name, f"{text}."), signed) == "EXTENSION_MISMATCH"
    assert code_of(extension("issuer", GITHUB), signed) is None
    assert code_of(extension("issuer", ISSUER), signed) == "ISSUER_MISMATCH"


def test_absent_extension(mint: Mint) -> None:
    """An extension that the certificate has not got matches nothing."""
    bare = Signed(mint.leaf().certificate.public_key, mint.leaf().certificate, None, ())

    assert code_of(extension("sourceRepositoryUri", "x"), bare) == "EXTENSION_MISMATCH"


def test_old_issuer_extension(mint: Mint) -> None:
    """The first issuer extension counts where the second is missing, and not beside it."""
    old = mint.leaf(drop=["issuer2"]).certificate
    both = mint.leaf(drop=["issuer1"], extra=[raw(1, "https://evil.example.test")]).certificate
    none = mint.leaf(drop=["issuer1", "issuer2"]).certificate

    for certificate, code in ((old, None), (both, None), (none, "ISSUER_MISMATCH")):
        assert (
            code_of(identity(NAME, ISSUER), Signed(certificate.public_key, certificate, None, ()))
            == code
        )


def test_any_of(signed: Signed) -> None:
    """One of several suffices; if none does, the first says why."""
    right, wrong = identity(WORKFLOW, GITHUB), identity(NAME, ISSUER)

    assert code_of(any_of(wrong, right), signed) is None
    assert code_of(any_of(wrong, extension("issuer", ISSUER)), signed) == "IDENTITY_MISMATCH"


def test_all_of(signed: Signed) -> None:
    """All are needed."""
    right = identity(WORKFLOW, GITHUB)
    wrong = extension("sourceRepositoryUri", "https://example.test/other")

    assert code_of(all_of(right, extension("issuer", GITHUB)), signed) is None
    assert code_of(all_of(right, wrong), signed) == "EXTENSION_MISMATCH"
    assert code_of(all_of(wrong, right), signed) == "EXTENSION_MISMATCH"


def test_predicate_type(signed: Signed) -> None:
    """The statement's type is compared; where there is no statement nothing fits."""
    assert code_of(predicate_type(TYPE), signed) is None
    assert code_of(predicate_type(f"{TYPE}/"), signed) == "PREDICATE_MISMATCH"
    message = Signed(signed.key, signed.certificate, None, ())
    assert code_of(predicate_type(TYPE), message) == "PREDICATE_MISMATCH"


def test_key(signed: Signed) -> None:
    """A key is compared by its bytes, and a certificate's key is not a bare one."""
    public = load_public_key(spki(new_key("p256", 800)))
    other = load_public_key(spki(new_key("p256", 801)))

    assert code_of(key(public), Signed(public, None, None, ())) is None
    assert code_of(key(other), Signed(public, None, None, ())) == "IDENTITY_MISMATCH"
    assert code_of(key(signed.key), signed) == "IDENTITY_MISMATCH"
    assert code_of(identity(NAME, ISSUER), Signed(public, None, None, ())) == "IDENTITY_MISMATCH"


def test_windows_of_a_key(mint: Mint) -> None:
    """Each policy's own window counts: one around the time does not serve for another policy."""
    public = load_public_key(spki(new_key("p256", 101)))
    now, past = key(public, NOW, NOW), key(public, None, NOW - timedelta(seconds=1))
    proven = mint.verify(mint.bundle("key-v2"), policy=now)
    at_once = Signed(public, None, None, proven.times)

    assert code_of(now, at_once) is None
    assert code_of(now, at_once._replace(times=())) == "NO_VERIFIED_TIME"
    assert code_of(past, at_once) == "KEY_NOT_VALID_AT_TIME"
    assert code_of(all_of(now, past), at_once) == "KEY_NOT_VALID_AT_TIME"
    assert code_of(any_of(past, now), at_once) is None
    assert code_of(any_of(past, all_of(now, predicate_type(TYPE))), at_once) is not None


@pytest.mark.parametrize(
    "make",
    [
        any_of,
        all_of,
        lambda: identity("", ISSUER),
        lambda: identity(NAME, ""),
        lambda: glob("*", ISSUER),
        lambda: glob("**", ISSUER),
        lambda: glob("", ISSUER),
        lambda: glob("a*", ""),
        lambda: extension("sourceRepositoryUri", ""),
        lambda: extension("no such extension", "x"),
        lambda: predicate_type(""),
    ],
)
def test_names_nobody(make: "type[Policy]") -> None:
    """A policy without a name, or with nothing in it, cannot be made."""
    with pytest.raises(RefusedError) as caught:
        make()
    assert caught.value.code == "POLICY_EMPTY"


ISSUED = extension("issuer", GITHUB)
SOURCE = extension("sourceRepositoryUri", "https://example.test/r")
SOMEBODY = identity(NAME, ISSUER)


@pytest.mark.parametrize(
    ("policy", "is_enough"),
    [
        (SOMEBODY, True),
        (key(load_public_key(spki(new_key("p256", 800)))), True),
        (all_of(ISSUED, SOURCE), True),
        (any_of(SOMEBODY, all_of(ISSUED, SOURCE)), True),
        (all_of(any_of(SOMEBODY, all_of(ISSUED, SOURCE)), predicate_type(TYPE)), True),
        (ISSUED, False),
        (SOURCE, False),
        (predicate_type(TYPE), False),
        (all_of(SOURCE, predicate_type(TYPE)), False),
        (any_of(SOMEBODY, ISSUED), False),
        (any_of(ISSUED, SOURCE), False),
        (all_of(any_of(ISSUED, SOURCE), predicate_type(TYPE)), False),
    ],
)
def test_says_who(policy: Policy, is_enough: bool) -> None:
    """A whole policy needs a key, or an issuer and more, on every way through it."""
    if is_enough:
        require_signer(policy)
    else:
        with pytest.raises(RefusedError) as caught:
            require_signer(policy)
        assert caught.value.code == "POLICY_EMPTY"


@pytest.mark.parametrize(
    ("methods", "context", "passes"),
    [
        (("mfa",), "", True),
        (("pwd", "otp"), "", True),
        (("pin", "hwk"), "", True),
        (("otp", "face"), "", True),
        (("pwd", "x", "fpt"), "", True),
        (("pwd",), "", False),
        (("pwd", "pwd"), "", False),
        (("pwd", "pin"), "", False),
        (("otp", "sms", "hwk"), "", False),
        (("face", "fpt"), "", False),
        (("pwd", "geo"), "", False),
        (("pwd", "mca", "user", "rba", "wia"), "", False),
        (("MFA",), "", False),
        (("Pwd", "otp"), "", False),
        (("two-factor",), "", False),
        ((), "urn:mfa", False),
        (("pwd",), "mfa", False),
        ((), "", False),
    ],
)
def test_require_mfa(mint: Mint, methods: tuple[str, ...], context: str, *, passes: bool) -> None:
    """Only `mfa`, or methods of two classes, count; what is unknown is never a yes."""
    value = encode_authentication(methods, context)
    extra = [] if value is None else [(x509.UnrecognizedExtension(SDA, value), False)]
    bundle = mint.bundle("v2-message", leaf=mint.leaf(extra=extra))
    wanted = all_of(identity(NAME, ISSUER), require_mfa())

    assert code_of(require_mfa(), signed_of(mint, bundle)) == (
        None if passes else "SECOND_FACTOR_MISSING"
    )
    if passes:
        login = mint.verify(bundle, policy=wanted).authentication
        assert login is not None
        assert login.methods == methods
    else:
        with pytest.raises(PolicyError):
            mint.verify(bundle, policy=wanted)


def signed_of(mint: Mint, bundle: dict[str, Any]) -> Signed:
    """Give the proven signer of a bundle."""
    verdict = mint.verify(bundle, policy=identity(NAME, ISSUER))
    return Signed(verdict.key, verdict.certificate, verdict.statement, verdict.times)


def test_require_mfa_names_nobody(mint: Mint) -> None:
    """Two factors of anybody are no policy, and a key has none."""
    with pytest.raises(RefusedError) as caught:
        require_signer(require_mfa())
    assert caught.value.code == "POLICY_EMPTY"
    with pytest.raises(PolicyError) as wrong:
        require_mfa().check(Signed(load_public_key(spki(new_key())), None, None, ()))
    assert wrong.value.code == "IDENTITY_MISMATCH"


def test_malformed_login(mint: Mint) -> None:
    """A certificate whose attributes do not parse proves nothing, whatever is asked for."""
    leaf = mint.leaf(extra=[(x509.UnrecognizedExtension(SDA, b"\x30\x05"), False)])
    with pytest.raises(MalformedError) as caught:
        mint.verify(mint.bundle("v2-message", leaf=leaf), policy=identity(NAME, ISSUER))
    assert caught.value.code == "CERTIFICATE_MALFORMED"
