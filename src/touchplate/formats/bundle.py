"""Sigstore bundles, media types 0.1, 0.2 and 0.3: protobuf JSON in, frozen values out and back.

Parsing checks the structure, the rules that each version has for its own form, and the limits
(bundle specification: `protobuf-specs: sigstore_bundle.proto`, `architecture-docs:
client-spec.md` §5). What the parts prove is for `touchplate.verify`.

The values here and in the other modules that `touchplate verify` loads are named tuples: to make
a frozen dataclass takes half a millisecond of every start, and a microsecond of every use.

The module is long: reading and writing a bundle are changed with each other in sight.
"""

import json
from binascii import b2a_base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from touchplate.errors import MalformedError
from touchplate.formats.base64text import base64_text, parse_base64
from touchplate.formats.certificate import Certificate, parse_certificate
from touchplate.formats.jsontext import MAX_INT64, Fields, JsonObject, parse_json, parse_unchecked
from touchplate.formats.limits import (
    MAX_BUNDLE_BYTES,
    MAX_CHAIN,
    MAX_CHECKPOINT_CHARACTERS,
    MAX_ENTRIES,
    MAX_ENTRY_BODY_BYTES,
    MAX_PROOF_HASHES,
    MAX_SIGNATURE_BYTES,
    MAX_TIMESTAMPS,
)
from touchplate.keys.algorithms import HASH_FROM_PROTOBUF, HASH_TO_PROTOBUF

if TYPE_CHECKING:
    from touchplate.formats.bundle_alike import Alike, Sized

Version = Literal["0.1", "0.2", "0.3"]

MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
MEDIA_TYPES: Final[Mapping[str, Version]] = {
    "application/vnd.dev.sigstore.bundle+json;version=0.1": "0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2": "0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.3": "0.3",
    MEDIA_TYPE: "0.3",
}

MAX_ALIKE_BYTES: Final = 65_536
"""A bundle above this is read as if it were the only one."""
MAX_NAMES: Final = 32
MAX_NAME_BYTES: Final = 512
MAX_ALIKE: Final = 4
"""Layouts that are known at a time: of so many names, each so long, and so many of one."""
MAX_SIZED: Final = 256
MAX_SIZED_BYTES: Final = 16_384
"""Sizes that are known at a time, of bundles so long at most."""
_IN_CERTIFICATE: Final = 160
"""Where in a bundle's text the first long string has begun, as a rule."""

_ERROR: Final = "BUNDLE_MALFORMED"
LOG_ID_BYTES: Final = 32
_HASH_NAMES: Final[Mapping[str, str]] = dict(HASH_FROM_PROTOBUF.items())
_PROTOBUF_NAMES: Final[Mapping[str, str]] = dict(HASH_TO_PROTOBUF.items())
_HASH_ALGORITHMS: Final = {
    0: "HASH_ALGORITHM_UNSPECIFIED",
    1: "SHA2_256",
    2: "SHA2_384",
    3: "SHA2_512",
    4: "SHA3_256",
    5: "SHA3_384",
}


class CertificateMaterial(NamedTuple):
    """The signer's certificate, and the others that came with it, which prove nothing."""

    leaf: Certificate
    chain: tuple[Certificate, ...] = ()


class PublicKeyHint(NamedTuple):
    """Which key signed, for who has the key: free text, and never the key."""

    hint: str = ""


class InclusionProof(NamedTuple):
    """A Merkle proof and the signed note that it leads to; `checkpoint` is empty if absent."""

    log_index: int
    """In a v1 log the index within its shard, which is the one to compute with."""
    root_hash: bytes
    tree_size: int
    hashes: tuple[bytes, ...]
    checkpoint: str


