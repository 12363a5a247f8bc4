"""A real instance in its own process, and the other clients that are driven against it."""

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.server.conftest import Server

EMAIL = "dev@example.com"
SCRIPTS = Path(sys.executable).parent
_START_SECONDS = 90
_CLIENT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Instance:
    """A running service: where it listens, where its data rests."""

    url: str
    data: Path

    @property
    def issuer(self) -> str:
        """The issuer of the instance's own identity tokens."""
        return f"{self.url}/oidc"

    def fetch(self, path: str) -> bytes:
        """GET a path of the instance."""
        with urllib.request.urlopen(self.url + path, timeout=_START_SECONDS) as answer:  # noqa: S310 - loopback
            body: bytes = answer.read()
        return body

    def token(self) -> str:
        """Mint a token as the operator does."""
        return touchplate("token", "--data", str(self.data), "--email", EMAIL).stdout.strip()


def run(*command: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a client to its end; the caller looks at the exit code."""
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        command, capture_output=True, text=True, timeout=_CLIENT_SECONDS, check=False, **options
    )


def touchplate(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run our own command from this environment."""
    return run(str(SCRIPTS / "touchplate"), *arguments, **options)


@pytest.fixture(scope="session")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """One service for every compatibility test: they only ever add to its log."""
    data = tmp_path_factory.mktemp("instance") / "data"
    log = data.with_suffix(".log")
    with log.open("wb") as output:
        server = subprocess.Popen(
            [SCRIPTS / "touchplate", "serve", "--data", data, "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        )
    try:
        assert server.stdout is not None
        yield Instance(_read_url(server, log), data)
    finally:
        server.terminate()
        server.wait(_START_SECONDS)
        if server.stdout is not None:
            server.stdout.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Instance]:
    """Give an instance of the test's own, with two workers."""
    server = Server(tmp_path / "data", "--workers", "2")
    try:
        yield Instance(server.wait_until_ready(), tmp_path / "data")
    finally:
        assert server.stop() == 0
        for stream in (server.process.stdout, server.process.stderr):
            assert stream is not None
            stream.close()


def _read_url(server: "subprocess.Popen[str]", log: Path) -> str:
    assert server.stdout is not None
    for line in server.stdout:
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found:
            return found.group()
    raise AssertionError(f"the service did not start:\n{log.read_text()}")
