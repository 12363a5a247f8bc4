import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.servers import postgres
from tests.servers.keeper import REPOSITORY, join

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(postgres.why_not() is not None, reason=str(postgres.why_not())),
]


def is_running(port: int) -> bool:
    """Say whether a server has this port on its command line."""
    needle = f"port={port}".encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if needle in path.read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False


def wait_until_gone(port: int) -> None:
    """Wait for the server's end."""
    end = time.monotonic() + 60
    while is_running(port):
        assert time.monotonic() < end, "the server goes on"
        time.sleep(0.05)


def test_shared(tmp_path: Path) -> None:
    """Those who name the same folder get one server, which goes when the last has gone."""
    first, second = join("postgres", tmp_path), join("postgres", tmp_path)
    port = first.about["port"]
    assert second.about == first.about
    first.leave()
    time.sleep(0.5)
    assert is_running(port)
    second.leave()
    wait_until_gone(port)

    third = join("postgres", tmp_path)
    assert is_running(third.about["port"])
    third.leave()
    wait_until_gone(third.about["port"])


def test_killed_run(tmp_path: Path) -> None:
    """A test run that is killed leaves no server."""
    program = (
        "import json, pathlib, sys, time; from tests.servers.keeper import join;"
        "print(json.dumps(join('postgres', pathlib.Path(sys.argv[1])).about), flush=True);"
        "time.sleep(60)"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
    )
    assert run.stdout is not None
    with run.stdout:
        port = json.loads(run.stdout.readline())["port"]
    assert is_running(port)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()

    wait_until_gone(port)
