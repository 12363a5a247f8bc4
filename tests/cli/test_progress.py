"""The line that tells how far a long command is."""

import io
import sys

import pytest

from touchplate.cli import progress as module
from touchplate.cli.progress import Progress


class Terminal(io.StringIO):
    """What a person sees: text that says it is a terminal."""

    def isatty(self) -> bool:
        """Answer yes."""
        return True


def lines(terminal: Terminal) -> list[str]:
    """Give what was shown, one after the other, without the padding."""
    return [line.rstrip() for line in terminal.getvalue().split("\r")[1:]]


def test_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells how many are done, of how many, and how fast once that is known; then it goes."""
    terminal, clock = Terminal(), iter((0.0, 1.0, 1.1, 3.0))
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(module, "monotonic", lambda: next(clock))
    with Progress() as progress:
        progress("tlog", 0, 4000)
        progress("tlog", 500, 4000)  # too soon after the one before
        progress("tlog", 1000, 4000)
    assert lines(terminal) == [
        "tlog 0 of 4000 entries, 0 %",
        "tlog 1000 of 4000 entries, 25 %, 500/s",
        "",
        "",
    ]


def test_no_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no known end is counted; a first count says nothing of the speed."""
    terminal, clock = Terminal(), iter((0.0, 1.0, 2.0))
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(module, "monotonic", lambda: next(clock))
    progress = Progress("files")
    progress("import", 70)
    progress("import", 100)
    assert lines(terminal) == ["import 70 files", "import 100 files, 30/s"]


def test_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody looks, nothing is said."""
    with Progress() as progress:
        progress("tlog", 1, 2)
    assert capsys.readouterr() == ("", "")
