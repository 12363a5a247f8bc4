"""HTTP of the transparency log: API v2 and its tiles; API v1 is in `v1_routes`.

Reading goes to the server's threads. A new entry is checked on the event loop, since to hand it
over costs as much as the check.
"""

import re
from typing import Final

from touchplate.entries.create_entry import MAX_REQUEST_BYTES, admit
from touchplate.errors import TouchplateError
from touchplate.tlog import v2
from touchplate.tlog.appender import Appender
from touchplate.tlog.attestations import Attestations
from touchplate.tlog.log import TransparencyLog
from touchplate.tlog.search import Search
from touchplate.tlog.shards import Shards
from touchplate.tlog.static import NO_TILE, answer_checkpoint, answer_tile
from touchplate.tlog.v1_routes import v1_routes
from touchplate.tlog.v2_fault import FROZEN, conflict, not_admitted, not_appended, unreadable
from touchplate.tlog.v2_request import read_request
from touchplate.transport.asgi import Request, Response, Route

_TREE_ID: Final = re.compile(r"[0-9a-f]{16}")


def routes(
    shards: Shards, search: Search | None = None, attestations: Attestations | None = None
) -> tuple[Route, ...]:
    """Give every route of the log. All handlers run in one event loop at a time.

    Without `search` that operation of API v1 is 501.
    """
    return (
        *_v2_routes(shards.active),
        *_static_routes(shards),
        *v1_routes(shards, search, attestations),
    )


def _v2_routes(log: TransparencyLog) -> tuple[Route, ...]:
    append = Appender(log.tiles)
    encoder = v2.EntryEncoder(log.key)
    settings = log.settings
    frozen = False  # as far as this process knows; it is for ever

    async def create(request: Request) -> Response:
        nonlocal frozen
        if frozen:
            return v2.answer_fault(FROZEN)
        try:
            asked = read_request(request.body, settings)
        except TouchplateError as error:
            return v2.answer_fault(unreadable(error))
        try:
            admitted = admit(asked, settings.algorithms)
        except TouchplateError as error:
            return v2.answer_fault(not_admitted(asked, error))
        try:
            receipt = await append(log.submission(admitted))
        except TouchplateError as error:
            log.note_failure(error)
            fault = not_appended(error)
            frozen = fault is FROZEN
            return v2.answer_fault(fault)
        log.note_appended(admitted, receipt)
        if receipt.duplicate and settings.duplicate_is_conflict:
            return v2.answer_fault(conflict(receipt.index))
        return Response(201, encoder.encode(admitted, receipt))

    return (Route("POST", "/api/v2/log/entries", create, max_body=MAX_REQUEST_BYTES),)


def _static_routes(shards: Shards) -> tuple[Route, ...]:
    """Give the files of the active tree, below either base URL, and of each tree below its id."""

    def tree(request: Request) -> TransparencyLog | None:
        text = request.params.get("tree")
        if text is None:
            return shards.active
        return shards.tree(int(text, 16)) if _TREE_ID.fullmatch(text) else None

    async def checkpoint(request: Request) -> Response:
        log = tree(request)
        return NO_TILE if log is None else await request.run(answer_checkpoint, log)

    async def tile(request: Request) -> Response:
        log = tree(request)
        if log is None:
            return NO_TILE
        accepted = request.headers.get("accept-encoding", "")
        return await request.run(answer_tile, log, request.params["path"], accepted)

    # Clients are configured with either base URL.
    return tuple(
        route
        for prefix in ("", "/api/v2", "/shards/{tree}")
        for route in (
            Route("GET", f"{prefix}/checkpoint", checkpoint, max_body=0),
            Route("GET", f"{prefix}/tile/{{path...}}", tile, max_body=0),
        )
    )
