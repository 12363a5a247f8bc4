"""HTTP of the search: `GET /api/search`."""

from typing import Final

from touchplate.entries.conditions import one
from touchplate.index.answer import encode_page
from touchplate.index.index import Index
from touchplate.index.query import read_flag, read_limit, read_query
from touchplate.transport.asgi import Request, Response, Route

SEARCH_PATH: Final = "/api/search"

# What is found changes with the log.
_HEADERS: Final = (("cache-control", "no-store"),)


def routes(index: Index) -> tuple[Route, ...]:
    """Give the routes of the index."""

    async def search(request: Request) -> Response:
        return await request.run(_answer, index, request)

    return (Route("GET", SEARCH_PATH, search, max_body=0),)


def _answer(index: Index, request: Request) -> Response:
    fields = request.query
    query = read_query(fields)
    page = index.search(
        query,
        cursor=one(fields, "cursor"),
        limit=read_limit(fields),
        proofs=read_flag(fields, "proofs"),
    )
    return Response(200, encode_page(page, index.progress()), headers=_HEADERS)
