"""The answer of a version 1 log (`rekor: openapi.yaml`): hex where a bundle has base64."""

from __future__ import annotations

from touchplate.entries.body import parse_body
from touchplate.errors import MalformedError
from touchplate.formats.bundle import InclusionProof, TransparencyLogEntry
from touchplate.formats.jsontext import Fields, parse_json
from touchplate.formats.limits import (
    MAX_CHECKPOINT_CHARACTERS,
    MAX_ENTRY_BODY_BYTES,
    MAX_PROOF_HASHES,
)

_ERROR = "RESPONSE_MALFORMED"


def parse_answer(data: bytes) -> TransparencyLogEntry:
    """Read an object with exactly one entry in it, by its UUID.

    64 hex digits are valid base64 too: everything that is hex here is read as hex and must be of
    its one length. Raises RESPONSE_MALFORMED, LIMIT_EXCEEDED, ENTRY_MALFORMED (the body).
    """
    return parse_named_answer(data)[1]


def parse_named_answer(data: bytes) -> tuple[str, TransparencyLogEntry]:
    """Read an object with exactly one entry, and give its UUID as it stands, too."""
    members = parse_json(data, what="log entry", max_bytes=2 * MAX_ENTRY_BODY_BYTES, error=_ERROR)
    outer = Fields(members, error=_ERROR)
    if len(members) != 1:
        raise MalformedError(_ERROR, f"{len(members)} entries instead of one")
    uuid = next(iter(members))
    entry = outer.require(uuid)
    body = entry.bytes("body")
    kind = parse_body(body)
    verification = entry.require("verification")
    made = TransparencyLogEntry(
        log_index=_natural(entry, "logIndex"),
        log_id=_hex(entry, "logID"),
        kind=kind.kind,
        kind_version=kind.version,
        integrated_time=_natural(entry, "integratedTime"),
        promise=verification.bytes("signedEntryTimestamp") or None,
        proof=_proof(verification),
        body=body,
    )
    return uuid, made


def _proof(verification: Fields) -> InclusionProof | None:
    found = verification.object("inclusionProof")
    if found is None:
        return None
    hashes = found.strings("hashes")
    checkpoint = found.string("checkpoint")
    if len(hashes) > MAX_PROOF_HASHES or len(checkpoint) > MAX_CHECKPOINT_CHARACTERS:
        raise MalformedError("LIMIT_EXCEEDED", "inclusion proof with too many or too long members")
    return InclusionProof(
        log_index=_natural(found, "logIndex"),
        root_hash=_hex(found, "rootHash"),
        tree_size=_natural(found, "treeSize"),
        hashes=tuple(_unhex(found, "hashes", text) for text in hashes),
        checkpoint=checkpoint,
    )


def _hex(fields: Fields, name: str) -> bytes:
    return _unhex(fields, name, fields.string(name))


def _unhex(fields: Fields, name: str, text: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError as error:
        raise fields.wrong(name, "64 hex digits") from error
    if len(text) != 64 or len(value) != 32:
        raise fields.wrong(name, "64 hex digits")
    return value


def _natural(fields: Fields, name: str) -> int:
    number = fields.int64(name)
    if number < 0:
        raise fields.wrong(name, "an integer that is not negative")
    return number