class TransparencyLogEntry(NamedTuple):
    """One log entry. Nothing about it has been verified."""

    log_index: int
    """In a v1 log the index over all shards."""
    log_id: bytes
    kind: str
    kind_version: str
    integrated_time: int
    """Unix seconds; means something only together with a verified `promise`."""
    promise: bytes | None
    """The signed entry timestamp of a v1 log."""
    proof: InclusionProof | None
    body: bytes
    """The exact bytes of the leaf."""

    @property
    def body_base64(self) -> bytes:
        """The body as base64, over which a log's promise is."""
        return b2a_base64(self.body, newline=False)

    @property
    def is_v2(self) -> bool:
        """The entry is of a kind that Rekor v2 logs hold."""
        return self.kind_version == "0.0.2" and self.kind != "intoto"


class MessageSignature(NamedTuple):
    """A signature over the artifact itself, and the digest that the signer says it has."""

    digest_algorithm: str | None
    """`sha256`, `sha384`, `sha512`, or the protobuf name of one that we do not support."""
    digest: bytes | None
    signature: bytes


class EnvelopeSignature(NamedTuple):
    """One signature of a DSSE envelope."""

    signature: bytes
    keyid: str = ""


class Envelope(NamedTuple):
    """A DSSE envelope: a payload, its type, and signatures over both."""

    payload: bytes
    payload_type: str
    signatures: tuple[EnvelopeSignature, ...]


class Bundle(NamedTuple):
    """What a signer hands out beside an artifact. Nothing in it has been verified."""

    version: Version
    material: CertificateMaterial | PublicKeyHint
    entries: tuple[TransparencyLogEntry, ...]
    timestamps: tuple[bytes, ...]
    """RFC 3161 responses, DER."""
    content: MessageSignature | Envelope


def parse_bundle(data: bytes) -> Bundle:
    """The bundle in this JSON text.

    Raises MalformedError: BUNDLE_MALFORMED, BUNDLE_VERSION (media type), BUNDLE_VERSION_RULE (a
    form that this version does not have), BUNDLE_LIMIT or LIMIT_EXCEEDED (too much of something).
    """
    return _READER.read(data)


