"""A page as JSON (`docs/reference/formats/search.md`)."""

import json
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from touchplate.formats.extensions import BY_NUMBER
from touchplate.formats.timetext import format_timestamp
from touchplate.index.index import Progress
from touchplate.index.search import Page, Row

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def encode_page(page: Page, progress: Sequence[Progress]) -> bytes:
    """Write a page, and how far the index is."""
    members: dict[str, Any] = {"rows": [row_members(row) for row in page.rows]}
    if page.checkpoint is not None:
        members["checkpoint"] = page.checkpoint.envelope
    members["next"] = page.cursor
    members["index"] = [progress_members(each) for each in progress]
    text = json.dumps(members, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace") + b"\n"


def row_members(row: Row) -> dict[str, Any]:
    """Give one row; the body and its proof only if proofs were asked for."""
    found = row.terms
    members: dict[str, Any] = {
        "entryId": row.entry_id,
        "logIndex": row.virtual_index,
        "treeId": str(row.tree_id),
        "treeIndex": row.entry,
        "integratedTime": format_timestamp(_EPOCH + timedelta(milliseconds=row.time_ms)),
        "kind": found.kind,
        "version": found.version,
        "digests": found.digests,
        "identities": found.identities,
        "issuers": found.issuers,
        "keys": found.keys,
        "extensions": [_extension(number, text) for number, text in found.extensions],
    }
    if row.proof is not None:
        members["body"] = b64encode(row.body).decode()
        members["proof"] = [node.hex() for node in row.proof]
    return members


def progress_members(progress: Progress) -> dict[str, Any]:
    """Give how far one tree is indexed."""
    return {
        "treeId": str(progress.tree_id),
        "indexed": progress.indexed,
        "size": progress.size,
        "behindSeconds": progress.behind_ms / 1000,
    }


def _extension(number: int, text: str) -> dict[str, Any]:
    row = BY_NUMBER.get(number)
    named = {} if row is None else {"name": row.name}
    return {"number": number, **named, "value": text}
