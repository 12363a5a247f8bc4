"""A real service in its own process, on a free port and a fresh folder, for the load benchmarks."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

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


@contextmanager
def running(cores: Sequence[int] = ()) -> Iterator[Server]:
    """Start `touchplate serve`, pinned to `cores` if any, and end it by its pid."""
    with TemporaryDirectory(prefix="bench-") as name:
        data = Path(name) / "data"
        script = Path(sys.executable).parent / "touchplate"
        own_cores = os.sched_getaffinity(0)
        if cores:
            # A child takes the setting along, all its threads too.
            os.sched_setaffinity(0, cores)
        process = subprocess.Popen(
            [script, "serve", "--data", data, "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE,
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
