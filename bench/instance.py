"""A real service in processes of its own, on a free port and new storage, for the load benchmarks.

`stores()` gives a real PostgreSQL and a real S3 server beside it.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from tests.servers import postgres, s3
from tests.servers.postgres import PostgresServer
from tests.servers.s3 import S3Server

_STOP_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Server:
    """A running service: its process, where it listens, where its data rests."""

    pid: int
    address: tuple[str, int]
    data: Path

    @property
    def host(self) -> str:
        """The value of the Host header."""
        return f"{self.address[0]}:{self.address[1]}"

    def get(self, path: str) -> str:
        """GET a text."""
        with urlopen(f"http://{self.host}{path}") as answer:
            text: str = answer.read().decode()
            return text


@dataclass(frozen=True, slots=True)
class Stores:
    """Servers that hold the data of one service, or none; each `options()` is for a new one."""

    postgres: PostgresServer | None = None
    s3: S3Server | None = None
    environ: Mapping[str, str] = field(default_factory=dict)

    def options(self) -> tuple[str, ...]:
        """Give what `touchplate serve` is told of them."""
        if self.postgres is None or self.s3 is None:
            return ()
        return ("--database", self.postgres.uri(), "--objects", self.s3.uri())

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes under which they run."""
        return tuple(each.pid for each in (self.postgres, self.s3) if each is not None)


@contextmanager
def stores() -> Iterator[Stores | None]:
    """Start both; None, and the reason printed, if they are not installed here."""
    reason = postgres.why_not() or s3.why_not()
    if reason is not None:
        print(f"PostgreSQL + S3 is left out: {reason}")
        yield None
        return
    with PostgresServer() as database, S3Server() as objects:
        yield Stores(database, objects, s3.ENVIRON)


@contextmanager
def running(
    *options: str,
    cores: Sequence[int] = (),
    settings: str = "",
    prepare: Callable[[Path], None] | None = None,
    stores: Stores | None = None,
) -> Iterator[Server]:
    """Start `touchplate serve`, pinned to `cores` if any, and end it by its pid.

    `prepare` is called with its data folder before.
    """
    stores = stores or Stores()
    with TemporaryDirectory(prefix="bench-") as name:
        data = Path(name) / "data"
        data.mkdir(mode=0o700)
        (data / "touchplate.toml").write_text(settings)
        (data / "touchplate.toml").chmod(0o600)
        if prepare is not None:
            prepare(data)
        script = Path(sys.executable).parent / "touchplate"
        own_cores = os.sched_getaffinity(0)
        if cores:
            # A child takes the setting along, all its threads too.
            os.sched_setaffinity(0, cores)
        process = subprocess.Popen(
            [
                *(script, "serve", "--data", data, "--listen", "127.0.0.1:0"),
                *(*stores.options(), *options),
            ],
            stdout=subprocess.PIPE,
            env={**os.environ, **stores.environ},
            text=True,
        )
        os.sched_setaffinity(0, own_cores)
        try:
            assert process.stdout is not None
            for line in process.stdout:
                found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
                if found:
                    break
            else:
                raise RuntimeError("the service did not start")
            yield Server(process.pid, ("127.0.0.1", int(found.group(1))), data)
        finally:
            process.terminate()
            process.wait(_STOP_SECONDS)
            if process.stdout is not None:
                process.stdout.close()
