"""HTTP of the transparency log: API v2 and its tiles; API v1 is in `v1_routes`.

Reading goes to the server's threads. A new entry is checked on the event loop, since to hand it
over costs as much as the check.
"""

from touchplate.entries.create_entry import MAX_REQUEST_BYTES
from touchplate.errors import TouchplateError
from touchplate.tlog import v2
from touchplate.tlog.appender import Appender
from touchplate.tlog.log import TransparencyLog
from touchplate.tlog.shards import Shards
from touchplate.tlog.static import answer_checkpoint, answer_tile
from touchplate.tlog.v1_routes import v1_routes
from touchplate.tlog.v2_request import admit_fast
from touchplate.transport.asgi import Request, Response, Route


def routes(shards: Shards) -> tuple[Route, ...]:
    """Give every route of the log. All handlers run in one event loop at a time."""
    return (*_v2_routes(shards.active), *_static_routes(shards.active), *v1_routes(shards))


def _v2_routes(log: TransparencyLog) -> tuple[Route, ...]:
    append = Appender(log.tiles)
    encoder = v2.EntryEncoder(log.key)
    settings = log.settings

    async def create(request: Request) -> Response:
        try:
            admitted = admit_fast(request.body, settings)
            receipt = await append(log.submission(admitted))
        except TouchplateError as error:
            return v2.answer_error(error)
        if receipt.duplicate and settings.duplicate_is_conflict:
            return v2.answer_conflict(receipt.index)
        return Response(201, encoder.encode(admitted, receipt))

    return (Route("POST", "/api/v2/log/entries", create, max_body=MAX_REQUEST_BYTES),)


def _static_routes(log: TransparencyLog) -> tuple[Route, ...]:
    async def checkpoint(request: Request) -> Response:
        return await request.run(answer_checkpoint, log)

    async def tile(request: Request) -> Response:
        return await request.run(answer_tile, log, request.params["path"])

    # Clients are configured with either base URL.
    return tuple(
        route
        for prefix in ("", "/api/v2")
        for route in (
            Route("GET", f"{prefix}/checkpoint", checkpoint, max_body=0),
            Route("GET", f"{prefix}/tile/{{path...}}", tile, max_body=0),
        )
    )
