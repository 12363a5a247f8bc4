"""A server with an issuer on it, and who believes the issuer."""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event
from typing import Any

from tests.oidc.hostile import RemoteIssuer, Server
from touchplate.oidc import Authenticator, Issuer
from touchplate.oidc.discovery import Discovery, FetchTimes
from touchplate.oidc.identity import Identity
from touchplate.transport.http import Response


def ignore(_: str) -> None:
    """Take a report."""


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EMAIL = "dev@example.com"


@dataclass
class Place:
    """A server, an issuer on it, and who believes it; `now` is moved by the test."""

    server: Server
    issuer: RemoteIssuer
    times: FetchTimes = field(default_factory=FetchTimes)
    now: float = 1000.0
    reports: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.discovery = Discovery(lambda: self.now, self.reports.append, times=self.times)
        self.believe(Issuer(self.issuer.url))

    def believe(self, *issuers: Issuer) -> None:
        """Put these into the table."""
        self.discovery.adopt(issuers)
        self.table = Authenticator(issuers, discover=self.discovery.keys_of)

    def mint(self) -> str:
        """Give a good token."""
        return self.issuer.own.mint(EMAIL, NOW)

    def authenticate(self, token: str | None = None) -> Identity:
        """Prove a token."""
        return self.table.authenticate(token or self.mint(), NOW)

    def fetched(self) -> int:
        """Give how often the key set was asked for."""
        return self.server.count("/jwks")


def settle() -> None:
    """Wait until no fetch is under way."""
    for thread in threading.enumerate():
        if thread.name == "issuer keys":
            thread.join(10)


def wait_for(event: Event) -> None:
    """Hang until the test ends."""
    event.wait(20)


@dataclass
class Fixed:
    """A transport with answers by URL, that remembers what was sent."""

    answers: dict[str, bytes]
    sent: list[tuple[str, tuple[tuple[str, str], ...]]] = field(default_factory=list)

    def request(self, method: str, url: str, **given: Any) -> Response:
        """Answer."""
        self.sent.append((url, given["headers"]))
        body = self.answers.get(url)
        return Response(404, (), b"") if body is None else Response(200, (), body)
