"""Who may have signed. A policy is asked last, when all that it looks at has been proven.

A policy as a whole must name a key, or an issuer together with an identity or another extension:
one that would accept anybody is refused before the work begins (`require_signer`).
"""

from datetime import datetime
from typing import Final, NamedTuple, Protocol

from touchplate.errors import PolicyError, RefusedError
from touchplate.formats.authentication import SEVERAL, decode_authentication
from touchplate.formats.certificate import Certificate
from touchplate.formats.extensions import BY_NAME, decode_extension, decode_issuer
from touchplate.formats.statement import Statement
from touchplate.keys.public import PublicKey
from touchplate.verify.verdict import VerifiedTime


class Signed(NamedTuple):
    """What has been proven when a policy is asked."""

    key: PublicKey
    certificate: Certificate | None
    statement: Statement | None
    times: tuple[VerifiedTime, ...]
    """Every moment at which the signature is known to have existed."""


class Policy(Protocol):
    """Says whether a proven signer is the one wanted."""

    @property
    def pins(self) -> frozenset[str]:
        """What every signer that passes must have: `key`, `issuer`, `identity`, `extension`."""
        ...

    @property
    def keys(self) -> tuple["Key", ...]:
        """The public keys that it accepts a signature of."""
        ...

    def check(self, signed: Signed) -> None:
        """Raise PolicyError if this signer is not wanted."""
        ...


class Identity:
    """One identity, letter by letter, vouched for by one issuer, letter by letter.

    With `is_glob` the identity is a pattern for the whole name: each `*` stands for any run of
    characters, also none and also slashes; nothing else is special.
    """

    __slots__ = ("is_glob", "issuer", "name")

    def __init__(self, name: str, issuer: str, *, is_glob: bool = False) -> None:
        """Refuse what would match anybody: RefusedError POLICY_EMPTY."""
        self.name: Final = name
        self.issuer: Final = issuer
        self.is_glob: Final = is_glob
        if not self.issuer or not (self.name.replace("*", "") if self.is_glob else self.name):
            raise _empty("an identity policy names an identity and its issuer")

    @property
    def pins(self) -> frozenset[str]:
        """Identity and issuer."""
        return _IDENTITY

    @property
    def keys(self) -> tuple["Key", ...]:
        """None."""
        return ()

    def check(self, signed: Signed) -> None:
        """Raise PolicyError IDENTITY_MISMATCH or ISSUER_MISMATCH."""
        certificate = _certificate(signed)
        names = certificate.alternative_names
        for name in names:
            if name.value == self.name or (self.is_glob and _matches(self.name, name.value)):
                break
        else:
            raise PolicyError(
                "IDENTITY_MISMATCH",
                "the certificate is for another identity",
                expected=self.name,
                found=", ".join(name.value for name in names) or "no identity",
            )
        issuer = decode_issuer(certificate)
        if issuer != self.issuer:
            raise PolicyError(
                "ISSUER_MISMATCH",
                "another issuer vouched for the identity",
                expected=self.issuer,
                found=issuer or "no issuer",
            )


class ExtensionValue:
    """One extension of the certificate has this value, letter by letter."""

    __slots__ = ("name", "value")

    def __init__(self, name: str, value: str) -> None:
        """Refuse an unknown name or no value: RefusedError POLICY_EMPTY."""
        self.name: Final = name
        self.value: Final = value
        if self.name not in BY_NAME:
            raise _empty(f"there is no certificate extension {self.name!r}: {', '.join(BY_NAME)}")
        if not self.value:
            raise _empty(f"an extension policy names a value of {self.name}")

    @property
    def pins(self) -> frozenset[str]:
        """The issuer, if that is the extension; else an extension."""
        return _ISSUER if self.name == "issuer" else _EXTENSION

    @property
    def keys(self) -> tuple["Key", ...]:
        """None."""
        return ()

    def check(self, signed: Signed) -> None:
        """Raise PolicyError EXTENSION_MISMATCH, or ISSUER_MISMATCH for the issuer."""
        certificate = _certificate(signed)
        is_issuer = self.name == "issuer"
        found = (
            decode_issuer(certificate)
            if is_issuer
            else decode_extension(certificate, BY_NAME[self.name])
        )
        if found != self.value:
            raise PolicyError(
                "ISSUER_MISMATCH" if is_issuer else "EXTENSION_MISMATCH",
                f"the certificate's {self.name} is another",
                expected=self.value,
                found="no such extension" if found is None else found,
            )


