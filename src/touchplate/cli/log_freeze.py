"""`touchplate log freeze`: the transparency log takes no more entries."""

import os
from argparse import ArgumentParser, Namespace
from typing import Any

from touchplate.cli.environment import now
from touchplate.cli.service import load_server


def add_arguments(_parser: ArgumentParser) -> None:
    """Add nothing: it takes the folder and the settings alone."""


def act(_arguments: Namespace, settings: Any) -> int:  # noqa: ANN401 - loaded with the server
    """Give 0 if the log is frozen now, also if it was before."""
    frozen = load_server("rotation").freeze_log(settings, os.environ, now)
    print(
        f"{frozen.name} is frozen: {frozen.last.size} entries, root {frozen.last.root.hex()}\n"
        "new entries are refused from now on (405); `touchplate log rotate` begins a new tree"
    )
    return 0
