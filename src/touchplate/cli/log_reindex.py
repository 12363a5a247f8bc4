"""Make the search index of an instance again: every entry is read and proven on the way."""

import os
from argparse import ArgumentParser, Namespace
from typing import Any

from touchplate.cli.environment import now
from touchplate.cli.progress import Progress
from touchplate.cli.service import load_server


def add_arguments(parser: ArgumentParser) -> None:
    """Add whether to begin anew."""
    parser.add_argument(
        "--resume", action="store_true", help="go on where an interrupted one ended; drop nothing"
    )


def act(arguments: Namespace, settings: Any) -> int:  # noqa: ANN401 - loaded with the server
    """Give 0 if the index now reaches the newest checkpoint."""
    with Progress() as progress:

        def report(tree: Any) -> None:  # noqa: ANN401 - the same
            progress(f"tree {tree.tree_id}", tree.indexed, tree.size)

        trees = load_server("reindexing").reindex(
            settings, os.environ, now, resume=arguments.resume, report=report
        )
    for tree in trees:
        print(f"indexed {tree.indexed} entries of tree {tree.tree_id}, proven in its checkpoint")
    return 0
