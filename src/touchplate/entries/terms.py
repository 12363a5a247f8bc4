"""What a log entry can be found by: digests, names, issuers, keys, extensions, and v1's index keys.

Read from the body alone, so an index can be made again from the log at any time. Every kind that a
log holds is read, also those that it no longer takes; a certificate is read leniently, because an
entry must be found whatever else is wrong with it. Kinds: `rekor: pkg/types`, `rekor-tiles`.
"""

import json
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Any, Final

from touchplate.entries.pem import parse_pem
from touchplate.entries.terms_canonical import read_canonical
from touchplate.entries.terms_found import (
    NOT_READABLE,
    EntryTerms,
    Found,
    attempt,
    canonical_pem,
    read_text,
)
from touchplate.entries.terms_pgp import read_pgp_addresses
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

NOTHING: Final = EntryTerms()


def terms(body: bytes) -> EntryTerms:
    """Give what the entry with this body is found by. Never raises; work is linear in the body."""
    return read_canonical(body) or read_any(body)


def read_any(body: bytes) -> EntryTerms:
    """Give the same for any body, the long way."""
    try:
        members = json.loads(body)
        kind, version = members["kind"], members["apiVersion"]
        if not (_is_name(kind) and _is_name(version)):
            return NOTHING
        spec = members["spec"]
    except NOT_READABLE:
        return NOTHING
    found = Found()
    read = _READERS.get(kind)
    if read is not None:
        # What was found before it fails counts: nobody hides an entry by its last member.
        attempt(lambda: read(spec, found))
    return found.terms(kind, version)


def key_terms(pem: bytes) -> tuple[str, ...]:
    """Give what entries by the key, or the leaf certificate, in this PEM text are found by.

    For a certificate: its key, and the certificate itself. Raises MalformedError REQUEST_MALFORMED.
    """
    blocks = parse_pem(pem, error="REQUEST_MALFORMED")
    label, der = blocks[0]
    found = Found()
    found.verifier(der, is_certificate=label == "CERTIFICATE", pem=canonical_pem(blocks))
    return tuple(dict.fromkeys(found.keys))


def _is_name(value: object) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value) <= _MAX_KIND
        and value.isascii()
        and value.isprintable()
    )


def _base64(text: object) -> bytes:
    """Decode as the v1 log does: line breaks are ignored."""
    text = read_text(text)
    if "\n" in text or "\r" in text:
        text = text.replace("\r", "").replace("\n", "")
    return parse_base64(text)


def _hashedrekord(spec: Any, found: Found) -> None:  # noqa: ANN401 - any JSON value
    entry = spec.get("hashedRekordV002")
    if entry is None:
        attempt(lambda: found.hashed(spec["data"].get("hash")))
        found.pem(_base64(spec["signature"]["publicKey"]["content"]))
        return
    attempt(lambda: _v2_digest(entry["data"], found))
    _v2_verifier(entry["signature"]["verifier"], found)


def _v2_digest(hashed: Any, found: Found) -> None:  # noqa: ANN401 - any JSON value
    name = hashed["algorithm"]
    found.digest(
        _HASHES.get(name) or read_text(name), parse_base64(read_text(hashed["digest"])).hex()
    )


def _v2_verifier(verifier: Any, found: Found, prefix: str = "") -> None:  # noqa: ANN401 - any JSON value
    certificate = verifier.get("x509Certificate")
    label = "PUBLIC KEY" if certificate is None else "CERTIFICATE"
    member = verifier["publicKey"] if certificate is None else certificate
    der = parse_base64(read_text(member["rawBytes"]))
    found.verifier(
        der, is_certificate=certificate is not None, pem=encode_pem(label, der), prefix=prefix
    )


