"""`trusted_root.json`: the logs, certificate authorities and timestamp authorities to trust.

Spec: `sigstore_trustroot.proto` of protobuf-specs, media types 0.1 (two spellings) and 0.2. The
document is trusted as it stands; how it came here is `touchplate.trust`. An entry that we cannot
use (a key of an unknown kind) is left out and named in `skipped`, because it may be for others;
an entry without the start of its window spoils the document.
"""

from datetime import datetime
from json import dumps
from typing import Final, NamedTuple

from touchplate.errors import MalformedError, TouchplateError, VerificationError
from touchplate.formats.base64text import base64_text
from touchplate.formats.certificate import Certificate, parse_certificate
from touchplate.formats.jsontext import (
    Fields,
    JsonObject,
    parse_json,
)
from touchplate.formats.note import (
    KEY_HINT_BYTES,
    NoteVerifier,
    note_algorithm,
    note_key_id,
    rekor_v1_verifier,
)
from touchplate.formats.timetext import time_range_json
from touchplate.keys.algorithms import NAMES, Algorithm, by_name
from touchplate.keys.public import PublicKey, load_pkcs1_public_key, load_public_key

ERROR: Final = "TRUST_ROOT_INVALID"
MEDIA_TYPE_0_1: Final = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
MEDIA_TYPE_0_2: Final = "application/vnd.dev.sigstore.trustedroot.v0.2+json"
MEDIA_TYPES: Final = (
    MEDIA_TYPE_0_1,
    "application/vnd.dev.sigstore.trustedroot.v0.1+json",
    MEDIA_TYPE_0_2,
)

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_ENTRIES: Final = 256
"""Of each of the four lists."""
MAX_CHAIN: Final = 16
"""Certificates of one authority."""
_LOG_ID_BYTES: Final = 32


class TransparencyLog(NamedTuple):
    """A log (of signatures or of certificates) that may be trusted within its window."""

    base_url: str
    key: PublicKey
    algorithm: Algorithm
    """What the log signs with: `keyDetails`, for a key of this size."""
    log_id: bytes
    """32 bytes: SHA-256 of the key, or under Rekor v2 the whole note key id."""
    checkpoint_key_id: bytes
    """The four bytes that its lines on checkpoints begin with, under Rekor v2."""
    valid_from: datetime
    valid_until: datetime | None = None
    """The last instant of the window; None if it is open."""
    operator: str = ""
    name: str = ""
    """The host of `base_url`, without port: the name on a Rekor v2 log's checkpoints."""

    @property
    def key_details(self) -> str:
        """The name of the algorithm in `PublicKeyDetails`."""
        return self.algorithm.name

    def covers(self, time: datetime) -> bool:
        """Say whether `time` lies inside the window, both ends included."""
        return self.valid_from <= time and (self.valid_until is None or time <= self.valid_until)

    def note_verifier(self, *, v1: bool) -> NoteVerifier:
        """Give what checks this log's checkpoints; KEY_UNREADABLE if its key signs no notes.

        Rekor v1's lines have the hash of the key as hint, whatever its kind, and any name.
        """
        if v1:
            return rekor_v1_verifier(self.key)
        return NoteVerifier(self.name, self.key, self.checkpoint_key_id, note_algorithm(self.key))


class Subject(NamedTuple):
    """Who an authority says it is; for display only."""

    organization: str = ""
    common_name: str = ""


class CertificateAuthority(NamedTuple):
    """A certificate or timestamp authority that may be trusted within its window."""

    uri: str
    subject: Subject
    chain: tuple[Certificate, ...]
    """Leaf or intermediate first; the last one is the anchor. At least one."""
    valid_from: datetime
    valid_until: datetime | None = None
    """The last instant of the window; None if it is open."""
    operator: str = ""

    def covers(self, time: datetime) -> bool:
        """Say whether `time` lies inside the window, both ends included."""
        return self.valid_from <= time and (self.valid_until is None or time <= self.valid_until)


