"""A program that a test starts, and that ends with it whatever happens."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PATIENCE_SECONDS = 60.0
_STEP_SECONDS = 0.02


def free_ports(count: int) -> list[int]:
    """Give loopback ports that were free a moment ago, all different.

    Chosen at random from below those that the system gives out by itself: else any connection on
    this machine might be given one of them before it is used.
    """
    given = Path("/proc/sys/net/ipv4/ip_local_port_range")
    lowest = int(given.read_text("ascii").split()[0]) if given.exists() else 32768
    below = range(10_000, max(lowest, 20_000))
    chosen: dict[int, socket.socket] = {}
    try:
        while len(chosen) < count:
            each = socket.socket()
            try:
                port = secrets.choice(below)
                each.bind(("127.0.0.1", port))
                chosen[port] = each
            except OSError:
                each.close()
        return list(chosen)
    finally:
        for each in chosen.values():
            each.close()


def rights_of(user: str | None) -> list[str]:
    """Give what to put before a command that is to run as this user."""
    if user is None:
        return []
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]


class Program:
    """A running program whose output goes to a file; it is killed when its parent dies.

    `user` is whose rights it gets, for those that refuse to run as root.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        user: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._log = log
        # The signal at the parent's end is forgotten when the user changes, so setpriv does both.
        command = [*(rights_of(user) or ["setpriv"]), "--pdeathsig=KILL", "--", *command]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                cwd=log.parent,
                env={**os.environ, **(environ or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process; what it starts is below it."""
        return self._process.pid

    def wait_until(self, is_up: Callable[[], bool]) -> None:
        """Wait until it answers. Raises RuntimeError with the end of its output if it does not."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while not is_up():
            if self._process.poll() is not None or time.monotonic() > end:
                self.end(signal.SIGKILL)
                tail = self._log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self._process.args!r} did not start:\n{tail}")
            time.sleep(_STEP_SECONDS)

    def end(self, how: signal.Signals) -> None:
        """Send the signal and wait; one that takes too long is killed."""
        if self._process.poll() is None:
            self._process.send_signal(how)
        try:
            self._process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def signal_group(self, how: signal.Signals) -> None:
        """Send the signal to it and to all that it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, how)


def missing_program(*names: str) -> str | None:
    """Say which of these programs is not on the PATH, or give None."""
    for name in names:
        if shutil.which(name) is None:
            return f"no {name} on the PATH"
    return None