class SecondFactor:
    """The signer logged in with two factors, and the issuer said so.

    Its methods name `mfa`, or methods of two classes of factors (`formats.authentication`). A
    certificate that says nothing, or only what is unknown here, does not pass.
    """

    __slots__ = ()

    @property
    def pins(self) -> frozenset[str]:
        """Nobody."""
        return _NOBODY

    @property
    def keys(self) -> tuple["Key", ...]:
        """None."""
        return ()

    def check(self, signed: Signed) -> None:
        """Raise PolicyError SECOND_FACTOR_MISSING."""
        found = decode_authentication(_certificate(signed))
        if found is None or not (SEVERAL in found.methods or len(found.factors) > 1):
            raise PolicyError(
                "SECOND_FACTOR_MISSING",
                "the certificate does not prove a login with two factors",
                expected="mfa, or methods of two kinds of factors",
                found="nothing about the login" if found is None else found.describe(),
            )


class PredicateType:
    """The artifact is the subject of an in-toto statement with this type of predicate."""

    __slots__ = ("uri",)

    def __init__(self, uri: str) -> None:
        """Refuse an empty type: RefusedError POLICY_EMPTY."""
        self.uri: Final = uri
        if not self.uri:
            raise _empty("a predicate policy names a type")

    @property
    def pins(self) -> frozenset[str]:
        """Nothing about the signer."""
        return _NOBODY

    @property
    def keys(self) -> tuple["Key", ...]:
        """None."""
        return ()

    def check(self, signed: Signed) -> None:
        """Raise PolicyError PREDICATE_MISMATCH."""
        found = None if signed.statement is None else signed.statement.predicate_type
        if found != self.uri:
            raise PolicyError(
                "PREDICATE_MISMATCH",
                "the statement is of another type",
                expected=self.uri,
                found=found or "no statement",
            )


class Key:
    """The signature is by this key, and made while the key was valid if that is limited.

    Both ends of the window are inside, and so is every verified time; with a window there must be
    one.
    """

    __slots__ = ("public_key", "valid_from", "valid_until")

    def __init__(
        self,
        public_key: PublicKey,
        valid_from: datetime | None = None,
        valid_until: datetime | None = None,
    ) -> None:
        """Take the key and its window."""
        self.public_key: Final = public_key
        self.valid_from: Final = valid_from
        self.valid_until: Final = valid_until

    @property
    def pins(self) -> frozenset[str]:
        """The key."""
        return _KEY

    @property
    def keys(self) -> tuple["Key", ...]:
        """This one."""
        return (self,)

    @property
    def has_window(self) -> bool:
        """Whether the key's validity is limited."""
        return self.valid_from is not None or self.valid_until is not None

    def is_valid_at(self, at: datetime) -> bool:
        """Whether the window covers this time."""
        return (self.valid_from is None or self.valid_from <= at) and (
            self.valid_until is None or at <= self.valid_until
        )

    def check(self, signed: Signed) -> None:
        """Raise PolicyError IDENTITY_MISMATCH, KEY_NOT_VALID_AT_TIME or NO_VERIFIED_TIME."""
        if signed.certificate is not None or signed.key != self.public_key:
            raise PolicyError(
                "IDENTITY_MISMATCH",
                "the signature is by another key",
                expected=self.public_key.key_id.hex(),
                found=signed.key.key_id.hex(),
            )
        if self.has_window and not signed.times:
            raise PolicyError(
                "NO_VERIFIED_TIME",
                "the public key is valid for a time, and no trusted source says when it signed",
            )
        for time in signed.times:
            if not self.is_valid_at(time.at):
                raise PolicyError(
                    "KEY_NOT_VALID_AT_TIME",
                    "the public key was not valid at a verified time",
                    expected=f"from {self.valid_from} to {self.valid_until}",
                    found=str(time.at),
                )


