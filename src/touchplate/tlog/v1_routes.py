"""HTTP of API v1: create, get, retrieve, log info, public key, consistency proof."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Final

from touchplate.entries.admission import Admitted
from touchplate.entries.proposed import MAX_PROPOSED_BYTES, parse_proposed
from touchplate.errors import MalformedError, TouchplateError
from touchplate.tlog import v1
from touchplate.tlog.appender import Appender
from touchplate.tlog.log import TransparencyLog
from touchplate.tlog.query import (
    FaultError,
    check_json,
    read_entry_id,
    read_integer,
    read_tree,
    schema_fault,
)
from touchplate.tlog.retrieve import retrieve
from touchplate.tlog.shards import Shards
from touchplate.transport.asgi import Handler, Request, Response, Route

# A proposed entry above this size is checked off the event loop: a payload may be megabytes.
LARGE_BYTES: Final = 64 * 1024


def v1_routes(shards: Shards) -> tuple[Route, ...]:
    """Give the routes of API v1."""
    v1_api = _V1(shards)
    reads = (
        ("/api/v1/log", v1_api.info),
        ("/api/v1/log/publicKey", v1_api.public_key),
        ("/api/v1/log/proof", v1_api.proof),
        (v1.ENTRIES_PATH, v1_api.by_index),
        (f"{v1.ENTRIES_PATH}/{{uuid}}", v1_api.by_uuid),
    )
    writes = (
        (v1.ENTRIES_PATH, v1_api.create),
        (f"{v1.ENTRIES_PATH}/retrieve", v1_api.retrieve),
        # sigstore-python writes the slash, and a redirect would turn its POST into a GET.
        (f"{v1.ENTRIES_PATH}/retrieve/", v1_api.retrieve),
    )
    return (
        *(Route("GET", path, _catch(handler), max_body=0) for path, handler in reads),
        *(
            Route("POST", path, _catch(handler), max_body=MAX_PROPOSED_BYTES)
            for path, handler in writes
        ),
    )


def _catch(handler: Callable[[Request], Awaitable[Response]]) -> Handler:
    @wraps(handler)
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except FaultError as fault:
            return fault.response

    return answer


class _V1:
    """The handlers of one log and its trees."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._append = Appender(shards.active.tiles)

    async def create(self, request: Request) -> Response:
        check_json(request)
        log = self._shards.active
        try:
            proposed = parse_proposed(request.body)
        except MalformedError as error:
            raise schema_fault(error) from error
        try:
            if len(request.body) > LARGE_BYTES:
                admitted: Admitted = await request.run(proposed.admit, log.settings.algorithms)
            else:
                admitted = proposed.admit(log.settings.algorithms)
            receipt = await self._append(log.submission(admitted))
        except TouchplateError as error:
            return v1.answer_error(error, "error processing entry: ")
        found = self._shards.found(log, receipt)
        if receipt.duplicate and log.settings.duplicate_is_conflict:
            return v1.answer_conflict(found)
        return v1.answer_created(found)

    async def by_index(self, request: Request) -> Response:
        index = read_integer(request, "logIndex", minimum=0)
        return await request.run(lambda: v1.answer_entry(self._shards.read(index)))

    async def by_uuid(self, request: Request) -> Response:
        wanted = read_entry_id(request.params["uuid"])
        return await request.run(lambda: v1.answer_entry(self._shards.find(*wanted)))

    async def retrieve(self, request: Request) -> Response:
        check_json(request)
        return await request.run(retrieve, self._shards, request.body)

    async def info(self, request: Request) -> Response:
        return await request.run(v1.answer_info, self._shards)

    async def public_key(self, request: Request) -> Response:
        pem = read_tree(request, self._shards).key.signer.public_key.pem().encode()
        return Response(200, pem, "application/x-pem-file", v1.NO_CACHE)

    async def proof(self, request: Request) -> Response:
        first = read_integer(request, "firstSize", minimum=1, default=1)
        last = read_integer(request, "lastSize", minimum=1)
        return await request.run(_consistency, read_tree(request, self._shards), first, last)


def _consistency(log: TransparencyLog, first: int, last: int) -> Response:
    try:
        hashes, root = log.consistency(first, last)
    except TouchplateError as error:
        return v1.answer_error(error)
    found = {"hashes": [node.hex() for node in hashes], "rootHash": root.hex()}
    return v1.answer_json(200, found, v1.NO_CACHE)
