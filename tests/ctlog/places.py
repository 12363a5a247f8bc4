"""A log in memory, an authority that it accepts, and precertificates."""

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from touchplate.ca.authority import Authority, create_chain
from touchplate.ca.profile import Precertificate, precertify
from touchplate.ctlog import CertificateLog, tile_log_settings
from touchplate.ctlog.routes import routes
from touchplate.keys.signer import PrivateKeySigner, generate
from touchplate.oidc.identity import Identity, SubjectName
from touchplate.storage.memory import MemoryLog
from touchplate.storage.objects import MemoryObjects
from touchplate.tilelog.log import TileLog
from touchplate.transport.asgi import Request, Response

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ORIGIN = "log.example.com/2026"


class Clock:
    """A clock that the test moves; milliseconds."""

    def __init__(self) -> None:
        self.now_ms = 1_767_323_045_678

    def __call__(self) -> int:
        """Give the time."""
        return self.now_ms


@dataclass(frozen=True)
class Place:
    """A log, an authority under one of its roots, and HTTP."""

    log: CertificateLog
    authority: Authority
    clock: Clock
    signer: PrivateKeySigner

    def precertificate(self, number: int = 0) -> Precertificate:
        """Make a precertificate; each number is another identity."""
        identity = Identity(
            "https://idp.example.com",
            f"user-{number}",
            SubjectName("email", f"dev{number}@example.com"),
            "",
        )
        return precertify(self.authority, self.authority.signer.public_key, identity, NOW)

    def call(self, method: str, path: str, query: str = "", body: bytes = b"") -> Response:
        """Ask the handler of a path."""
        for route in routes(lambda _: self.log):
            params = match(route.pattern, path)
            if route.method == method and params is not None:
                request = Request(method, path, params, query.encode(), {}, body)

                async def ask() -> Response:
                    return await route.handler(request)  # noqa: B023 - awaited in this turn

                return asyncio.run(ask())
        raise AssertionError(f"no route for {path}")


def match(pattern: str, path: str) -> dict[str, str] | None:
    """Match a path to a pattern of a route."""
    params = {}
    wanted, found = pattern.split("/"), path.split("/")
    for place, name in enumerate(wanted):
        if name.endswith("...}"):
            params[name[1:-4]] = "/".join(found[place:])
            return params
        if place >= len(found):
            return None
        if name.startswith("{"):
            params[name[1:-1]] = found[place]
        elif name != found[place]:
            return None
    return params if len(wanted) == len(found) else None


def new_authority(kind: str = "ecdsa-p256") -> Authority:
    """Make an authority with a chain of its own."""
    issuing = generate(kind)
    chain = create_chain(
        generate("ecdsa-p256"), issuing, organization="example.com", common_name="x", now=NOW
    )
    return Authority.load(issuing, chain, NOW)


def open_place() -> Place:
    """Open a log that is empty."""
    clock, signer, authority = Clock(), generate(), new_authority()
    objects = MemoryObjects()
    tiles = TileLog(tile_log_settings(signer, ORIGIN, clock), MemoryLog(), objects)
    log = CertificateLog(
        tiles, signer, origin=ORIGIN, roots=[authority.chain[-1].der], objects=objects
    )
    return Place(log, authority, clock, signer)


def sha256(data: bytes) -> bytes:
    """Hash."""
    return hashlib.sha256(data).digest()
