"""One server for all workers of a test run: `join(kind, folder)`.

The first who asks starts this module as a process of its own, which starts the server and ends it
when the last connection to it is gone. Connections go with their processes, so that also a test
run that is killed leaves nothing.

    python -m tests.servers.keeper postgres|s3
"""

import fcntl
import json
import selectors
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.servers.postgres import PostgresServer
from tests.servers.s3 import S3Server

REPOSITORY = Path(__file__).resolve().parent.parent.parent
_FIRST_SECONDS = 60.0
_GRACE_SECONDS = 0.1
_WELCOME = b"."


class Membership:
    """A hold on a shared server. `about` is what its keeper says of it."""

    def __init__(self, about: dict[str, Any], hold: socket.socket) -> None:
        self.about = about
        self._hold = hold

    def leave(self) -> None:
        """Let go of it."""
        self._hold.close()


def join(kind: str, folder: Path) -> Membership:
    """Hold the server of this kind that is shared by those who name this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    told = folder / f"{kind}.json"
    with (folder / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if told.exists():
            about = json.loads(told.read_text())
            try:
                return Membership(about, _connect(about))
            except OSError:
                told.unlink()  # everybody had left
        about = _start(kind)
        told.write_text(json.dumps(about))
        return Membership(about, _connect(about))


def _start(kind: str) -> dict[str, Any]:
    keeper = subprocess.Popen(
        [sys.executable, "-m", "tests.servers.keeper", kind],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the test run; this ends after it
        text=True,
    )
    assert keeper.stdout is not None
    with keeper.stdout:
        line = keeper.stdout.readline()
    keeper.returncode = 0  # it outlives us: nobody waits for it
    if not line:
        raise RuntimeError(f"the {kind} server did not start")
    about: dict[str, Any] = json.loads(line)
    return about


def _connect(about: dict[str, Any]) -> socket.socket:
    """Hold the server. Raises OSError if its keeper is gone, or about to go."""
    hold = socket.create_connection(("127.0.0.1", about["keeper"]), timeout=_FIRST_SECONDS)
    try:
        # A connection alone says nothing: the kernel takes it while the keeper is on its way out.
        if hold.recv(1) != _WELCOME:
            raise ConnectionResetError
    except OSError:
        hold.close()
        raise
    return hold


def _keep(kind: str) -> None:
    """Run the server until the last connection is gone."""
    server = PostgresServer() if kind == "postgres" else S3Server()
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            about = {**server.about, "keeper": listener.getsockname()[1]}
            sys.stdout.write(json.dumps(about) + "\n")
            sys.stdout.flush()
            sys.stdout.close()
            _wait(listener)
    finally:
        server.close()


def _wait(listener: socket.socket) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        seconds: float | None = _FIRST_SECONDS
        while ready := selector.select(seconds):
            for key, _ in ready:
                assert isinstance(key.fileobj, socket.socket)
                if key.fileobj is listener:
                    connection, _ = listener.accept()
                    connection.sendall(_WELCOME)
                    selector.register(connection, selectors.EVENT_READ)
                    seconds = None
                elif not key.fileobj.recv(1):
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
            if len(selector.get_map()) == 1:
                # Perhaps the next one is on the way.
                seconds = _GRACE_SECONDS


if __name__ == "__main__":
    _keep(sys.argv[1])
