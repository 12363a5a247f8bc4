"""Look after the transparency log of your own instance.

Only who can read the data folder, and the storage that its settings name, can do this. A server may
run meanwhile.
"""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any, NamedTuple

from touchplate.cli import log_check, log_export, log_freeze, log_import, log_reindex, log_rotate
from touchplate.cli.service import load_server


class Action(NamedTuple):
    """One subcommand: what `--help` says, its own arguments, and what it does."""

    summary: str
    add_arguments: Callable[[ArgumentParser], None]
    # The arguments and the instance's settings -> the exit status.
    act: Callable[[Namespace, Any], int]


def add_arguments(parser: ArgumentParser) -> None:
    """Add one parser for each action; all of them take the folder and the settings file."""
    actions = parser.add_subparsers(required=True, metavar="|".join(ACTIONS))
    for name, action in ACTIONS.items():
        each = actions.add_parser(name, help=action.summary, description=action.summary)
        each.set_defaults(act=action.act)
        each.add_argument("--data", metavar="DIR", help="the instance's folder (TOUCHPLATE_DATA)")
        each.add_argument(
            "--config",
            metavar="FILE",
            help="its settings file (TOUCHPLATE_CONFIG; default: DIR/touchplate.toml)",
        )
        each.add_argument(
            "--database",
            metavar="URI",
            help="where its logs' databases rest (TOUCHPLATE_DATABASE; default: the folder)",
        )
        each.add_argument(
            "--objects",
            metavar="URI",
            help="where its tiles and entries rest (TOUCHPLATE_OBJECTS; default: the folder)",
        )
        action.add_arguments(each)


def run(arguments: Namespace) -> int:
    """Do what the action says."""
    from_file = load_server("config").load_settings(
        os.environ, data=arguments.data, config=arguments.config
    )
    settings = load_server("settings").make_settings(
        os.environ, from_file, database=arguments.database, objects=arguments.objects
    )
    act: Callable[[Namespace, Any], int] = arguments.act
    return act(arguments, settings)


ACTIONS = {
    "freeze": Action(
        "take no more entries into the transparency log",
        log_freeze.add_arguments,
        log_freeze.act,
    ),
    "rotate": Action(
        "freeze the transparency log's tree, and go on with a new one",
        log_rotate.add_arguments,
        log_rotate.act,
    ),
    "check": Action(
        "read the logs again and prove every entry, tile and checkpoint",
        log_check.add_arguments,
        log_check.act,
    ),
    "export": Action(
        "write the log as files that any web server can serve",
        log_export.add_arguments,
        log_export.act,
    ),
    "import": Action(
        "begin the log of a new instance with one from elsewhere",
        log_import.add_arguments,
        log_import.act,
    ),
    "reindex": Action(
        "make the search index again from the log",
        log_reindex.add_arguments,
        log_reindex.act,
    ),
}
