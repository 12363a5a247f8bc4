"""`touchplate log import`: a log from elsewhere becomes the start of an instance's own."""

import os
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from typing import Any, Final

from touchplate.cli.environment import now, read_file
from touchplate.cli.progress import Progress
from touchplate.cli.service import load_server
from touchplate.errors import SettingsError
from touchplate.keys.public import load_public_key_pem

_MAX_KEY: Final = 64 * 1024
_MAX_CHECKPOINT: Final = 1024 * 1024


def add_arguments(parser: ArgumentParser) -> None:
    """Add the source, and what it is held to."""
    parser.add_argument(
        "source", metavar="SOURCE", help="a tile log (folder or URL), or a dump of a v1 log (file)"
    )
    parser.add_argument(
        "--vkey", metavar="KEY", help="the verifier key that a tile log's checkpoint is signed with"
    )
    parser.add_argument("--public-key", metavar="FILE", help="the log's public key instead, PEM")
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="of a dump: the checkpoint that it must lead to, or the answer of /api/v1/log",
    )
    parser.add_argument(
        "--url", metavar="URL", help="make the instance if there is none: the URL it will have"
    )
    parser.add_argument(
        "--unverified",
        action="store_true",
        help="take the source's word for what it is: check no signature of its log",
    )


def act(arguments: Namespace, settings: Any) -> int:  # noqa: ANN401 - loaded with the server
    """Give 0 once the whole log is here, and leads to the root that it was to have."""
    _check_trust(arguments)
    importing = load_server("importing")
    key = checkpoint = None
    if arguments.public_key is not None:
        pem = read_file(arguments.public_key, _MAX_KEY, "the public key")
        key = load_public_key_pem(pem.decode("ascii", "replace"))
    if arguments.checkpoint is not None:
        checkpoint = read_file(arguments.checkpoint, _MAX_CHECKPOINT, "the checkpoint")
    if arguments.url is not None:
        url = load_server("settings").parse_origin(arguments.url)
        settings = replace(settings, url=url)
    with Progress() as progress:
        imported = importing.import_into(
            settings,
            os.environ,
            now,
            arguments.source,
            importing.Trust(arguments.vkey, key, checkpoint),
            progress,
        )
    loaded = imported.loaded
    print(f"imported {loaded.added} entries: size {loaded.checkpoint.size}")
    print(f"root {loaded.checkpoint.root.hex()}")
    if imported.later:
        print(f"{imported.later} entries were older than the one before them, and got its time")
    return 0


def _check_trust(arguments: Namespace) -> None:
    """Ask for a key, or for the word that none is to be used (USAGE)."""
    given = [arguments.vkey, arguments.public_key, arguments.unverified or None]
    if sum(each is not None for each in given) != 1:
        raise SettingsError(
            "USAGE",
            "give one of --vkey KEY, --public-key FILE and --unverified",
            hint="without a key nothing shows that the source is the log that it says it is",
        )
    is_file = os.path.isfile(arguments.source)  # noqa: PTH113 - as `environment`
    if is_file and arguments.vkey is not None:
        raise SettingsError("USAGE", "a dump is held to --public-key FILE, not to --vkey")
    if arguments.checkpoint is not None and not is_file:
        raise SettingsError("USAGE", "--checkpoint is for dumps: a tile log has its own")
    if is_file and arguments.checkpoint is None and not arguments.unverified:
        raise SettingsError(
            "USAGE",
            "a dump needs --checkpoint FILE, to show that it is whole and the log's",
            hint="fetch /api/v1/log before the entries, and give its answer",
        )
