"""`touchplate log export`: the transparency log as files that any web server can serve."""

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from touchplate.cli.progress import Progress
from touchplate.cli.service import load_server


def add_arguments(parser: ArgumentParser) -> None:
    """Add where to."""
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        required=True,
        help="the folder to write, or one of an earlier export to add to",
    )
    parser.add_argument(
        "--tree", type=int, metavar="ID", help="another tree of the log than the newest, by its id"
    )


def act(arguments: Namespace, settings: Any) -> int:  # noqa: ANN401 - loaded with the server
    """Give 0 once the checkpoint is in the folder, with all that it implies."""
    with Progress() as progress:
        exported, vkey = load_server("exporting").export_log(
            settings,
            os.environ,
            Path(arguments.out),
            tree_id=arguments.tree,
            progress=lambda done, size: progress("exported", done, size),
        )
    checkpoint = exported.checkpoint
    print(f"exported {checkpoint.origin} at size {checkpoint.size}, {exported.added} new entries")
    print(f"root {checkpoint.root.hex()}")
    print(f"vkey {vkey}")
    return 0