class BundleReader:
    """Reads bundles, and those whose text is laid out as another's in two thirds of the time.

    The answers are the same. Any number of threads may use one reader.
    """

    __slots__ = ("_known", "_sized")

    def __init__(self) -> None:
        """Know no layout."""
        self._known: Final[dict[tuple[bytes, ...], tuple[Alike, ...]]] = {}
        self._sized: Final[dict[tuple[int, int, int], Sized | None]] = {}

    def read(self, data: bytes) -> Bundle:
        """The bundle in this JSON text. Raises as `parse_bundle` does."""
        if len(data) > MAX_ALIKE_BYTES:
            return _read(data)[0]
        # As a rule: where the certificate ends, and where the body of the log entry does.
        size = len(data), data.find(b'"', _IN_CERTIFICATE), data.find(b'"', len(data) // 2)
        sized = self._sized.get(size)
        if sized is not None:
            bundle = sized.read(data)
            if bundle is not None:
                return bundle
        pieces = data.split(b'"')
        # As a rule: how it is written, the media type, the signer's certificate, the signature.
        name = *pieces[:10:3], *pieces[-4::3]
        if sum(map(len, name)) > MAX_NAME_BYTES:
            return _read(data)[0]
        known = self._known.get(name, ())
        for alike in known:
            bundle = alike.read(pieces)
            if bundle is not None:
                self._remember(size, alike, pieces)
                return bundle
        bundle, members = _read(data)
        if name not in self._known:
            if len(self._known) >= MAX_NAMES:
                self._known.clear()
            self._known[name] = ()  # a layout is worth its making when it comes again
        elif members is not None:
            from touchplate.formats.bundle_alike import alike_of

            another = alike_of(data, bundle, members)
            if another is not None:
                self._known[name] = (another, *known[: MAX_ALIKE - 1])
        return bundle

    def _remember(self, size: tuple[int, int, int], alike: "Alike", pieces: list[bytes]) -> None:
        if size in self._sized and self._sized[size] is None:  # it is worth its making now
            from touchplate.formats.bundle_alike import sized_of

            self._sized[size] = sized_of(alike, pieces)
        elif size[0] <= MAX_SIZED_BYTES:
            if len(self._sized) >= MAX_SIZED:
                self._sized.clear()
            self._sized[size] = None


_READER: Final = BundleReader()


def _read(data: bytes) -> tuple[Bundle, JsonObject | None]:
    """The bundle; and its members if it is as usual and its text has no escaped quotes."""
    unchecked = parse_unchecked(data)
    if unchecked is not None:
        members, quotes = unchecked
        bundle = _usual(members)
        if bundle is not None and _is_all(members, quotes):
            return bundle, members
    members = parse_json(data, what="bundle", max_bytes=MAX_BUNDLE_BYTES, error=_ERROR)
    return _usual(members) or _any(members), None


def _any(members: JsonObject) -> Bundle:
    """The bundle in this object, in any form that is allowed; else the error that says why not."""
    root = Fields(members, error=_ERROR)
    version = MEDIA_TYPES.get(root.string("mediaType"))
    if version is None:
        raise MalformedError(
            "BUNDLE_VERSION",
            "the bundle is of no known version",
            expected=f"mediaType {MEDIA_TYPE}",
            found=ascii(root.string("mediaType"))[:120],
        )
    material = root.require("verificationMaterial")
    stamps = material.object("timestampVerificationData")
    return Bundle(
        version=version,
        material=_material(material, version),
        entries=_entries(material, version),
        timestamps=_timestamps(stamps) if stamps is not None else (),
        content=_content(root),
    )


def parse_entry(data: bytes) -> TransparencyLogEntry:
    """The entry in the JSON text of a TransparencyLogEntry, as v2 logs answer.

    Raises MalformedError BUNDLE_MALFORMED, BUNDLE_LIMIT or LIMIT_EXCEEDED.
    """
    limit = 2 * MAX_ENTRY_BODY_BYTES
    return _entry(
        Fields(parse_json(data, what="log entry", max_bytes=limit, error=_ERROR), error=_ERROR)
    )


def encode_bundle(bundle: Bundle) -> bytes:
    """The bundle as canonical protobuf JSON of version 0.3, in one line.

    A chain that came with an older version is left out: its leaf is what counts.
    """
    material: dict[str, Any]
    if isinstance(bundle.material, CertificateMaterial):
        material = {"certificate": {"rawBytes": base64_text(bundle.material.leaf.der)}}
    else:
        material = {"publicKey": {"hint": bundle.material.hint}}
    material["tlogEntries"] = [_entry_members(entry) for entry in bundle.entries]
    if bundle.timestamps:
        stamps = [{"signedTimestamp": base64_text(stamp)} for stamp in bundle.timestamps]
        material["timestampVerificationData"] = {"rfc3161Timestamps": stamps}
    members: dict[str, Any] = {"mediaType": MEDIA_TYPE, "verificationMaterial": material}
    content = bundle.content
    if isinstance(content, MessageSignature):
        message: dict[str, Any] = {"signature": base64_text(content.signature)}
        if content.digest is not None and content.digest_algorithm is not None:
            name = _PROTOBUF_NAMES.get(content.digest_algorithm, content.digest_algorithm)
            digest = {"algorithm": name, "digest": base64_text(content.digest)}
            message = {"messageDigest": digest, **message}
        members["messageSignature"] = message
    else:
        members["dsseEnvelope"] = {
            "payload": base64_text(content.payload),
            "payloadType": content.payload_type,
            "signatures": [
                {"sig": base64_text(item.signature)} | ({"keyid": item.keyid} if item.keyid else {})
                for item in content.signatures
            ],
        }
    return _encode(members)


def encode_entry(entry: TransparencyLogEntry) -> bytes:
    """The entry as protobuf JSON, in one line."""
    return _encode(_entry_members(entry))


def _usual(members: JsonObject) -> Bundle | None:
    """What `_any` gives, for a bundle in the form in which signers write it; None for others.

    In a fifth of the time, because nothing here can say where in the document it was: what is not
    just so, right or wrong, is left to `_any`. Nothing may be taken here that `_any` would refuse
    or read in another way.
    """
    try:
        version = MEDIA_TYPES[members["mediaType"]]
        material = members["verificationMaterial"]
        stamps = material.get("timestampVerificationData")
        stamps = [] if stamps is None else stamps["rfc3161Timestamps"]
        (entry,) = material["tlogEntries"]
        if "publicKey" in material or stamps.__class__ is not list or len(stamps) > 1:
            return None
        if version == "0.3":
            certificates = [material["certificate"]]
        else:
            certificates = material["x509CertificateChain"]["certificates"]
        if len(certificates) > MAX_CHAIN or (
            "certificate" in material and "x509CertificateChain" in material
        ):
            return None
        leaf, *rest = [parse_certificate(parse_base64(item["rawBytes"])) for item in certificates]
        if version == "0.1" and entry.get("inclusionPromise") is None:
            return None
        return Bundle(
            version,
            CertificateMaterial(leaf, tuple(rest)),
            (_usual_entry(entry),),
            tuple([parse_base64(item["signedTimestamp"]) for item in stamps]),
            _usual_content(members),
        )
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, MalformedError):
        return None


