"""argparse, as all verbs use it: no abbreviations, plain layout, our exit status for usage."""

import argparse
from typing import Any

WIDTH = 98


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help of one width: to measure the terminal argparse loads modules at each `add_argument`."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=WIDTH)


class Parser(argparse.ArgumentParser):
    """A parser whose options mean one thing: `--id` is not `--identity`."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401  passed through to argparse
        options.setdefault("formatter_class", Formatter)
        super().__init__(**(options | {"allow_abbrev": False}))

    def read(self, words: list[str]) -> argparse.Namespace:
        """Parse the words; files may stand between options, unless there are actions."""
        # Mixing does not know "--"; after it no option follows that could be mixed in.
        if self._subparsers is not None or "--" in words:
            return self.parse_args(words)
        return self.parse_intermixed_args(words)
