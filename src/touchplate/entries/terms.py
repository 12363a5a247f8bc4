"""What a log entry can be found by: digests, names, issuers, keys, extensions, and v1's index keys.

Read from the body alone, so an index can be made again from the log at any time. Every kind that a
log holds is read, also those that it no longer takes; a certificate is read leniently, because an
entry must be found whatever else is wrong with it. Kinds: `rekor: pkg/types`, `rekor-tiles`.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from hashlib import sha256
from typing import Any, Final, NamedTuple

from touchplate.entries.pem import parse_pem
from touchplate.entries.terms_certificate import CertificateTerms, read_certificate
from touchplate.entries.terms_pgp import read_pgp_addresses
from touchplate.errors import TouchplateError
from touchplate.formats.base64text import parse_base64
from touchplate.keys.pem import encode_pem

MAX_SIGNATURES: Final = 32
"""Of an entry that are read; logs take 10."""
MAX_SUBJECT_DIGESTS: Final = 4096
"""Of a statement that are read."""

_MAX_KIND: Final = 64
_HASHES: Final = {
    "SHA2_256": "sha256",
    "SHA2_384": "sha384",
    "SHA2_512": "sha512",
    "SHA3_256": "sha3-256",
    "SHA3_384": "sha3-384",
}
_PREFIX: Final = "sha256:"  # v1 writes the keys of envelopes so, and those of files bare
_STATEMENT_TYPE: Final = "application/vnd.in-toto+json"

# What a hostile body can make the readers below raise; a bug of ours is none of these.
_NOT_READABLE: Final = (
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


NOTHING: Final = EntryTerms()


def terms(body: bytes) -> EntryTerms:
    """Give what the entry with this body is found by. Never raises; work is linear in the body."""
    try:
        members = json.loads(body)
        kind, version = members["kind"], members["apiVersion"]
        if not (_is_name(kind) and _is_name(version)):
            return NOTHING
        spec = members["spec"]
    except _NOT_READABLE:
        return NOTHING
    found = _Found()
    read = _READERS.get(kind)
    if read is not None:
        # What was found before it fails counts: nobody hides an entry by its last member.
        _attempt(lambda: read(spec, found))
    return found.terms(kind, version)


def key_terms(pem: bytes) -> tuple[str, ...]:
    """Give what entries by the key, or the leaf certificate, in this PEM text are found by.

    For a certificate: its key, and the certificate itself. Raises MalformedError REQUEST_MALFORMED.
    """
    blocks = parse_pem(pem, error="REQUEST_MALFORMED")
    label, der = blocks[0]
    found = _Found()
    found.verifier(der, is_certificate=label == "CERTIFICATE", pem=_canonical(blocks))
    return tuple(dict.fromkeys(found.keys))


class _Found:
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
        text = f"{algorithm}:{value}".lower()
        text.encode()  # half of a surrogate pair is no digest
        self.digests.append(text)
        self.v1_keys.append(text)

    def hashed(self, member: Any) -> None:  # noqa: ANN401 - any JSON value
        """Take `{"algorithm":…,"value":…}`; absent is nothing."""
        if member is not None:
            self.digest(_text(member["algorithm"]), _text(member["value"]))

    def pem(self, pem: bytes, prefix: str = "", *, is_canonical: bool = True) -> None:
        """Take the PEM text of a key or certificate chain, which v1 kinds hold.

        v1's key is over the canonical text; with `is_canonical` the log stored that.
        """
        try:
            blocks = parse_pem(pem, error="ENTRY_MALFORMED")
        except _NOT_READABLE:
            self.other_key(pem, prefix)
            raise
        text = pem if is_canonical else _canonical(blocks)
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
        for name in names:
            self.identities.append(name)
            self.v1_keys.append(name.lower())


def _once(found: list[Any]) -> tuple[Any, ...]:
    return tuple(found) if len(found) < 2 else tuple(dict.fromkeys(found))


def _is_name(value: object) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value) <= _MAX_KIND
        and value.isascii()
        and value.isprintable()
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value


def _base64(text: object) -> bytes:
    """Decode as the v1 log does: line breaks are ignored."""
    text = _text(text)
    if "\n" in text or "\r" in text:
        text = text.replace("\r", "").replace("\n", "")
    return parse_base64(text)


def _canonical(blocks: Sequence[tuple[str, bytes]]) -> bytes:
    return b"".join(encode_pem(label, der) for label, der in blocks)


def _hashedrekord(spec: Any, found: _Found) -> None:  # noqa: ANN401 - any JSON value
    entry = spec.get("hashedRekordV002")
    if entry is None:
        _attempt(lambda: found.hashed(spec["data"].get("hash")))
        found.pem(_base64(spec["signature"]["publicKey"]["content"]))
        return
    _attempt(lambda: _v2_digest(entry["data"], found))
    _v2_verifier(entry["signature"]["verifier"], found)


def _v2_digest(hashed: Any, found: _Found) -> None:  # noqa: ANN401 - any JSON value
    name = hashed["algorithm"]
    found.digest(_HASHES.get(name) or _text(name), parse_base64(_text(hashed["digest"])).hex())


def _v2_verifier(verifier: Any, found: _Found, prefix: str = "") -> None:  # noqa: ANN401 - any JSON value
    certificate = verifier.get("x509Certificate")
    label = "PUBLIC KEY" if certificate is None else "CERTIFICATE"
    member = verifier["publicKey"] if certificate is None else certificate
    der = parse_base64(_text(member["rawBytes"]))
    found.verifier(
        der, is_certificate=certificate is not None, pem=encode_pem(label, der), prefix=prefix
    )


def _dsse(spec: Any, found: _Found) -> None:  # noqa: ANN401 - any JSON value
    entry = spec.get("dsseV002")
    if entry is not None:
        _attempt(lambda: _v2_digest(entry["payloadHash"], found))
        for each in entry["signatures"][:MAX_SIGNATURES]:
            _attempt(partial(_envelope_verifier, each, found))
        return
    _attempt(lambda: found.hashed(spec.get("payloadHash")))
    _attempt(lambda: found.hashed(spec.get("envelopeHash")))
    for each in spec["signatures"][:MAX_SIGNATURES]:
        _attempt(partial(_envelope_pem, each, "verifier", found))


def _envelope_verifier(signature: Any, found: _Found) -> None:  # noqa: ANN401 - any JSON value
    _v2_verifier(signature["verifier"], found, _PREFIX)


def _envelope_pem(
    signature: Any,  # noqa: ANN401 - any JSON value
    member: str,
    found: _Found,
    *,
    is_canonical: bool = True,
) -> None:
    found.pem(_base64(signature[member]), _PREFIX, is_canonical=is_canonical)


def _intoto(spec: Any, found: _Found) -> None:  # noqa: ANN401 - any JSON value
    content = spec["content"]
    _attempt(lambda: found.hashed(content.get("payloadHash")))
    envelope = content.get("envelope")
    if "publicKey" in spec:  # 0.0.1
        _attempt(lambda: found.hashed(content.get("hash")))
        _attempt(lambda: found.pem(_base64(spec["publicKey"]), _PREFIX))
        if envelope is not None:
            outer = json.loads(_text(envelope))
            _statement(outer.get("payloadType"), _base64(outer["payload"]), found)
        return
    # `hash` of 0.0.2 is the sender's word that nobody checked: not an index key (log-v1 §10).
    for each in envelope["signatures"][:MAX_SIGNATURES]:
        _attempt(partial(_envelope_pem, each, "publicKey", found, is_canonical=False))
    if envelope.get("payload"):
        # Only in what some other log stored. Base64 of base64, as it is sent.
        payload = _base64(_base64(envelope["payload"]).decode("ascii"))
        _statement(envelope.get("payloadType"), payload, found)


def _statement(payload_type: object, payload: bytes, found: _Found) -> None:
    """Take the subjects, and the materials of old provenance, of an in-toto statement."""
    if payload_type != _STATEMENT_TYPE:
        return
    statement = json.loads(payload)
    predicate = statement.get("predicate")
    materials = predicate.get("materials") if isinstance(predicate, dict) else None
    taken = 0
    for each in (*(statement.get("subject") or ()), *(materials or ())):
        for algorithm, value in each.get("digest", {}).items():
            taken += 1
            if taken > MAX_SUBJECT_DIGESTS:
                return
            found.digest(algorithm, _text(value))


def _rekord(spec: Any, found: _Found) -> None:  # noqa: ANN401 - any JSON value
    _attempt(lambda: found.hashed(spec["data"].get("hash")))
    signature = spec["signature"]
    _keyed(_base64(signature["publicKey"]["content"]), signature.get("format"), found)


def _keyed(key: bytes, form: object, found: _Found) -> None:
    """Take a key that may be of another public key infrastructure than X.509."""
    if form == "x509":
        found.pem(key)
        return
    found.other_key(key)
    if form == "pgp":
        found.names(read_pgp_addresses(key))


def _cose(spec: Any, found: _Found) -> None:  # noqa: ANN401 - any JSON value
    _attempt(lambda: found.hashed(spec["data"].get("envelopeHash")))
    _attempt(lambda: found.hashed(spec["data"].get("payloadHash")))
    found.pem(_base64(spec["publicKey"]))


def _package(member: str, form: str) -> "_Reader":
    """Give the reader of a kind that logs a package by its hash, and a key beside it."""

    def read(spec: Any, found: _Found) -> None:  # noqa: ANN401 - any JSON value
        _attempt(lambda: found.hashed(spec[member].get("hash")))
        key = spec.get("publicKey") or spec["signature"]["publicKey"]
        _keyed(_base64(key["content"]), form, found)

    return read


def _rfc3161(spec: Any, found: _Found) -> None:  # noqa: ANN401 - any JSON value
    response = _base64(spec["tsr"]["content"])
    found.digest("sha256", sha256(response).hexdigest())
    from touchplate.formats.timestamp import parse_timestamp_response

    token = parse_timestamp_response(response).token
    if token is not None:
        # What was stamped: not one of v1's keys, and the most that anyone can look for.
        found.digests.append(f"{token.imprint_algorithm}:{token.imprint.hex()}")


def _attempt(step: Callable[[], None]) -> None:
    """Take a step that a hostile body may make fail, so that it does not hide the next one."""
    try:
        step()
    except _NOT_READABLE:
        return


_Reader = Callable[[Any, _Found], None]

_READERS: Final[dict[str, _Reader]] = {
    "hashedrekord": _hashedrekord,
    "dsse": _dsse,
    "intoto": _intoto,
    "rekord": _rekord,
    "cose": _cose,
    "alpine": _package("package", "x509"),
    "helm": _package("chart", "pgp"),
    "jar": _package("archive", "x509"),
    "rfc3161": _rfc3161,
    "rpm": _package("package", "pgp"),
}