def _is_all(members: JsonObject, quotes: int) -> bool:
    """Whether a text with so many quotes says nothing but what `_usual` has read in `members`.

    What it reads as text, number or base64 is a string then, which has two quotes, and so has each
    name. A member that stood twice, or one that is not read, would leave the quotes of its name
    over; and each element of the arrays has been read.
    """
    material = members["verificationMaterial"]
    (entry,) = material["tlogEntries"]
    # Names and values: 3 and 1 of the bundle, 2 of the material, 5 and 2 of the entry, 1 and 1 of
    # the log's id, 2 and 2 of the kind, 5 and 3 of the proof, 1 and 1 of the checkpoint.
    strings = 19 + 10 + len(entry["inclusionProof"]["hashes"])
    if "integratedTime" in entry:
        strings += 2
    if "inclusionPromise" in entry:
        strings += 1 if entry["inclusionPromise"] is None else 3
    if "timestampVerificationData" in material:
        stamps = material["timestampVerificationData"]
        strings += 1 if stamps is None else 2 + 2 * len(stamps["rfc3161Timestamps"])
    if "certificate" in material:
        strings += 2
    else:
        strings += 1 + 2 * len(material["x509CertificateChain"]["certificates"])
    if "dsseEnvelope" in members:
        strings += 7 + 2 * ("keyid" in members["dsseEnvelope"]["signatures"][0])
    else:
        strings += 7
    return quotes == 2 * strings


def _usual_entry(found: JsonObject) -> TransparencyLogEntry:
    kind, promise, proof = (
        found["kindVersion"],
        found.get("inclusionPromise"),
        found["inclusionProof"],
    )
    log_id, body = parse_base64(found["logId"]["keyId"]), parse_base64(found["canonicalizedBody"])
    hashes = proof["hashes"]
    if len(log_id) != LOG_ID_BYTES or len(body) > MAX_ENTRY_BODY_BYTES:
        raise ValueError("a size that is not usual")
    if hashes.__class__ is not list or len(hashes) > MAX_PROOF_HASHES:
        raise ValueError("a proof that is not usual")
    return TransparencyLogEntry(
        _usual_number(found["logIndex"]),
        log_id,
        usual_text(kind["kind"]),
        usual_text(kind["version"]),
        _usual_number(found.get("integratedTime", "0")),
        None if promise is None else usual_signature(promise["signedEntryTimestamp"]),
        InclusionProof(
            _usual_number(proof["logIndex"]),
            parse_base64(proof["rootHash"]),
            _usual_number(proof["treeSize"]),
            tuple([parse_base64(item) for item in hashes]),
            usual_text(proof["checkpoint"]["envelope"]),
        ),
        body,
    )