def _dsse(spec: Any, found: Found) -> None:  # noqa: ANN401 - any JSON value
    entry = spec.get("dsseV002")
    if entry is not None:
        attempt(lambda: _v2_digest(entry["payloadHash"], found))
        for each in entry["signatures"][:MAX_SIGNATURES]:
            attempt(partial(_envelope_verifier, each, found))
        return
    attempt(lambda: found.hashed(spec.get("payloadHash")))
    attempt(lambda: found.hashed(spec.get("envelopeHash")))
    for each in spec["signatures"][:MAX_SIGNATURES]:
        attempt(partial(_envelope_pem, each, "verifier", found))


def _envelope_verifier(signature: Any, found: Found) -> None:  # noqa: ANN401 - any JSON value
    _v2_verifier(signature["verifier"], found, _PREFIX)


def _envelope_pem(
    signature: Any,  # noqa: ANN401 - any JSON value
    member: str,
    found: Found,
    *,
    is_canonical: bool = True,
) -> None:
    found.pem(_base64(signature[member]), _PREFIX, is_canonical=is_canonical)


def _intoto(spec: Any, found: Found) -> None:  # noqa: ANN401 - any JSON value
    content = spec["content"]
    attempt(lambda: found.hashed(content.get("payloadHash")))
    envelope = content.get("envelope")
    if "publicKey" in spec:  # 0.0.1
        attempt(lambda: found.hashed(content.get("hash")))
        attempt(lambda: found.pem(_base64(spec["publicKey"]), _PREFIX))
        if envelope is not None:
            outer = json.loads(read_text(envelope))
            _statement(outer.get("payloadType"), _base64(outer["payload"]), found)
        return
    # `hash` of 0.0.2 is the sender's word that nobody checked: not an index key (log-v1 §10).
    for each in envelope["signatures"][:MAX_SIGNATURES]:
        attempt(partial(_envelope_pem, each, "publicKey", found, is_canonical=False))
    if envelope.get("payload"):
        # Only in what some other log stored. Base64 of base64, as it is sent.
        payload = _base64(_base64(envelope["payload"]).decode("ascii"))
        _statement(envelope.get("payloadType"), payload, found)


def _statement(payload_type: object, payload: bytes, found: Found) -> None:
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
            found.digest(algorithm, read_text(value))


def _rekord(spec: Any, found: Found) -> None:  # noqa: ANN401 - any JSON value
    attempt(lambda: found.hashed(spec["data"].get("hash")))
    signature = spec["signature"]
    _keyed(_base64(signature["publicKey"]["content"]), signature.get("format"), found)


def _keyed(key: bytes, form: object, found: Found) -> None:
    """Take a key that may be of another public key infrastructure than X.509."""
    if form == "x509":
        found.pem(key)
        return
    found.other_key(key)
    if form == "pgp":
        found.names(read_pgp_addresses(key))


def _cose(spec: Any, found: Found) -> None:  # noqa: ANN401 - any JSON value
    attempt(lambda: found.hashed(spec["data"].get("envelopeHash")))
    attempt(lambda: found.hashed(spec["data"].get("payloadHash")))
    found.pem(_base64(spec["publicKey"]))


def _package(member: str, form: str) -> "_Reader":
    """Give the reader of a kind that logs a package by its hash, and a key beside it."""

    def read(spec: Any, found: Found) -> None:  # noqa: ANN401 - any JSON value
        attempt(lambda: found.hashed(spec[member].get("hash")))
        key = spec.get("publicKey") or spec["signature"]["publicKey"]
        _keyed(_base64(key["content"]), form, found)

    return read


def _rfc3161(spec: Any, found: Found) -> None:  # noqa: ANN401 - any JSON value
    response = _base64(spec["tsr"]["content"])
    found.digest("sha256", sha256(response).hexdigest())
    from touchplate.formats.timestamp import parse_timestamp_response

    token = parse_timestamp_response(response).token
    if token is not None:
        # What was stamped: not one of v1's keys, and the most that anyone can look for.
        found.digests.append(f"{token.imprint_algorithm}:{token.imprint.hex()}")


_Reader = Callable[[Any, Found], None]

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
