"""A real server process for tests, and a client that fills its log."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

import pytest

from touchplate.keys.signer import generate

UNTIL_SECONDS = 90
STOP_SECONDS = 60
REQUEST_SECONDS = 60


def until(true: Callable[[], object]) -> None:
    """Wait until something is true, for as long as it may take on a machine under heavy load."""
    deadline = time.monotonic() + UNTIL_SECONDS
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


class Server:
    """A `touchplate serve` process on a free port."""

    def __init__(
        self,
        data: Path,
        *options: str,
        listen: str = "127.0.0.1:0",
        environ: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        environment = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
        self.process = subprocess.Popen(
            (
                *(sys.executable, "-m", "touchplate.cli.__main__", "serve"),
                *("--data", str(data), "--listen", listen, *options),
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment, **environ, "HOME": str(data.parent), "PYTHONUNBUFFERED": "1"},
            text=True,
        )
        self.errors: list[str] = []
        assert self.process.stderr is not None
        self._reader = threading.Thread(
            target=self.errors.extend, args=(self.process.stderr,), daemon=True
        )
        self._reader.start()

    def read_url(self) -> str:
        """Give the URL that it prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("touchplate serves at http"), (line, self.failure())
        self.url = line.split()[-1]
        return self.url

    def wait_until_ready(self) -> str:
        """Give the URL that it prints, once it answers there."""
        url = self.read_url()
        assert self.get("/readyz")[0] == 200
        return url

    def wait_until_listening(self) -> str:
        """Give the URL at which it listens, whatever URL it has for clients."""
        self.read_url()
        pids = (self.process.pid, *self.workers())
        (port,) = {port for pid in pids for port in listening_ports(pid)}
        self.url = f"http://127.0.0.1:{port}"
        assert self.get("/readyz")[0] == 200
        return self.url

    def read_rest(self) -> str:
        """Give all else that it printed; it must have ended."""
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def failure(self) -> str:
        """Give what a process that could not start wrote to standard error."""
        self.process.wait(STOP_SECONDS)
        self._reader.join(STOP_SECONDS)
        return "".join(self.errors)

    def workers(self) -> list[int]:
        """Give the process ids of its children."""
        pid = self.process.pid
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
        return [int(each) for each in text.split()]

    def connect(self) -> http.client.HTTPConnection:
        """Give a connection to it."""
        return http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=REQUEST_SECONDS)

    def get(self, path: str) -> tuple[int, bytes]:
        """GET a path."""
        return self.request("GET", path)

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Send one request on a connection of its own."""
        connection = self.connect()
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it the signal; give its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(STOP_SECONDS)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self._reader.join(STOP_SECONDS)


def listening_ports(pid: int) -> set[int]:
    """Give the TCP ports on which a process listens."""
    inodes = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(str(each.readlink()).removeprefix("socket:[").rstrip("]"))
    lines = Path(f"/proc/{pid}/net/tcp").read_text("ascii").splitlines()[1:]
    rows = [line.split() for line in lines]
    return {
        int(row[1].partition(":")[2], 16) for row in rows if row[3] == "0A" and row[9] in inodes
    }


Start = Callable[..., Server]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start servers that end with the test."""
    started: list[Server] = []

    def run(
        data: Path,
        *options: str,
        listen: str = "127.0.0.1:0",
        environ: Mapping[str, str] = MappingProxyType({}),
    ) -> Server:
        server = Server(data, *options, listen=listen, environ=environ)
        started.append(server)
        return server

    yield run
    for server in started:
        server.stop(signal.SIGKILL)
        assert server.process.stdout is not None
        server.process.stdout.close()
        assert server.process.stderr is not None
        server.process.stderr.close()


@dataclass(frozen=True)
class Answered:
    """What the log promised for one entry."""

    index: int
    body: bytes
    size: int
    root: bytes


class Load:
    """Threads that add entries until the server is gone, and remember each answer.

    With `again` they connect again after a broken connection, until `stop`.
    """

    def __init__(self, server: Server, threads: int, *, again: bool = False) -> None:
        self.answered: list[Answered] = []
        self.refused: list[tuple[int, bytes]] = []
        self.broken = 0
        self.unexplained = 0  # refusals that did not say when to come again
        self._again = again
        self._stopped = False
        self._server = server
        self._threads = [
            threading.Thread(target=self._run, args=(number,)) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let each thread finish its request, and wait for it."""
        self._again = False
        self._stopped = True
        self.join()

    def join(self) -> None:
        """Wait until all threads have noticed that the server is gone."""
        for thread in self._threads:
            thread.join(STOP_SECONDS)

    def _run(self, thread: int) -> None:
        self._add_entries(thread)
        while self._again:
            self.broken += 1
            time.sleep(0.01)
            self._add_entries(thread)

    def _add_entries(self, thread: int) -> None:
        signer = generate("ecdsa-p256")
        connection = self._server.connect()
        try:
            for number in range(100_000):
                if self._stopped:
                    return
                artifact = f"{os.urandom(8).hex()} {thread} {number}".encode()
                request = {
                    "hashedRekordRequestV002": {
                        "digest": b64encode(sha256(artifact).digest()).decode(),
                        "signature": {
                            "content": b64encode(signer.sign(artifact)).decode(),
                            "verifier": {
                                "publicKey": {
                                    "rawBytes": b64encode(signer.public_key.spki).decode()
                                },
                                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                            },
                        },
                    }
                }
                connection.request("POST", "/api/v2/log/entries", json.dumps(request))
                response = connection.getresponse()
                body = response.read()
                if response.status == 201:
                    self.answered.append(read_answer(body))
                else:
                    self.refused.append((response.status, body))
                    self.unexplained += response.getheader("retry-after") is None
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()


def read_answer(body: bytes) -> Answered:
    """Read index, body and checkpoint of a new entry."""
    entry = json.loads(body)
    lines = entry["inclusionProof"]["checkpoint"]["envelope"].splitlines()
    return Answered(
        index=int(entry["logIndex"]),
        body=b64decode(entry["canonicalizedBody"]),
        size=int(lines[1]),
        root=b64decode(lines[2]),
    )


@pytest.fixture
def load() -> type[Load]:
    """Give the maker of loads."""
    return Load
