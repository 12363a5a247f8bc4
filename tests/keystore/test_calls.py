"""Calls of a key store that hangs: who asks is answered in time, and later ones at once."""

import threading
import time

import pytest

from touchplate.errors import UnavailableError
from touchplate.keystore.calls import Calls


def test_results_and_errors() -> None:
    """A call gives what it gives and raises what it raises, its own timeouts too."""
    calls = Calls("store", threads=2)

    def fail() -> None:
        raise TimeoutError("its own")

    assert calls.run(lambda: 7) == 7
    with pytest.raises(TimeoutError, match="its own"):
        calls.run(fail)


def test_one_at_a_time() -> None:
    """With one thread no two calls are made at once."""
    calls = Calls("store", threads=1)
    inside, most, lock = 0, 0, threading.Lock()

    def count() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.001)
        with lock:
            inside -= 1

    threads = [threading.Thread(target=calls.run, args=(count,)) for _ in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert most == 1


@pytest.mark.slow
def test_hanging_call() -> None:
    """A call past its deadline is given up; others are refused at once until it has ended."""
    calls, gate = Calls("store", threads=1, seconds=0.2), threading.Event()
    with pytest.raises(UnavailableError) as caught:
        calls.run(gate.wait)
    assert caught.value.code == "SERVICE_UNAVAILABLE"
    time.sleep(0.05)
    began = time.monotonic()
    for _ in range(100):
        with pytest.raises(UnavailableError):
            calls.run(lambda: 1)
    assert time.monotonic() - began < 0.1
    gate.set()
    time.sleep(0.05)

    assert calls.run(lambda: 1) == 1


def test_call_that_waited_too_long_is_not_made() -> None:
    """What was given up while it waited in line is not done behind the caller's back."""
    calls, gate, made = Calls("store", threads=1, seconds=0.3), threading.Event(), []
    hanging = threading.Thread(target=lambda: calls.run(gate.wait, 5))
    hanging.start()
    with pytest.raises(UnavailableError):
        calls.run(lambda: made.append(1), 0.1)
    gate.set()
    hanging.join()
    calls.run(lambda: None)

    assert made == []
