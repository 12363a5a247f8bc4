"""The parent of the workers, seen alone: what the system refuses it."""

import signal
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


ORPHANED = """
import os, select, signal, sys
from touchplate.server.processes import Signals, Supervisor, call_in_child

def wait_for_the_end_of(parent):
    os.kill(parent, signal.SIGKILL)
    while os.getppid() == parent:
        pass

def run(worker):
    wait_for_the_end_of(parent)
    worker.tell_ready()
    ended, _, _ = select.select([worker.lifeline], [], [], 60)
    print("the parent is gone" if ended else "nothing was heard")

def answer():
    wait_for_the_end_of(parent)
    return "x" * 100_000

parent = os.getpid()
signals = Signals()
with signals.watched():
    if sys.argv[1] == "worker":
        Supervisor(run, 1, signals, 1).supervise(lambda: None)
    else:
        call_in_child(signals, answer)
"""


@pytest.mark.parametrize(("child", "said"), [("worker", "the parent is gone\n"), ("opener", "")])
def test_parent_is_gone(child: str, said: str) -> None:
    """A child whose parent was killed before it could be told anything ends without a traceback."""
    done = subprocess.run(
        [sys.executable, "-c", ORPHANED, child],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert (done.stdout, done.stderr) == (said, "")
