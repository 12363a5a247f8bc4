"""A dump of a version 1 log: one LogEntry object a line, as its API answers them, in index order.

    curl …/api/v1/log/entries?logIndex=N        {"ENTRYID":{"body":…,"integratedTime":…,…}}

Each line is held to its own id, and to the line before it. That the entries are those of the log
only their root can say.
"""

from __future__ import annotations

import json
from binascii import b2a_base64
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final, NamedTuple

from touchplate.errors import MalformedError, VerificationError
from touchplate.formats.base64text import parse_any_base64
from touchplate.formats.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from touchplate.formats.jsontext import Fields, parse_json
from touchplate.formats.limits import MAX_CHECKPOINT_CHARACTERS
from touchplate.formats.note import parse_note, rekor_v1_verifier
from touchplate.keys.public import PublicKey, check_signature
from touchplate.merkle.tree import LeafHash, leaf_hash

MAX_LINE: Final = 16 * 1024 * 1024
_MAX_INT64: Final = 2**63 - 1
_MAX_SECONDS: Final = 253_402_300_799  # the year 9999
_UUID: Final = 64  # hex digits
_ENTRY_ID: Final = 80
_ERROR: Final = "RESPONSE_MALFORMED"


class DumpEntry(NamedTuple):
    """One line, held to its id."""

    tree_index: int
    log_index: int  # over all trees of its log
    tree_id: int | None  # None if the id does not name it
    body: bytes
    leaf: LeafHash
    integrated_time: int  # Unix time, seconds
    log_id: str  # hex
    promise: bytes  # the signed entry timestamp, not checked; empty if there is none


def read_dump(lines: Iterable[bytes]) -> Iterator[DumpEntry]:
    """Read the entries of one tree, from its first on.

    Raises RESPONSE_MALFORMED, LIMIT_EXCEEDED, and TLOG_INVALID for a body that is not the one of
    its id, for a gap, and for entries of another tree or key; each names the line.
    """
    first: DumpEntry | None = None
    number = 0
    for number, line in enumerate(lines, 1):
        try:
            entry = _parse(line)
            if first is None:
                first = entry
                if entry.tree_index:
                    raise _invalid(
                        f"the dump begins with entry {entry.tree_index} of its tree, not 0"
                    )
            entry = entry._replace(tree_index=entry.log_index - first.log_index)
            if entry.tree_index != number - 1:
                raise _invalid(
                    "entries are missing or not in order",
                    f"log index {first.log_index + number - 1}",
                    str(entry.log_index),
                )
            if (entry.tree_id, entry.log_id) != (first.tree_id, first.log_id):
                raise _invalid(
                    "the entry is of another tree or key: a dump holds one tree",
                    _tree_text(first),
                    _tree_text(entry),
                )
        except MalformedError as error:
            raise MalformedError(error.code, f"line {number}: {error}") from error
        except VerificationError as error:
            raise VerificationError(error.code, f"line {number}: {error}") from error
        yield entry


def read_lines(file: BinaryIO) -> Iterator[bytes]:
    """Give the lines of a file, none of them much longer than one may be."""
    return iter(lambda: file.readline(MAX_LINE + 1), b"")


def proven_body(line: bytes) -> bytes:
    """Give the body in a line that `read_dump` has read before (RESPONSE_MALFORMED)."""
    try:
        (entry,) = json.loads(line).values()
        return parse_any_base64(entry["body"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise MalformedError(_ERROR, "the dump has changed while it was read") from error


def check_promise(entry: DumpEntry, key: PublicKey) -> None:
    """Prove that the log promised the entry, with this time and index (SET_INVALID)."""
    # RFC 8785 of this object: members in this order.
    payload = b'{"body":"%b","integratedTime":%d,"logID":"%b","logIndex":%d}' % (
        b2a_base64(entry.body, newline=False),
        entry.integrated_time,
        entry.log_id.encode(),
        entry.log_index,
    )
    algorithm = next((each for each in key.algorithms if each.hash == "sha256"), None)
    try:
        if algorithm is None or algorithm.kind != "ecdsa":
            raise VerificationError(
                "SET_INVALID", "v1 logs promise with ECDSA and SHA-256", found=key.kind
            )
        check_signature(key, entry.promise, payload, algorithm)
    except VerificationError as error:
        raise VerificationError(
            "SET_INVALID",
            f"the promise of log index {entry.log_index} does not verify: {error.message}",
        ) from error


def read_checkpoint(data: bytes, key: PublicKey | None) -> Checkpoint:
    """Read a checkpoint of version 1: the note itself, or the LogInfo object that holds it.

    With `key` its signature must hold. Raises CHECKPOINT_MALFORMED, CHECKPOINT_KEYHINT,
    CHECKPOINT_SIGNATURE, RESPONSE_MALFORMED.
    """
    if data.lstrip()[:1] == b"{":
        members = parse_json(data, what="log info", max_bytes=MAX_LINE, error=_ERROR)
        envelope = Fields(members, error=_ERROR).string("signedTreeHead")
    else:
        envelope = data.decode("utf-8", "replace")
    if key is None:
        return parse_checkpoint(parse_note(envelope, max_bytes=MAX_CHECKPOINT_CHARACTERS))
    return open_checkpoint(envelope, rekor_v1_verifier(key), v1=True)


def _parse(line: bytes) -> DumpEntry:
    members = parse_json(line, what="log entry", max_bytes=MAX_LINE, error=_ERROR)
    if len(members) != 1:
        raise MalformedError(_ERROR, f"{len(members)} entries instead of one")
    (entry_id,) = members
    entry = Fields(members, error=_ERROR).require(entry_id)
    body = entry.bytes("body")
    leaf = leaf_hash(body)
    tree_id = _tree_id(entry_id)
    if entry_id[-_UUID:].lower() != leaf.hex():
        raise _invalid("the body is not the one of the entry's id", entry_id[-_UUID:], leaf.hex())
    log_index = _natural(entry, "logIndex", _MAX_INT64)
    verification = entry.object("verification")
    promise, index = b"", -1
    if verification is not None:
        promise = verification.bytes("signedEntryTimestamp")
        if (proof := verification.object("inclusionProof")) is not None:
            index = _natural(proof, "logIndex", _MAX_INT64)
    log_id = entry.string("logID")
    if len(log_id) != _UUID or log_id.strip("0123456789abcdef"):
        raise entry.wrong("logID", "64 lower-case hex digits")
    time = _natural(entry, "integratedTime", _MAX_SECONDS)
    # Without a proof the first entry's own index is taken for the first of its tree.
    return DumpEntry(max(index, 0), log_index, tree_id, body, leaf, time, log_id, promise)


def _tree_id(entry_id: str) -> int | None:
    if entry_id.strip("0123456789abcdefABCDEF") or len(entry_id) not in (_UUID, _ENTRY_ID):
        raise MalformedError(_ERROR, "an entry id is 64 or 80 hex digits", found=entry_id[:100])
    return int(entry_id[:-_UUID], 16) if len(entry_id) == _ENTRY_ID else None


def _natural(fields: Fields, name: str, most: int) -> int:
    number = fields.int64(name)
    if not (0 <= number <= most and fields.has(name)):
        raise fields.wrong(name, f"an integer from 0 to {most}")
    return number


def _tree_text(entry: DumpEntry) -> str:
    return f"tree {entry.tree_id}, key {entry.log_id}"


def _invalid(
    message: str, expected: str | None = None, found: str | None = None
) -> VerificationError:
    return VerificationError("TLOG_INVALID", message, expected=expected, found=found)
