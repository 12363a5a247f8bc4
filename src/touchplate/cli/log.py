"""Look after the transparency log of your own instance.

Only who can read the data folder, and the storage that its settings name, can do this. A server may
run meanwhile.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any, NamedTuple

from touchplate.cli import log_check, log_export, log_freeze, log_import, log_reindex, log_rotate
from touchplate.cli.service import add_folder, add_storage, load_instance


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
        add_folder(each)
        add_storage(each)
        action.add_arguments(each)


def run(arguments: Namespace) -> int:
    """Do what the action says."""
    act: Callable[[Namespace, Any], int] = arguments.act
    return act(arguments, load_instance(arguments))


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
