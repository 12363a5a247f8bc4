"""`touchplate log rotate`: freeze the transparency log's tree, and go on with a new one."""

import os
from argparse import ArgumentParser, Namespace
from typing import Any

from touchplate.cli.environment import now
from touchplate.cli.service import load_server


def add_arguments(parser: ArgumentParser) -> None:
    """Add the URL of the new tree."""
    parser.add_argument(
        "--url",
        metavar="URL",
        help="where clients reach the new tree, and its name (default: the instance's)",
    )
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="only make the keys of the new tree, for other hosts and for witnesses",
    )


def act(arguments: Namespace, settings: Any) -> int:  # noqa: ANN401 - loaded with the server
    """Give 0 if the new tree takes entries."""
    url = load_server("settings").parse_origin(arguments.url) if arguments.url else None
    if arguments.prepare:
        vkeys = load_server("rotation").prepare_log(settings, os.environ, now, url)
        print("the keys of the next tree are made; its verifier keys will be")
        print("\n".join(vkeys))
        return 0
    rotated = load_server("rotation").rotate_log(settings, os.environ, now, url)
    before = rotated.before
    if rotated.resumed:
        print("completed a rotation that was interrupted")
    print(
        f"{before.name} is frozen: {before.last.size} entries, root {before.last.root.hex()}\n"
        f"{rotated.name} takes entries from now on: {rotated.origin}, tree {rotated.tree_id:016x}"
    )
    if rotated.same_name:
        print(
            "warning: both have the same name; caches in front of this service must forget the "
            "files below /tile/"
        )
    print(
        "verifiers learn of it when they fetch their trusted root again\n"
        f"other hosts need keys/{rotated.name}*.pem of {settings.data}"
    )
    return 0
