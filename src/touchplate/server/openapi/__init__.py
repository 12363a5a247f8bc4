"""The HTTP service described in OpenAPI 3.1, at `/openapi.json` and `/swagger.json`.

`operations` is the table of all routes, `schemas` says what goes in and comes out, `describe` makes
the document of both. A test holds the table to the routes, another one the answers to the schemas.
"""

import json
from typing import Any

from touchplate.server.openapi.describe import describe
from touchplate.server.openapi.operations import OPERATIONS
from touchplate.server.openapi.schemas import SCHEMAS
from touchplate.transport.asgi import Request, Response, Route

__all__ = ["document", "routes"]

PATHS = ("/openapi.json", "/swagger.json")


def document() -> dict[str, Any]:
    """Give the document. It is the same for every instance of this version."""
    return describe(OPERATIONS, SCHEMAS)


def routes() -> tuple[Route, ...]:
    """Answer the document; `/swagger.json` is where clients of upstream look."""
    text = json.dumps(document(), separators=(",", ":"), ensure_ascii=False).encode()
    response = Response(200, text, headers=(("cache-control", "no-cache"),))

    async def get_document(_: Request) -> Response:
        return response

    return tuple(Route("GET", path, get_document, 0) for path in PATHS)
