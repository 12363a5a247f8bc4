"""Write your own instance to one file, while it runs.

Every entry that was promised before is in it. So are the keys, unless you say otherwise: keep it as
you keep them.
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from touchplate.cli.environment import now
from touchplate.cli.progress import Progress
from touchplate.cli.service import add_folder, load_instance, load_server


def add_arguments(parser: ArgumentParser) -> None:
    """Add which instance, and where to."""
    add_folder(parser)
    parser.add_argument(
        "--out",
        metavar="FILE|DIR",
        required=True,
        help="the file to write, or a folder in which it is named after the time",
    )
    parser.add_argument("--without-keys", action="store_true", help="leave out the private keys")


def run(arguments: Namespace) -> int:
    """Give 0 once the backup is durable."""
    settings = load_instance(arguments)
    out = Path(arguments.out).absolute()
    with Progress("files") as progress:
        made = load_server("backup").back_up(
            settings, out, now(), keys=not arguments.without_keys, progress=progress
        )
    for log in made.header.logs:
        print(f"{log.name}: {log.size} entries, root {log.root.hex()}")
    print(f"wrote {made.path}: {made.files} files, {made.bytes} bytes")
    if made.header.keys:
        print("the private keys of the instance are in it")
    else:
        print("the private keys are not in it: keep keys/ in another place")
    return 0