def _usual_content(members: JsonObject) -> MessageSignature | Envelope:
    if "dsseEnvelope" not in members:
        message = members["messageSignature"]
        digest = message["messageDigest"]
        if digest["algorithm"] != "SHA2_256":
            raise ValueError("a hash that is not usual")
        return MessageSignature(
            "sha256", parse_base64(digest["digest"]), usual_signature(message["signature"])
        )
    if "messageSignature" in members:
        raise ValueError("two contents")
    envelope = members["dsseEnvelope"]
    (signature,) = envelope["signatures"]
    content = usual_signature(signature["sig"])
    return Envelope(
        parse_base64(envelope["payload"]),
        usual_text(envelope["payloadType"]),
        (EnvelopeSignature(content, usual_text(signature.get("keyid", ""))),),
    )


def _usual_number(text: str) -> int:
    number = int(text)
    if str(number) != text or not 0 <= number <= MAX_INT64:
        raise ValueError("not a number as usual")
    return number


def usual_text(text: str) -> str:
    """A text of a size that is usual. Raises ValueError for others."""
    if text.__class__ is not str or len(text) > MAX_CHECKPOINT_CHARACTERS:
        raise ValueError("not a text of usual size")
    text.encode()  # half of a surrogate pair cannot be
    return text


def usual_signature(text: str | bytes) -> bytes:
    """A signature in base64, of a size that is usual. Raises ValueError for others."""
    signature = parse_base64(text)
    if not 1 <= len(signature) <= MAX_SIGNATURE_BYTES:
        raise ValueError("not a signature of usual size")
    return signature


def _material(material: Fields, version: Version) -> CertificateMaterial | PublicKeyHint:
    name = material.one_of(("publicKey", "x509CertificateChain", "certificate"))
    if name is None:
        raise material.missing("certificate or publicKey")
    found = material.require(name)
    if name == "publicKey":
        return PublicKeyHint(found.string("hint"))
    if (name == "certificate") != (version == "0.3"):
        raise MalformedError(
            "BUNDLE_VERSION_RULE",
            f"a bundle of version {version} cannot have {material.path(name)}",
            expected="certificate" if version == "0.3" else "x509CertificateChain",
            found=name,
        )
    if name == "certificate":
        return CertificateMaterial(_certificate(found))
    items = found.objects("certificates")
    if not items:
        raise found.missing("certificates")
    _limit(len(items), MAX_CHAIN, "certificates")
    leaf, *rest = (_certificate(item) for item in items)
    return CertificateMaterial(leaf, tuple(rest))


def _certificate(found: Fields) -> Certificate:
    try:
        return parse_certificate(found.bytes("rawBytes"))
    except MalformedError as error:
        raise MalformedError(_ERROR, f"{found.path('rawBytes')}: {error.message}") from error


def _entries(material: Fields, version: Version) -> tuple[TransparencyLogEntry, ...]:
    items = material.objects("tlogEntries")
    _limit(len(items), MAX_ENTRIES, "log entries")
    entries = tuple([_entry(item) for item in items])
    if len(entries) > 1 and len({(e.log_id, e.log_index) for e in entries}) != len(entries):
        raise MalformedError("BUNDLE_LIMIT", "the bundle holds the same log entry twice")
    if version == "0.1" and any(entry.promise is None for entry in entries):
        raise MalformedError(
            "BUNDLE_VERSION_RULE", "a log entry of a bundle of version 0.1 has an inclusionPromise"
        )
    return entries


def _entry(found: Fields) -> TransparencyLogEntry:
    log_id = found.require("logId").bytes("keyId")
    kind = found.object("kindVersion")
    promise = found.object("inclusionPromise")
    proof = found.object("inclusionProof")
    body = found.bytes("canonicalizedBody")
    _limit(len(body), MAX_ENTRY_BODY_BYTES, "bytes in the body of a log entry")
    if len(log_id) != LOG_ID_BYTES:
        raise found.wrong("logId", "a keyId of 32 bytes")
    return TransparencyLogEntry(
        log_index=_natural(found, "logIndex"),
        log_id=log_id,
        kind="" if kind is None else kind.string("kind"),
        kind_version="" if kind is None else kind.string("version"),
        integrated_time=_natural(found, "integratedTime"),
        promise=None if promise is None else _signature(promise, "signedEntryTimestamp"),
        proof=None if proof is None else _proof(proof),
        body=body,
    )


