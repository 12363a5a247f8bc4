"""Look after the certificate log of your own instance.

Only who can read the data folder, and the storage that its settings name, can do this. A server may
run meanwhile.
"""

import os
from argparse import ArgumentParser, Namespace

from touchplate.cli import log_check
from touchplate.cli.service import load_server

SUMMARY = "read the log again, and hold each certificate to what the authority issues"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the one action that there is."""
    actions = parser.add_subparsers(required=True, metavar="check")
    check = actions.add_parser("check", help=SUMMARY, description=SUMMARY)
    check.add_argument("--data", metavar="DIR", help="the instance's folder (TOUCHPLATE_DATA)")
    check.add_argument(
        "--config",
        metavar="FILE",
        help="its settings file (TOUCHPLATE_CONFIG; default: DIR/touchplate.toml)",
    )
    check.add_argument(
        "--database",
        metavar="URI",
        help="where its log's database rests (TOUCHPLATE_DATABASE; default: the folder)",
    )
    check.add_argument(
        "--objects",
        metavar="URI",
        help="where its tiles and issuers rest (TOUCHPLATE_OBJECTS; default: the folder)",
    )
    check.add_argument(
        "--jobs",
        type=log_check.parse_jobs,
        metavar="N",
        help="how many processes read (default: one a processor)",
    )
    check.add_argument("--json", action="store_true", help="print one JSON document")
    check.set_defaults(log="ct", entries=True)


def run(arguments: Namespace) -> int:
    """Give 0 if the log is whole and all certificates are as they should be, else 1."""
    from_file = load_server("config").load_settings(
        os.environ, data=arguments.data, config=arguments.config
    )
    settings = load_server("settings").make_settings(
        os.environ, from_file, database=arguments.database, objects=arguments.objects
    )
    return log_check.act(arguments, settings)