class TrustedRoot(NamedTuple):
    """Whom to trust. Holding one means that its form holds, not where it came from."""

    tlogs: tuple[TransparencyLog, ...] = ()
    certificate_authorities: tuple[CertificateAuthority, ...] = ()
    ctlogs: tuple[TransparencyLog, ...] = ()
    timestamp_authorities: tuple[CertificateAuthority, ...] = ()
    media_type: str = MEDIA_TYPE_0_1
    skipped: tuple[str, ...] = ()
    """Entries that we cannot use, each with its path and the reason."""


def parse_trusted_root(data: bytes) -> TrustedRoot:
    """Read a trusted root. Raises TRUST_ROOT_INVALID, LIMIT_EXCEEDED."""
    members = parse_json(data, what="the trusted root", max_bytes=MAX_BYTES, error=ERROR)
    return read_trusted_root(Fields(members, error=ERROR))


def read_trusted_root(fields: Fields) -> TrustedRoot:
    """Read a trusted root that is part of another document."""
    media_type = fields.string("mediaType")
    if media_type not in MEDIA_TYPES:
        raise MalformedError(
            ERROR,
            "the trusted root's media type is none that we know",
            expected=" or ".join(MEDIA_TYPES),
            found=repr(media_type),
        )
    skipped: list[str] = []
    return TrustedRoot(
        tlogs=_read_logs(fields, "tlogs", skipped),
        certificate_authorities=_read_authorities(fields, "certificateAuthorities", skipped),
        ctlogs=_read_logs(fields, "ctlogs", skipped),
        timestamp_authorities=_read_authorities(fields, "timestampAuthorities", skipped),
        media_type=media_type,
        skipped=tuple(skipped),
    )


def _read_logs(fields: Fields, name: str, skipped: list[str]) -> tuple[TransparencyLog, ...]:
    logs = []
    for log in _entries(fields, name):
        key = log.require("publicKey")
        # Before the key is read, since a missing start is fatal whatever the key.
        window = key.require("validFor").time_range()
        try:
            logs.append(_read_log(log, key, window))
        except VerificationError as error:
            skipped.append(f"{log.path('publicKey')}: {error}")
    return tuple(logs)


def _read_log(
    log: Fields, key_fields: Fields, window: tuple[datetime, datetime | None]
) -> TransparencyLog:
    if log.value("hashAlgorithm") not in (None, 1, "SHA2_256"):
        raise VerificationError("KEY_UNREADABLE", "the log's tree is not of SHA-256 hashes")
    key, algorithm = _read_key(key_fields)
    base_url = log.string("baseUrl")
    name = host_of(base_url)
    log_id = _key_id(log, "logId", _LOG_ID_BYTES)
    hint = _key_id(log, "checkpointKeyId", KEY_HINT_BYTES, _LOG_ID_BYTES)
    if not hint:
        hint = key.key_id if key.kind.startswith("ml-dsa") else note_key_id(name, key)
    if not log_id:
        log_id = note_key_id(name, key) if key.kind == "ed25519" else key.key_id
    return TransparencyLog(
        base_url=base_url,
        key=key,
        algorithm=algorithm,
        log_id=log_id,
        checkpoint_key_id=hint[:KEY_HINT_BYTES],
        valid_from=window[0],
        valid_until=window[1],
        operator=log.string("operator"),
        name=name,
    )


def _read_key(fields: Fields) -> tuple[PublicKey, Algorithm]:
    """Read a key and what it signs with; KEY_UNREADABLE if it is not for us."""
    details = fields.value("keyDetails")
    name = NAMES.get(details, str(details)) if isinstance(details, int) else details
    if not isinstance(name, str):
        raise fields.wrong("keyDetails", "the name of a kind of key")
    algorithm = by_name(name)
    der = fields.bytes("rawBytes")
    key = load_pkcs1_public_key(der) if name.startswith("PKCS1_") else load_public_key(der)
    if not key.allows(algorithm):
        raise VerificationError("KEY_UNREADABLE", f"a {key.kind} key cannot be {name}")
    # The names that leave the size open (PKCS1_*, PKIX_RSA_PSS, …) become those of this size.
    same = [a for a in key.algorithms if (a.kind, a.hash) == (algorithm.kind, algorithm.hash)]
    return key, same[0]


