"""Restore an instance from a backup, to a folder of its own."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from touchplate.cli.service import load_server
from touchplate.errors import SettingsError


def add_arguments(parser: ArgumentParser) -> None:
    """Add what to restore, where to, and what it is held to."""
    parser.add_argument("file", metavar="FILE", help="the backup")
    parser.add_argument(
        "--data", metavar="DIR", required=True, help="the folder to make; it must be empty"
    )
    parser.add_argument(
        "--published",
        metavar="FILE|URL",
        action="append",
        default=[],
        help="a checkpoint that others have seen; a log that is behind it is never written to",
    )


def run(arguments: Namespace) -> int:
    """Give 0 if the instance can be served from there."""
    from touchplate.transport.http import HttpTransport

    data = Path(arguments.data)
    restored = load_server("restoring").restore(
        Path(arguments.file), data, arguments.published, HttpTransport()
    )
    header = restored.header
    print(f"restored to {data}, as it was at {header.made_at:%Y-%m-%d %H:%M:%S} UTC:")
    for log in header.logs:
        print(f"{log.name}: {log.size} entries, root {log.root.hex()}")
    if not header.keys:
        print(f"the private keys are not in the backup: put them into {data / 'keys'}")
    if restored.behind:
        raise SettingsError(
            "STATE_BEHIND",
            "; ".join(restored.behind),
            hint="no server will write to it: restore a newer backup, or keep this one for reading",
        )
    if not arguments.published:
        print(
            "if anybody may have seen a newer checkpoint of these logs, restore again with "
            "--published: to go on from an old state is to fork the log"
        )
    print(f"next: touchplate log check --data {data}")
    return 0
