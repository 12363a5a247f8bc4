"""`make demo` works, and in the time that the README promises."""

import subprocess
import sys
import time

import pytest

from tests.docs.pages import REPOSITORY


@pytest.mark.slow
def test_demo() -> None:
    """The demo runs to its end on this project's own release files within a minute."""
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "tools/demo.py"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
        text=True,
    )

    assert done.returncode == 0, done.stdout
    assert time.monotonic() - begun < 60