def _key_id(log: Fields, name: str, *sizes: int) -> bytes:
    """Read an id of one of these sizes; empty if it is not given."""
    fields = log.object(name)
    key_id = fields.bytes("keyId") if fields else b""
    if fields and key_id and len(key_id) not in sizes:
        raise fields.wrong("keyId", " or ".join(f"{size} bytes" for size in sizes))
    return key_id


def _read_authorities(
    fields: Fields, name: str, skipped: list[str]
) -> tuple[CertificateAuthority, ...]:
    found = []
    for authority in _entries(fields, name):
        valid_from, valid_until = authority.require("validFor").time_range()
        chain = authority.require("certChain").objects("certificates")
        if not 1 <= len(chain) <= MAX_CHAIN:
            raise authority.wrong("certChain", f"1 to {MAX_CHAIN} certificates")
        subject = authority.object("subject")
        encoded = [certificate.bytes("rawBytes") for certificate in chain]
        try:
            certificates = tuple([parse_certificate(der) for der in encoded])
        except TouchplateError as error:
            skipped.append(f"{authority.path('certChain')}: {error}")
            continue
        found.append(
            CertificateAuthority(
                uri=authority.string("uri"),
                subject=Subject(subject.string("organization"), subject.string("commonName"))
                if subject
                else Subject(),
                chain=certificates,
                valid_from=valid_from,
                valid_until=valid_until,
                operator=authority.string("operator"),
            )
        )
    return tuple(found)


def _entries(fields: Fields, name: str) -> tuple[Fields, ...]:
    entries = fields.objects(name)
    if len(entries) > MAX_ENTRIES:
        raise MalformedError(
            "LIMIT_EXCEEDED",
            f"{name} has too many entries",
            expected=f"at most {MAX_ENTRIES}",
            found=str(len(entries)),
        )
    return entries


def host_of(url: str) -> str:
    """Give the host of a URL, which may lack its scheme; no port, no user, no IPv6 brackets."""
    rest = url.partition("://")[2] or url
    for mark in "/?#":
        rest = rest.partition(mark)[0]
    rest = rest.rpartition("@")[2]
    if rest.startswith("["):
        return rest[1:].partition("]")[0]
    return rest.partition(":")[0]


def encode_trusted_root(root: TrustedRoot, media: str = "v0.1") -> bytes:
    """Give the document as JSON, `media` `v0.1` or `v0.2`; what was skipped is not in it.

    0.1 is what every client reads; 0.2 adds the operators and the checkpoint key ids.
    """
    return dumps(trusted_root_json(root, media), indent=2).encode() + b"\n"


def trusted_root_json(root: TrustedRoot, media: str = "v0.1") -> JsonObject:
    """Give the document as a JSON object, to be part of another."""
    full = {"v0.1": False, "v0.2": True}[media]
    return {
        "mediaType": MEDIA_TYPE_0_2 if full else MEDIA_TYPE_0_1,
        "tlogs": [_log_json(log, full=full) for log in root.tlogs],
        "certificateAuthorities": [
            _authority_json(authority, full=full) for authority in root.certificate_authorities
        ],
        "ctlogs": [_log_json(log, full=full) for log in root.ctlogs],
        "timestampAuthorities": [
            _authority_json(authority, full=full) for authority in root.timestamp_authorities
        ],
    }


def _log_json(log: TransparencyLog, *, full: bool) -> JsonObject:
    members: JsonObject = {
        "baseUrl": log.base_url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": base64_text(log.key.spki),
            "keyDetails": log.key_details,
            "validFor": time_range_json(log.valid_from, log.valid_until),
        },
        "logId": {"keyId": base64_text(log.log_id)},
    }
    if full:
        members["checkpointKeyId"] = {"keyId": base64_text(log.checkpoint_key_id)}
        if log.operator:
            members["operator"] = log.operator
    return members


def _authority_json(authority: CertificateAuthority, *, full: bool) -> JsonObject:
    members: JsonObject = {
        "subject": {
            "organization": authority.subject.organization,
            "commonName": authority.subject.common_name,
        },
        "uri": authority.uri,
        "certChain": {"certificates": [{"rawBytes": base64_text(c.der)} for c in authority.chain]},
        "validFor": time_range_json(authority.valid_from, authority.valid_until),
    }
    if full and authority.operator:
        members["operator"] = authority.operator
    return members
