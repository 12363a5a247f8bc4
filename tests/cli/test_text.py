from __future__ import annotations

import io
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.cli.text import is_colorful, paint, printable, shell_word


class Terminal(io.StringIO):
    """Says that it is a terminal."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def test_plain() -> None:
    """Readable text stays as it is, whatever the script."""
    for text in ("a@example.com", "ökonom@exämple.test", "名前", ""):
        assert printable(text) == text


@given(st.text())
def test_nothing_moves_the_cursor(text: str) -> None:
    """Whatever is found, what is shown is printable."""
    assert printable(text).isprintable()


@pytest.mark.parametrize(
    "name",
    [
        "plain.txt",
        "a b",
        "it's",
        "$(x)",
        "ö 名",
        "a\nb",
        "'\t\\1",
        "\u202egnp.exe\x1b[2J",
        "\udcff7",
    ],
)
def test_shell_word(name: str) -> None:
    """What a person pastes is printable, and is that name again in a shell."""
    word = shell_word(name)
    assert word.isprintable()
    done = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True)
    assert done.stdout == name.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("name", "value", "colorful"),
    [("NO_COLOR", "1", False), ("NO_COLOR", "", True), ("TERM", "dumb", False)],
)
def test_color(monkeypatch: pytest.MonkeyPatch, name: str, value: str, colorful: bool) -> None:
    """Colour is for terminals whose user did not say NO_COLOR."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)

    assert is_colorful(Terminal()) is colorful
    assert ("\x1b" in paint("ok", "green", Terminal())) is colorful
    assert paint("ok", "green", io.StringIO()) == "ok"
