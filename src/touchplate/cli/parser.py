"""argparse, as all verbs use it: no abbreviations, plain layout, our exit status for usage."""

import argparse
from typing import Any


class Parser(argparse.ArgumentParser):
    """A parser whose options mean one thing: `--id` is not `--identity`."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401  passed through to argparse
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)
