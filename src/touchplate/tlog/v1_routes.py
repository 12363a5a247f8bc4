"""HTTP of API v1: create, get, retrieve, search, log info, public key, consistency proof."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Final

from touchplate.entries.admission import Admitted
from touchplate.entries.proposed import MAX_PROPOSED_BYTES, parse_proposed
from touchplate.errors import MalformedError, TouchplateError
from touchplate.tlog import v1
from touchplate.tlog.appender import Appender
from touchplate.tlog.attestations import Attestations, none_kept
from touchplate.tlog.log import TransparencyLog
from touchplate.tlog.query import (
    FaultError,
    check_accept,
    check_json,
    location_query,
    read_entry_id,
    read_integer,
    read_tree,
    schema_fault,
)
from touchplate.tlog.retrieve import retrieve
from touchplate.tlog.search import MAX_QUERY_BYTES, Search, search_index
from touchplate.tlog.settings import ENDPOINTS, TlogSettings
from touchplate.tlog.shards import Shards
from touchplate.transport.asgi import Handler, Request, Response, Route

# A proposed entry above this size is checked off the event loop: a payload may be megabytes.
LARGE_BYTES: Final = 64 * 1024

_PEM: Final = "application/x-pem-file"
_Answer = Callable[[Request], Awaitable[Response]]


def v1_routes(
    shards: Shards, search: Search | None = None, attestations: Attestations | None = None
) -> tuple[Route, ...]:
    """Give the routes of API v1; without a search function that operation is 501."""
    api = _V1(shards, search, attestations)
    enabled = shards.active.settings.endpoints
    if search is None:
        enabled -= {"searchIndex"}
    reads: tuple[tuple[str, str, _Answer], ...] = (
        ("getLogInfo", "/api/v1/log", api.info),
        ("getPublicKey", "/api/v1/log/publicKey", api.public_key),
        ("getLogProof", "/api/v1/log/proof", api.proof),
        ("getLogEntryByIndex", v1.ENTRIES_PATH, api.by_index),
        ("getLogEntryByUUID", f"{v1.ENTRIES_PATH}/{{uuid}}", api.by_uuid),
    )
    writes: tuple[tuple[str, str, _Answer, int], ...] = (
        ("createLogEntry", v1.ENTRIES_PATH, api.create, MAX_PROPOSED_BYTES),
        ("searchLogQuery", f"{v1.ENTRIES_PATH}/retrieve", api.retrieve, MAX_PROPOSED_BYTES),
        # sigstore-python writes the slash, and a redirect would turn its POST into a GET.
        ("searchLogQuery", f"{v1.ENTRIES_PATH}/retrieve/", api.retrieve, MAX_PROPOSED_BYTES),
        ("searchIndex", "/api/v1/index/retrieve", api.search, MAX_QUERY_BYTES),
    )
    return (
        *(
            Route("GET", path, _catch(handler if name in enabled else _off(name), v1.NO_CACHE), 0)
            for name, path, handler in reads
        ),
        *(
            Route("POST", path, _catch(handler if name in enabled else _off(name)), max_body)
            for name, path, handler, max_body in writes
        ),
    )


def _catch(handler: _Answer, headers: tuple[tuple[str, str], ...] = ()) -> Handler:
    """Make faults answers, and give every answer these headers."""

    @wraps(handler)
    async def answer(request: Request) -> Response:
        try:
            response = await handler(request)
        except FaultError as fault:
            response = fault.response
        return response._replace(headers=(*response.headers, *headers)) if headers else response

    return answer


def _off(name: str) -> Handler:
    """Make what answers for an operation that is switched off."""
    text = f"{ENDPOINTS[name]} API not enabled in this Rekor instance"

    async def answer(_: Request) -> Response:
        return v1.answer_fault(501, text)

    return answer


def _admit(body: bytes, settings: TlogSettings) -> Admitted:
    """Read and check a proposed entry. Raises FaultError for what has no schema."""
    try:
        proposed = parse_proposed(body)
    except MalformedError as error:
        raise schema_fault(error) from error
    return proposed.admit(settings.algorithms, settings.kinds)


class _V1:
    """The handlers of one log and its trees."""

    def __init__(
        self, shards: Shards, search: Search | None, attestations: Attestations | None
    ) -> None:
        self._shards = shards
        self._search = search
        self._attestations = attestations
        self._attest = none_kept if attestations is None else attestations.find
        self._append = Appender(shards)

    async def create(self, request: Request) -> Response:
        check_json(request, "proposedEntry")
        query = _location_query(request)
        log = self._shards.active
        try:
            if len(request.body) > LARGE_BYTES:
                admitted: Admitted = await request.run(_admit, request.body, log.settings)
            else:
                admitted = _admit(request.body, log.settings)
            submission = log.submission(admitted)
        except TouchplateError as error:
            # Upstream says of a kind or version that is not taken nothing but that.
            refused = error.code == "ENTRY_REFUSED"
            return v1.answer_error(error, "" if refused else "error processing entry: ")
        try:
            log, receipt = await self._append(submission)
        except TouchplateError as error:
            log.note_failure(error)
            return v1.answer_not_appended(error)
        log.note_appended_v1(receipt)
        found = self._shards.found(log, receipt)
        if self._attestations is not None and admitted.attestation:
            keep = partial(self._attestations.keep, admitted.attestation)
            # Not awaited: the entry is logged whether or not this works, and `keep` reports.
            asyncio.get_running_loop().run_in_executor(request.executor, keep)
        if receipt.duplicate and log.settings.duplicate_is_conflict:
            return v1.answer_conflict(found, query)
        return v1.answer_created(found, query)

    async def by_index(self, request: Request) -> Response:
        check_accept(request, "application/json")
        index = read_integer(request, "logIndex", minimum=0)
        return await request.run(lambda: v1.answer_entry(self._shards.read(index), self._attest))

    async def by_uuid(self, request: Request) -> Response:
        check_accept(request, "application/json")
        wanted = read_entry_id(request.params["uuid"])
        return await request.run(lambda: v1.answer_entry(self._shards.find(*wanted), self._attest))

    async def retrieve(self, request: Request) -> Response:
        check_json(request, "entry")
        return await request.run(retrieve, self._shards, request.body, self._attest)

    async def search(self, request: Request) -> Response:
        check_json(request, "query")
        if self._search is None:
            raise AssertionError("without a search function the route is off")
        return await request.run(search_index, self._shards, self._search, request.body)

    async def info(self, request: Request) -> Response:
        check_accept(request, "application/json")
        return await request.run(v1.answer_info, self._shards)

    async def public_key(self, request: Request) -> Response:
        check_accept(request, _PEM)
        pem = read_tree(request, self._shards).key.signer.public_key.pem().encode()
        return Response(200, pem, _PEM)

    async def proof(self, request: Request) -> Response:
        check_accept(request, "application/json")
        first = read_integer(request, "firstSize", minimum=1, default=1)
        last = read_integer(request, "lastSize", minimum=1)
        return await request.run(_consistency, read_tree(request, self._shards), first, last)


def _location_query(request: Request) -> str:
    try:
        return location_query(request)
    except MalformedError as error:
        raise FaultError(400, str(error)) from error


def _consistency(log: TransparencyLog, first: int, last: int) -> Response:
    try:
        hashes, root = log.consistency(first, last)
    except TouchplateError as error:
        return v1.answer_error(error)
    found = {"hashes": [node.hex() for node in hashes], "rootHash": root.hex()}
    return v1.answer_json(200, found)
