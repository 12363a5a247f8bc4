"""argparse, as all verbs use it: no abbreviations, plain layout, our exit status for usage."""

import argparse
import sys
from typing import Any

WIDTH = 78


class Formatter(argparse.HelpFormatter):
    """Help of one width: to measure the terminal argparse loads modules at each `add_argument`."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=WIDTH)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Fill each paragraph of a description."""
        fill = super()._fill_text
        return "\n\n".join(fill(paragraph, width, indent) for paragraph in text.split("\n\n"))


class Parser(argparse.ArgumentParser):
    """A parser whose options mean one thing: `--id` is not `--identity`."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401  passed through to argparse
        options.setdefault("formatter_class", Formatter)
        super().__init__(**(options | {"allow_abbrev": False}))

    def _print_message(self, message: str, file: Any = None) -> None:  # noqa: ANN401  as there
        """Write help or usage; argparse would pass over what could not be written."""
        (file or sys.stderr).write(message)

    def read(self, words: list[str]) -> argparse.Namespace:
        """Parse the words; files may stand between options, unless there are actions."""
        # Mixing does not know "--"; after it no option follows that could be mixed in.
        if self._subparsers is not None or "--" in words:
            return self.parse_args(words)
        return self.parse_intermixed_args(words)
