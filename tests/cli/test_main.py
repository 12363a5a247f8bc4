from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import touchplate.cli.version
from touchplate import __version__
from touchplate.cli.verbs import VERBS
from touchplate.errors import RefusedError, UnavailableError

if TYPE_CHECKING:
    from tests.cli.conftest import Run

COMMAND = (sys.executable, "-m", "touchplate.cli")


@pytest.mark.parametrize("words", [("--version",), ("-V",), ("version",)])
def test_version(run: Run, words: tuple[str, ...]) -> None:
    """The version is one line."""
    result = run(*words)
    assert (result.status, result.out) == (0, f"touchplate {__version__}\n")


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",)])
def test_help(run: Run, words: tuple[str, ...]) -> None:
    """Help names every verb."""
    result = run(*words)
    assert result.status == 0
    assert all(f"  {verb}" in result.out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_verb(run: Run, verb: str) -> None:
    """Each verb explains itself, asked in either way."""
    asked = [run(verb, "--help"), run("help", verb), run("--help", verb)]
    assert {result.status for result in asked} == {0}
    assert asked[0].out == asked[1].out == asked[2].out
    assert asked[0].out.startswith(f"usage: touchplate {verb}")


@pytest.mark.parametrize(
    "words",
    [
        ("frobnicate",),
        ("",),
        ("--frobnicate",),
        ("verify",),
        ("sign",),
        ("trust",),
        ("trust", "frobnicate"),
        ("token",),
        ("version", "more"),
        ("verify", "a", "--identit", "b"),
        ("verify", "a", "--json", "--explain"),
        ("\x1b[2J",),
    ],
)
def test_usage(run: Run, words: tuple[str, ...]) -> None:
    """What is no command is status 2, said on standard error, without abbreviations guessed."""
    result = run(*words)
    assert result.status == 2
    assert result.out == ""
    assert result.err
    assert "\x1b" not in result.err


def crash(_: object) -> int:
    """Be at fault."""
    raise KeyError("secret")


@pytest.mark.parametrize("debug", [False, True])
def test_crash(run: Run, monkeypatch: pytest.MonkeyPatch, debug: bool) -> None:
    """CVE-2026-44310: a crash is status 70, never 0; its traceback is for who asks for it."""
    monkeypatch.setattr(touchplate.cli.version, "run", crash)
    if debug:
        monkeypatch.setenv("TOUCHPLATE_DEBUG", "1")

    result = run("version")

    assert result.status == 70
    assert "fault in touchplate (KeyError)" in result.err
    assert ("Traceback" in result.err) is debug
    assert ("secret" in result.err) is debug


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RefusedError("TOKEN_REFUSED", "no"), 1),
        (UnavailableError("SERVICE_UNAVAILABLE", "away"), 3),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 74),
        (RecursionError(), 70),
        (MemoryError(), 70),
        (AssertionError(), 70),
        (SystemExit("text"), 2),
    ],
)
def test_statuses(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int
) -> None:
    """Each end has its own status."""

    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr(touchplate.cli.version, "run", fail)
    if isinstance(error, BrokenPipeError):
        monkeypatch.setattr(os, "dup2", lambda *_: None)
    assert run("version").status == status


def test_full_disk() -> None:
    """A verdict that could not be written out is not status 0."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    with full.open("w") as output:
        done = subprocess.run(
            [*COMMAND, "--version"],
            stdout=output,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 74
    assert b"output cannot be written: No space left on device" in done.stderr


@pytest.mark.parametrize("words", ["--version", "help", "verify --help", "trust list --json"])
def test_closed_output(words: str) -> None:
    """Without a standard output nothing is done, and that is said."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m touchplate.cli {words} >&-', sys.executable],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (74, b"")
    assert done.stderr == b"touchplate: output cannot be written: closed\n"


def test_help_to_full_disk() -> None:
    """Help that could not be written is not status 0 either."""
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -m touchplate.cli verify --help >/dev/full', sys.executable],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 74


@pytest.mark.parametrize(("redirect", "status"), [("2>&-", 2), ("2>/dev/full", 74)])
def test_no_standard_error(redirect: str, status: int) -> None:
    """An error that nobody can read is never on standard output, and never status 0 or 1."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m touchplate.cli verify nowhere {redirect}', sys.executable],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (status, b"")


def test_ascii_output() -> None:
    """An output that has no letter for something shows its number."""
    done = subprocess.run(
        [*COMMAND, "help"],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"usage: touchplate COMMAND \\u2026")


def test_help_width(run: Run) -> None:
    """Help fits a terminal of 80 columns."""
    for verb in VERBS:
        _, _, explained = run(verb, "--help").out.partition("\n\n")
        assert max(map(len, explained.splitlines())) <= 80


def test_closed_pipe() -> None:
    """When nobody reads the verdict the status is not 0, and nobody sees a traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, "--version"], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (74, b"")