def _proof(found: Fields) -> InclusionProof:
    checkpoint = found.object("checkpoint")
    envelope = "" if checkpoint is None else checkpoint.string("envelope")
    hashes = found.byte_strings("hashes")
    _limit(len(hashes), MAX_PROOF_HASHES, "hashes in an inclusion proof")
    _limit(len(envelope), MAX_CHECKPOINT_CHARACTERS, "characters in a checkpoint")
    return InclusionProof(
        log_index=_natural(found, "logIndex"),
        root_hash=found.bytes("rootHash"),
        tree_size=_natural(found, "treeSize"),
        hashes=hashes,
        checkpoint=envelope,
    )


def _timestamps(found: Fields) -> tuple[bytes, ...]:
    items = found.objects("rfc3161Timestamps")
    _limit(len(items), MAX_TIMESTAMPS, "timestamps")
    stamps = tuple([item.bytes("signedTimestamp") for item in items])
    if len(set(stamps)) != len(stamps):
        raise MalformedError("BUNDLE_LIMIT", "the bundle holds the same timestamp twice")
    return stamps


def _content(root: Fields) -> MessageSignature | Envelope:
    name = root.one_of(("messageSignature", "dsseEnvelope"))
    if name is None:
        raise root.missing("messageSignature or dsseEnvelope")
    found = root.require(name)
    if name == "messageSignature":
        digest = found.object("messageDigest")
        algorithm = value = None
        if digest is not None:
            algorithm = digest.enum("algorithm", _HASH_ALGORITHMS, _HASH_ALGORITHMS[0])
            algorithm = _HASH_NAMES.get(algorithm or "", algorithm)
            value = digest.bytes("digest")
        return MessageSignature(algorithm, value, _signature(found, "signature"))
    return Envelope(
        payload=found.bytes("payload"),
        payload_type=found.string("payloadType"),
        signatures=tuple(
            [
                EnvelopeSignature(_signature(item, "sig"), item.string("keyid"))
                for item in found.objects("signatures")
            ]
        ),
    )


def _signature(found: Fields, name: str) -> bytes:
    signature = found.bytes(name)
    if not signature:
        raise found.missing(name)
    _limit(len(signature), MAX_SIGNATURE_BYTES, f"bytes in {name}")
    return signature


def _natural(found: Fields, name: str) -> int:
    number = found.int64(name)
    if number < 0:
        raise found.wrong(name, "an integer that is not negative")
    return number


def _limit(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise MalformedError(
            "BUNDLE_LIMIT", f"too many {what}", expected=f"at most {limit}", found=str(count)
        )


def _entry_members(entry: TransparencyLogEntry) -> dict[str, Any]:
    members: dict[str, Any] = {
        "logIndex": str(entry.log_index),
        "logId": {"keyId": base64_text(entry.log_id)},
        "kindVersion": {"kind": entry.kind, "version": entry.kind_version},
    }
    if entry.integrated_time:
        members["integratedTime"] = str(entry.integrated_time)
    if entry.promise is not None:
        members["inclusionPromise"] = {"signedEntryTimestamp": base64_text(entry.promise)}
    proof = entry.proof
    if proof is not None:
        members["inclusionProof"] = {
            "logIndex": str(proof.log_index),
            "rootHash": base64_text(proof.root_hash),
            "treeSize": str(proof.tree_size),
            "hashes": [base64_text(item) for item in proof.hashes],
            "checkpoint": {"envelope": proof.checkpoint},
        }
    members["canonicalizedBody"] = base64_text(entry.body)
    return members


def _encode(members: dict[str, Any]) -> bytes:
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
