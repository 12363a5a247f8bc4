"""Answers of API v1 (Rekor): log entries, log info, proofs, and errors.

Integers are JSON numbers, hashes are hex, and every answer ends with a newline.
"""

import json
import logging
from collections.abc import Callable
from typing import Final

from touchplate.errors import TouchplateError, UnavailableError
from touchplate.tilelog.bundle import record_data
from touchplate.tlog.key import encode_base64
from touchplate.tlog.log import TransparencyLog
from touchplate.tlog.shards import Found, Shards
from touchplate.transport.asgi import Response

# What go-openapi puts into `code` when a value breaks the schema; the status is 422 then.
INVALID_TYPE: Final = 601
REQUIRED: Final = 602
TOO_LONG: Final = 603
PATTERN: Final = 605
NO_SUCH_VALUE: Final = 606
TOO_SMALL: Final = 609
TOO_MANY_ITEMS: Final = 611
TOO_FEW_ITEMS: Final = 612

ENTRIES_PATH: Final = "/api/v1/log/entries"
FROZEN: Final = "This log has been frozen, please switch to the latest log"

# What is read changes with every entry. Upstream sends all of these, with errors too.
NO_CACHE: Final = (
    ("cache-control", "no-cache, no-store, no-transform, must-revalidate, private, max-age=0"),
    ("expires", "Thu, 01 Jan 1970 00:00:00 UTC"),
    ("pragma", "no-cache"),
    ("x-accel-expires", "0"),
)

_logger = logging.getLogger("touchplate.tlog")

# What is kept beside an entry, if anything is; see `attestations`.
Attest = Callable[[Found], bytes | None]

_ENTRY: Final = (
    b'{"%b":{%b"body":"%b","integratedTime":%d,"logID":"%b","logIndex":%d,"verification":'
    b'{"inclusionProof":{"checkpoint":%b,"hashes":[%b],"logIndex":%d,"rootHash":"%b",'
    b'"treeSize":%d},"signedEntryTimestamp":"%b"}}}'
)
_ATTESTATION: Final = b'"attestation":{"data":"%b"},'


def encode_entry(found: Found, attestation: bytes | None = None) -> bytes:
    """Give the LogEntry map with its one member, and sign its promise.

    The promise is about the index over all trees, the proof about the one in the entry's tree.
    Neither covers the attestation.
    """
    log, receipt, virtual_index = found
    body = encode_base64(record_data(receipt.record))
    integrated_time = receipt.time_ms // 1000
    promise = log.key.sign_promise(body, integrated_time, virtual_index)
    checkpoint = log.v1_checkpoint(receipt.checkpoint)
    hashes = ",".join(f'"{node.hex()}"' for node in receipt.proof)
    return _ENTRY % (
        found.entry_id.encode(),
        b"" if attestation is None else _ATTESTATION % encode_base64(attestation),
        body,
        integrated_time,
        log.key.log_id.hex().encode(),
        virtual_index,
        json.dumps(checkpoint.envelope, ensure_ascii=False).encode(),
        hashes.encode(),
        receipt.index,
        checkpoint.root.hex().encode(),
        checkpoint.size,
        encode_base64(promise),
    )


def answer_created(found: Found, query: str = "") -> Response:
    """Answer 201. The ETag has no quotes: clients look the entry up by its exact text."""
    headers = (("etag", found.entry_id), ("location", _location(found, query)))
    return Response(201, encode_entry(found) + b"\n", headers=headers)


def answer_conflict(found: Found, query: str = "") -> Response:
    """Answer that the log has the entry, and where."""
    text = "an equivalent entry already exists in the transparency log with UUID " + found.entry_id
    return answer_fault(409, text, headers=(("location", _location(found, query)),))


def _location(found: Found, query: str) -> str:
    return f"{ENTRIES_PATH}/{found.entry_id}{query}"


def answer_entry(found: Found | None, attest: Attest) -> Response:
    """Answer an entry, or 404 with an empty body."""
    if found is None:
        return Response(404, b"", "")
    return Response(200, encode_entry(found, attest(found)) + b"\n")


def answer_info(shards: Shards) -> Response:
    """Answer LogInfo: the size, root and a checkpoint of each tree."""
    inactive = [_describe(log) for log in shards.frozen]
    return answer_json(200, {"inactiveShards": inactive, **_describe(shards.active)})


def _describe(log: TransparencyLog) -> dict[str, object]:
    checkpoint = log.tiles.checkpoint()
    return {
        "rootHash": checkpoint.root.hex(),
        "signedTreeHead": log.v1_checkpoint(checkpoint).envelope,
        "treeID": str(log.key.tree_id),
        "treeSize": checkpoint.size,
    }


def answer_error(error: TouchplateError, prefix: str = "") -> Response:
    """Answer one of our errors: 503 if time must pass, else the client's mistake, 400."""
    if isinstance(error, UnavailableError):
        text = "unexpected error communicating with transparency log"
        return answer_fault(503, text, headers=(("retry-after", "1"),))
    return answer_fault(400, prefix + str(error))


def answer_not_appended(error: TouchplateError) -> Response:
    """Answer that the log did not take an entry that was admitted: never the client's mistake."""
    if error.code == "LOG_FROZEN":
        return answer_fault(405, FROZEN, headers=(("allow", "GET, HEAD"),))
    if isinstance(error, UnavailableError):
        return answer_error(error)
    _logger.error("an entry was not integrated: %s: %s", error.code, error)
    return answer_fault(500, "unexpected result from transparency log")


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
