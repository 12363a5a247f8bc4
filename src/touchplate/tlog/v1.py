"""Answers of API v1 (Rekor): log entries, log info, proofs, and errors.

Integers are JSON numbers, hashes are hex, and every answer ends with a newline.
"""

import json
from typing import Final

from touchplate.errors import TouchplateError, UnavailableError
from touchplate.tilelog.bundle import record_data
from touchplate.tilelog.entry import Receipt, SignedCheckpoint
from touchplate.tlog.key import encode_base64
from touchplate.tlog.log import TransparencyLog
from touchplate.transport.asgi import Response

# What go-openapi puts into `code` when a value breaks the schema; the status is 422 then.
INVALID_TYPE: Final = 601
REQUIRED: Final = 602
PATTERN: Final = 605
TOO_SMALL: Final = 609
TOO_MANY_ITEMS: Final = 611

ENTRIES_PATH: Final = "/api/v1/log/entries"

# Reads of the log change with every entry; upstream sends all of these.
NO_CACHE: Final = (
    ("cache-control", "no-cache, no-store, no-transform, must-revalidate, private, max-age=0"),
    ("expires", "Thu, 01 Jan 1970 00:00:00 UTC"),
    ("pragma", "no-cache"),
    ("x-accel-expires", "0"),
)

_ENTRY: Final = (
    b'{"%b":{"body":"%b","integratedTime":%d,"logID":"%b","logIndex":%d,"verification":'
    b'{"inclusionProof":{"checkpoint":%b,"hashes":[%b],"logIndex":%d,"rootHash":"%b",'
    b'"treeSize":%d},"signedEntryTimestamp":"%b"}}}'
)


def entry_id(log: TransparencyLog, receipt: Receipt) -> str:
    """Give the 80 hex digits that name an entry: the tree id and the leaf hash."""
    return f"{log.key.tree_id:016x}{receipt.leaf_hash.hex()}"


def encode_entry(log: TransparencyLog, receipt: Receipt) -> bytes:
    """Give the LogEntry map with its one member, and sign its promise.

    The log has one shard, so the index over all shards is the index in the tree.
    """
    body = encode_base64(record_data(receipt.record))
    integrated_time = receipt.time_ms // 1000
    promise = log.key.sign_promise(body, integrated_time, receipt.index)
    checkpoint = log.v1_checkpoint(receipt.checkpoint)
    hashes = ",".join(f'"{node.hex()}"' for node in receipt.proof)
    return _ENTRY % (
        entry_id(log, receipt).encode(),
        body,
        integrated_time,
        log.key.log_id.hex().encode(),
        receipt.index,
        json.dumps(checkpoint.envelope, ensure_ascii=False).encode(),
        hashes.encode(),
        receipt.index,
        checkpoint.root.hex().encode(),
        checkpoint.size,
        encode_base64(promise),
    )


def answer_created(log: TransparencyLog, receipt: Receipt) -> Response:
    """Answer 201. The ETag has no quotes: clients look the entry up by its exact text."""
    name = entry_id(log, receipt)
    headers = (("etag", name), ("location", f"{ENTRIES_PATH}/{name}"))
    return Response(201, encode_entry(log, receipt) + b"\n", headers=headers)


def answer_conflict(log: TransparencyLog, receipt: Receipt) -> Response:
    """Answer that the log has the entry, and where."""
    name = entry_id(log, receipt)
    text = f"an equivalent entry already exists in the transparency log with UUID {name}"
    return answer_fault(409, text, headers=(("location", f"{ENTRIES_PATH}/{name}"),))


def answer_entry(log: TransparencyLog, receipt: Receipt | None) -> Response:
    """Answer an entry, or 404 with an empty body."""
    if receipt is None:
        return Response(404, b"", "", NO_CACHE)
    return Response(200, encode_entry(log, receipt) + b"\n", headers=NO_CACHE)


def answer_info(log: TransparencyLog, checkpoint: SignedCheckpoint) -> Response:
    """Answer LogInfo: the tree's size and root, and a checkpoint for them."""
    info = {
        "inactiveShards": [],
        "rootHash": checkpoint.root.hex(),
        "signedTreeHead": log.v1_checkpoint(checkpoint).envelope,
        "treeID": str(log.key.tree_id),
        "treeSize": checkpoint.size,
    }
    return answer_json(200, info, NO_CACHE)


def answer_error(error: TouchplateError, prefix: str = "") -> Response:
    """Answer one of our errors: 503 if time must pass, else the client's mistake, 400."""
    if isinstance(error, UnavailableError):
        text = "unexpected error communicating with transparency log"
        return answer_fault(503, text, headers=(("retry-after", "1"),))
    return answer_fault(400, prefix + str(error))


def answer_fault(
    status: int,
    message: str,
    code: int | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> Response:
    """Answer `{"code","message"}`; the code is the status unless the schema has another."""
    return answer_json(status, {"code": code or status, "message": message}, headers)


def answer_json(status: int, value: object, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """Answer JSON as upstream writes it: compact, not escaped, one newline at the end."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Response(status, text.encode(errors="replace") + b"\n", headers=headers)
