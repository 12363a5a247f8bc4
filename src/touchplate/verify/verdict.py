"""What a verification proved. Holding a `Verdict` means that every step passed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, NamedTuple, NoReturn

from touchplate.formats.authentication import Authentication, decode_authentication
from touchplate.formats.bundle import TransparencyLogEntry
from touchplate.formats.certificate import Certificate
from touchplate.formats.extensions import decode_extensions, decode_issuer
from touchplate.formats.standard_extensions import AlternativeName
from touchplate.formats.statement import Statement
from touchplate.keys.public import PublicKey
from touchplate.verify.steps import Step


class Voice(NamedTuple):
    """Who vouches, as thresholds count it: the operator, or itself if none is named; and its key.

    Two voices are two only if both differ: neither an operator with two keys nor a key under two
    names reaches a threshold alone.
    """

    operator: str
    key_id: bytes


class VerifiedTime(NamedTuple):
    """A moment at which the signature existed, and who says so."""

    at: datetime
    source: Literal["tsa", "log"]
    name: str
    """The URI of the timestamp authority, or the log's address."""
    voice: Voice


class Verdict(NamedTuple):
    """What a bundle proves of an artifact: who signed it, and when. It is not a yes or no."""

    key: PublicKey
    """The key that signed."""
    certificate: Certificate | None
    """The signer's certificate; None if the signer is known by the key alone."""
    times: tuple[VerifiedTime, ...]
    """All verified times; the certificate was valid at each."""
    entries: tuple[TransparencyLogEntry, ...]
    """The log entries that were proven; those of unknown logs are not among them."""
    statement: Statement | None
    """What an in-toto envelope says; None for a signature over the artifact itself."""
    steps: tuple[Step, ...]
    """Every check that was made, in order, with what it rests on."""

    @property
    def names(self) -> tuple[AlternativeName, ...]:
        """All identities in the certificate."""
        return () if self.certificate is None else self.certificate.alternative_names

    @property
    def identity(self) -> str | None:
        """Who signed: e-mail address, URI or user name; None if known by the key alone."""
        names = self.names
        return names[0].value if names else None

    @property
    def issuer(self) -> str | None:
        """Who vouched for the identity; None if the signer is known by the key alone."""
        return None if self.certificate is None else decode_issuer(self.certificate)

    @property
    def extensions(self) -> Mapping[str, str]:
        """The Sigstore extensions of the certificate, by the names in `EXTENSIONS`."""
        return {} if self.certificate is None else decode_extensions(self.certificate)

    @property
    def authentication(self) -> Authentication | None:
        """How the signer logged in, as the issuer said it; None if the certificate does not say.

        Raises MalformedError CERTIFICATE_MALFORMED.
        """
        return None if self.certificate is None else decode_authentication(self.certificate)

    def __bool__(self) -> NoReturn:
        """Refuse: a verdict is either there, or an error was raised."""
        raise TypeError("a Verdict is not a yes or no: verify() raises when it fails")