class AnyOf:
    """At least one of these policies accepts the signer."""

    __slots__ = ("policies",)

    def __init__(self, policies: tuple[Policy, ...]) -> None:
        """Refuse an empty list: RefusedError POLICY_EMPTY."""
        self.policies: Final = policies
        if not self.policies:
            raise _empty("any_of of nothing")

    @property
    def pins(self) -> frozenset[str]:
        """What all of them pin; keys and identities side by side are told apart by the bundle."""
        return frozenset.intersection(*(_kinds(policy) for policy in self.policies))

    @property
    def keys(self) -> tuple[Key, ...]:
        """All of theirs."""
        return tuple(key for policy in self.policies for key in policy.keys)

    def check(self, signed: Signed) -> None:
        """Raise the PolicyError of the first, if none accepts."""
        problems: list[PolicyError] = []
        for policy in self.policies:
            try:
                policy.check(signed)
            except PolicyError as error:
                problems.append(error)
            else:
                return
        raise problems[0]


class AllOf:
    """Each of these policies accepts the signer."""

    __slots__ = ("policies",)

    def __init__(self, policies: tuple[Policy, ...]) -> None:
        """Refuse an empty list: RefusedError POLICY_EMPTY."""
        self.policies: Final = policies
        if not self.policies:
            raise _empty("all_of of nothing")

    @property
    def pins(self) -> frozenset[str]:
        """What any of them pins."""
        return frozenset().union(*(policy.pins for policy in self.policies))

    @property
    def keys(self) -> tuple[Key, ...]:
        """All of theirs: a signer with one of them can pass only if they are the same."""
        return tuple(key for policy in self.policies for key in policy.keys)

    def check(self, signed: Signed) -> None:
        """Raise the PolicyError of the first that does not accept."""
        for policy in self.policies:
            policy.check(signed)


def identity(name: str, issuer: str) -> Policy:
    """Exactly this identity, vouched for by exactly this issuer."""
    return Identity(name, issuer)


def glob(pattern: str, issuer: str) -> Policy:
    """Any identity that the whole pattern matches, vouched for by exactly this issuer.

    Each `*` stands for any run of characters, also slashes; nothing else is special.
    """
    return Identity(pattern, issuer, is_glob=True)


def extension(name: str, value: str) -> Policy:
    """Exactly this value of a certificate extension, by its name in `formats.extensions`."""
    return ExtensionValue(name, value)


def require_mfa() -> Policy:
    """A login with two factors; goes together with a policy on the signer."""
    return SecondFactor()


def predicate_type(uri: str) -> Policy:
    """A statement with this type of predicate; goes together with a policy on the signer."""
    return PredicateType(uri)


def key(
    public_key: PublicKey,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
) -> Policy:
    """This public key; with a window, a verified time inside it too."""
    return Key(public_key, valid_from, valid_until)


def any_of(*policies: Policy) -> Policy:
    """One of these suffices."""
    return AnyOf(policies)


def all_of(*policies: Policy) -> Policy:
    """All of these are needed."""
    return AllOf(policies)


def require_signer(policy: Policy) -> None:
    """Raise RefusedError POLICY_EMPTY if the policy would accept somebody it does not name."""
    if not _names_signer(policy.pins):
        raise _empty("the policy names nobody: it needs a key, or an issuer and who it vouched for")


_NOBODY: Final[frozenset[str]] = frozenset()
_KEY: Final = frozenset({"key"})
_ISSUER: Final = frozenset({"issuer"})
_EXTENSION: Final = frozenset({"extension"})
_IDENTITY: Final = frozenset({"identity", "issuer"})


def _kinds(policy: Policy) -> frozenset[str]:
    """What the policy pins, and `signer` if that is enough to say who."""
    pins = policy.pins
    return pins | {"signer"} if _names_signer(pins) else pins


def _names_signer(pins: frozenset[str]) -> bool:
    """Whether who passes is one whom the policy names."""
    return (
        "signer" in pins
        or "key" in pins
        or ("issuer" in pins and ("identity" in pins or "extension" in pins))
    )


def _empty(reason: str) -> RefusedError:
    return RefusedError("POLICY_EMPTY", reason)


def _certificate(signed: Signed) -> Certificate:
    if signed.certificate is None:
        raise PolicyError(
            "IDENTITY_MISMATCH",
            "the policy asks for an identity, and the signer has only a key",
            found=signed.key.key_id.hex(),
        )
    return signed.certificate


def _matches(pattern: str, name: str) -> bool:
    """Whether the whole name fits: the parts between the stars follow each other in it."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == name
    *middle, last = rest
    if len(name) < len(first) + len(last) or not name.startswith(first) or not name.endswith(last):
        return False
    at, end = len(first), len(name) - len(last)
    for part in middle:
        at = name.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True
