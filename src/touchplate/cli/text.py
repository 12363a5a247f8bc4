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
