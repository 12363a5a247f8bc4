"""Text for a terminal: nothing in it with which a certificate could write over our lines."""

import os
import sys
from typing import TextIO

_STYLES = {"bold": "1", "red": "31", "green": "32", "faint": "2"}


def printable(text: str) -> str:
    """Show control and format characters as escapes, so that found values stay in their line.

    A name may hold any character; right-to-left marks or cursor movements could make a terminal
    show another verdict than ours.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shell_word(text: str) -> str:
    """Quote one word of a command that a person may paste; control characters become `$'…'`.

    Octal escapes stand for the bytes of the name, so that bash, zsh and ksh all read them alike.
    """
    import shlex

    if text.isprintable():
        return shlex.quote(text)
    escaped = "".join(map(_escape, text))
    return f"$'{escaped}'"


def _escape(character: str) -> str:
    if character in "'\\":
        return "\\" + character
    if character.isprintable():
        return character
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(character))


def is_colorful(stream: TextIO) -> bool:
    """Answer whether to colour: a terminal, and nobody said NO_COLOR."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """Give the text in a style, where the stream shows it."""
    if not is_colorful(stream or sys.stdout):
        return text
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"
