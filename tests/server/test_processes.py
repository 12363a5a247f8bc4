"""The parent of the workers, seen alone: what the system refuses it."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SCARCE = """
import errno, os, signal
from touchplate.server.processes import Signals, Supervisor

class Scarce(Signals):
    refused = 0

    def fork(self, run):
        if self.refused < 3:
            self.refused += 1
            raise BlockingIOError(errno.EAGAIN, "no more processes")
        return super().fork(run)

def run(worker):
    worker.tell_ready()
    signal.pause()

signals = Scarce()
with signals.watched():
    supervisor = Supervisor(run, 2, signals, 1)
    supervisor.supervise(lambda: os.kill(os.getpid(), signal.SIGTERM))
print("ended after", signals.refused)
"""


def test_no_more_processes() -> None:
    """A worker for which the system has no process now is started later; the others go on."""
    done = subprocess.run(
        [sys.executable, "-c", SCARCE], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "ended after 3\n"), done.stderr
    assert done.stderr.count("was not started: [Errno 11] no more processes") == 3
