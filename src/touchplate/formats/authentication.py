"""How a signer logged in, in its certificate: the claims `amr` and `acr` (RFC 8176, OIDC Core §2).

An attribute of our own in the standard extension subjectDirectoryAttributes (RFC 5280 §4.2.1.8,
never critical). Its type is under 2.25, the arc of UUIDs, and so has an arc of 128 bits: as the OID
of an extension that would make Go and Rust refuse the whole certificate, while inside a value they
never look. docs/reference/formats/second-factor.md has the structure.

    Authentication ::= SEQUENCE {
        amr  SEQUENCE OF UTF8String,
        acr  UTF8String OPTIONAL }

`der` is loaded when there is one: few certificates say it, and every verification asks.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from touchplate.formats.certificate import Certificate
from touchplate.formats.element import oid_octets

if TYPE_CHECKING:
    from touchplate.formats.der import Reader

EXTENSION: Final = "2.5.29.9"
# 0ad0b046-909d-4cdc-bb4e-0e65ce7b0e95, chosen once.
ATTRIBUTE: Final = "2.25.14375852999242027307856982053213638293"

MAX_METHODS: Final = 16
MAX_METHOD: Final = 64
MAX_CONTEXT: Final = 256
MAX_ATTRIBUTES: Final = 32

FACTORS: Final[Mapping[str, str]] = {
    "kba": "knowledge",
    "pin": "knowledge",
    "pwd": "knowledge",
    "hwk": "possession",
    "otp": "possession",
    "pop": "possession",
    "sc": "possession",
    "sms": "possession",
    "swk": "possession",
    "tel": "possession",
    "face": "inherence",
    "fpt": "inherence",
    "iris": "inherence",
    "retina": "inherence",
    "vbm": "inherence",
}
"""Methods of RFC 8176 §2 by the class of their factor. Methods that are not here count for none."""

# RFC 8176 §2: the issuer says itself that there was more than one factor.
SEVERAL: Final = "mfa"

_EXTENSION: Final = oid_octets(EXTENSION)


class Authentication(NamedTuple):
    """How the issuer says that somebody logged in. What it does not say is not known."""

    methods: tuple[str, ...]
    """`amr`, in the issuer's order."""
    context: str = ""
    """`acr`; empty if the issuer does not say."""

    @property
    def factors(self) -> frozenset[str]:
        """The classes of factors that the methods are of: knowledge, possession, inherence."""
        return frozenset(FACTORS[method] for method in self.methods if method in FACTORS)

    def describe(self) -> str:
        """Give it as one line."""
        text = ", ".join(self.methods) or "no method stated"
        return f"{text}; level {self.context}" if self.context else text


@lru_cache(maxsize=256)  # an instance's logins are of few kinds
def encode_authentication(methods: tuple[str, ...], context: str) -> bytes | None:
    """Give the extension's value, None if there is nothing to say.

    Values that are empty, too long or not Unicode are left out: a method that is missing never
    makes a second factor.
    """
    kept = tuple(method for method in methods if _fits(method, MAX_METHOD))[:MAX_METHODS]
    level = context if _fits(context, MAX_CONTEXT) else ""
    if not kept and not level:
        return None
    from touchplate.formats import der

    value = der.sequence(
        der.sequence(*map(der.utf8_string, kept)), der.utf8_string(level) if level else b""
    )
    return der.sequence(der.sequence(der.oid(ATTRIBUTE), der.set_of([value])))


def decode_authentication(certificate: Certificate) -> Authentication | None:
    """Read how the signer logged in; None if the certificate does not say.

    Raises MalformedError CERTIFICATE_MALFORMED: the extension does not parse, or says it twice.
    """
    octets = certificate.value(_EXTENSION)
    if octets is None:
        return None
    from touchplate.formats import der

    outer = der.Reader(octets, what="the subject's attributes", code="CERTIFICATE_MALFORMED")
    attributes = outer.enter()
    outer.finish()
    found: Authentication | None = None
    for _ in range(MAX_ATTRIBUTES):
        if attributes.done():
            return found
        attribute = attributes.enter()
        kind = attribute.oid()
        values = attribute.enter(der.SET)
        attribute.finish()
        if kind == ATTRIBUTE:
            if found is not None:
                raise attributes.error("how the signer logged in stands there twice")
            found = _read(values)
    raise attributes.error(f"more than {MAX_ATTRIBUTES} of them")


def _read(values: "Reader") -> Authentication:
    value = values.enter()
    values.finish()
    listed = value.enter()
    methods = tuple(_texts(listed))
    context = "" if value.done() else value.text()
    value.finish()
    return Authentication(methods, context)


def _texts(listed: "Reader") -> Iterable[str]:
    for _ in range(MAX_METHODS):
        if listed.done():
            return
        yield listed.text()
    if not listed.done():
        raise listed.error(f"more than {MAX_METHODS} methods")


def _fits(text: str, limit: int) -> bool:
    try:
        return 0 < len(text.encode()) <= limit
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can hold
        return False
