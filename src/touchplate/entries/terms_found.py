"""The terms of one entry while they are gathered, and what comes of them."""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

from touchplate.entries.pem import parse_pem
from touchplate.entries.terms_certificate import CertificateTerms, read_certificate
from touchplate.errors import TouchplateError
from touchplate.keys.pem import encode_pem

# What a hostile body can make its readers raise; a bug of ours is none of these.
NOT_READABLE: Final = (
    TouchplateError,
    ValueError,  # base64, JSON, UTF-8, DER
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
)


class EntryTerms(NamedTuple):
    """What one entry is found by; what its body does not say is empty.

    Equal things stand once in each tuple, in the order of the body.
    """

    kind: str = ""
    version: str = ""
    # `algorithm:hex`, lower case: of the artifact, payload, envelope, or a statement's subjects.
    digests: tuple[str, ...] = ()
    # Subject alternative names of the leaf certificates, as they stand.
    identities: tuple[str, ...] = ()
    # Of certificate extensions 1 and 8.
    issuers: tuple[str, ...] = ()
    # Hex SHA-256: of each key's SubjectPublicKeyInfo, and of the PEM of the key or certificate.
    keys: tuple[str, ...] = ()
    # Number below 1.3.6.1.4.1.57264.1, and text.
    extensions: tuple[tuple[int, str], ...] = ()
    # Keys of the v1 search index, lower case; a kind decides which of them have a prefix.
    v1_keys: tuple[str, ...] = ()


class Found:
    """Gathers the terms of one entry."""

    __slots__ = ("digests", "extensions", "identities", "issuers", "keys", "v1_keys")

    def __init__(self) -> None:
        self.digests: list[str] = []
        self.identities: list[str] = []
        self.issuers: list[str] = []
        self.keys: list[str] = []
        self.extensions: list[tuple[int, str]] = []
        self.v1_keys: list[str] = []

    def terms(self, kind: str, version: str) -> EntryTerms:
        """Give all that was gathered."""
        return EntryTerms(
            kind,
            version,
            _once(self.digests),
            _once(self.identities),
            _once(self.issuers),
            _once(self.keys),
            _once(self.extensions),
            _once(self.v1_keys),
        )

    def digest(self, algorithm: str, value: str) -> None:
        """Take a digest; raises UnicodeError for what is no text."""
        text = f"{algorithm}:{value}".lower()
        text.encode()  # half of a surrogate pair is no digest
        self.digests.append(text)
        self.v1_keys.append(text)

    def hashed(self, member: Any) -> None:  # noqa: ANN401 - any JSON value
        """Take `{"algorithm":…,"value":…}`; absent is nothing."""
        if member is not None:
            self.digest(read_text(member["algorithm"]), read_text(member["value"]))

    def pem(self, pem: bytes, prefix: str = "", *, is_canonical: bool = True) -> None:
        """Take the PEM text of a key or certificate chain, which v1 kinds hold.

        v1's key is over the canonical text; with `is_canonical` the log stored that.
        """
        try:
            blocks = parse_pem(pem, error="ENTRY_MALFORMED")
        except NOT_READABLE:
            self.other_key(pem, prefix)
            raise
        text = pem if is_canonical else canonical_pem(blocks)
        label, der = blocks[0]
        self.verifier(der, is_certificate=label == "CERTIFICATE", pem=text, prefix=prefix)

    def verifier(self, der: bytes, *, is_certificate: bool, pem: bytes, prefix: str = "") -> None:
        """Take a key or a leaf certificate, in both encodings."""
        self.other_key(pem, prefix)
        if not is_certificate:
            self.keys.append(sha256(der).hexdigest())
            return
        certificate = CertificateTerms()
        try:
            read_certificate(der, certificate)
        finally:
            if certificate.spki:
                self.keys.append(sha256(certificate.spki).hexdigest())
            self.names(certificate.names)
            self.issuers.extend(certificate.issuers)
            self.extensions.extend(certificate.extensions)

    def other_key(self, canonical: bytes, prefix: str = "") -> None:
        """Take a key by the hash of its canonical text alone."""
        hashed = sha256(canonical).hexdigest()
        self.keys.append(hashed)
        self.v1_keys.append(prefix + hashed)

    def names(self, names: Iterable[str]) -> None:
        """Take names of signers."""
        for name in names:
            self.identities.append(name)
            self.v1_keys.append(name.lower())


def _once(found: list[Any]) -> tuple[Any, ...]:
    return tuple(found) if len(found) < 2 else tuple(dict.fromkeys(found))


def read_text(value: object) -> str:
    """Give a string, or raise TypeError."""
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value


def canonical_pem(blocks: Sequence[tuple[str, bytes]]) -> bytes:
    """Give the blocks as canonical PEM."""
    return b"".join(encode_pem(label, der) for label, der in blocks)


def attempt(step: Callable[[], None]) -> None:
    """Take a step that a hostile body may make fail, so that it does not hide the next one."""
    try:
        step()
    except NOT_READABLE:
        return
