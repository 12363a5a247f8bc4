"""Look after the certificate log of your own instance.

Only who can read the data folder, and the storage that its settings name, can do this. A server may
run meanwhile.
"""

from argparse import ArgumentParser, Namespace

from touchplate.cli import log_check
from touchplate.cli.service import add_folder, add_storage, load_instance

SUMMARY = "read the log again, and hold each certificate to what the authority issues"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the one action that there is."""
    actions = parser.add_subparsers(required=True, metavar="check")
    check = actions.add_parser("check", help=SUMMARY, description=SUMMARY)
    add_folder(check)
    add_storage(check)
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
    return log_check.act(arguments, load_instance(arguments))
