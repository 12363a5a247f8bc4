"""HTTP of the transparency log: API v2 and its tiles; API v1 is in `v1_routes`.

Reading goes to the server's threads. A new entry is checked on the event loop, since to hand it
over costs as much as the check.
"""

import re
from typing import Final

from touchplate.entries.create_entry import MAX_REQUEST_BYTES
from touchplate.formats.trusted_root import host_of
from touchplate.tlog.attestations import Attestations
from touchplate.tlog.log import TransparencyLog
from touchplate.tlog.search import Search
from touchplate.tlog.shards import Shards
from touchplate.tlog.static import NO_TILE, answer_checkpoint, answer_tile
from touchplate.tlog.v1_routes import v1_routes
from touchplate.tlog.v2_create import Creator
from touchplate.transport.asgi import Request, Response, Route, waiting

_TREE_ID: Final = re.compile(r"[0-9a-f]{16}")


def routes(
    shards: Shards, search: Search | None = None, attestations: Attestations | None = None
) -> tuple[Route, ...]:
    """Give every route of the log. All handlers run in one event loop at a time.

    Without `search` that operation of API v1 is 501.
    """
    return (
        *_v2_routes(shards),
        *_static_routes(shards),
        *v1_routes(shards, search, attestations),
    )


def _v2_routes(shards: Shards) -> tuple[Route, ...]:
    create = Creator(shards)
    path = "/api/v2/log/entries"
    return (Route("POST", path, waiting(create), MAX_REQUEST_BYTES, direct=create),)


def _static_routes(shards: Shards) -> tuple[Route, ...]:
    """Give the files of a tree, below either base URL, and of each tree below its id.

    Each tree has the base URL that the trusted root states: so the host that was asked names it,
    and a host that names none is the active tree's.
    """

    def tree(request: Request) -> TransparencyLog | None:
        text = request.params.get("tree")
        if text is None:
            if not shards.frozen:
                return shards.active
            return shards.named(host_of(request.headers.get("host", ""))) or shards.active
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
