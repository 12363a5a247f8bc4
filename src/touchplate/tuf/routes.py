"""HTTP of the TUF repository: static files below `/tuf/`, and a true 404 for what is not there.

Clients find the newest root by asking for versions until one is missing, so any other answer than
404 for an unknown `N.root.json` breaks them (TUF §5.3.3).
"""

import re
from typing import Final

from touchplate.transport.asgi import Request, Response, Route
from touchplate.tuf.repository import Repository

# What the repository writes; nothing else is looked up, so no request names a file of its choice.
_VERSIONED: Final = re.compile(r"[1-9][0-9]{0,8}\.(root|snapshot|targets)\.json")
_TARGET: Final = re.compile(r"targets/[0-9a-f]{64}\.[a-z0-9_]{1,32}(\.[a-z0-9_]{1,32}){0,4}")
_MUTABLE: Final = frozenset({"timestamp.json", "root.json"})

_FRESH: Final = ("cache-control", "no-cache, no-store")
_FOR_EVER: Final = ("cache-control", "public, max-age=604800, immutable")


def routes(repository: Repository) -> tuple[Route, ...]:
    """Serve `repository` below /tuf/."""

    async def read(request: Request) -> Response:
        name = request.params["name"]
        mutable = name in _MUTABLE
        if mutable or _VERSIONED.fullmatch(name) or _TARGET.fullmatch(name):
            data = await request.run(repository.read, name)
            if data is not None:
                return Response(200, data, headers=(_FRESH if mutable else _FOR_EVER,))
        return Response(
            404,
            f"no such file: {name[:200]!a}\n".encode(),
            "text/plain; charset=utf-8",
            (_FRESH,),
        )

    return (Route("GET", "/tuf/{name...}", read, max_body=0),)
