"""Mint an identity token of your own instance, for an address that you vouch for.

Only who can read the data folder can do this. Whoever has the token can sign as that address until
it expires: it is printed to standard output, or written to a file that only you can read.
"""

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import timedelta
from pathlib import Path

from touchplate.cli.environment import now
from touchplate.cli.service import load_server
from touchplate.storage.files import save_file


def add_arguments(parser: ArgumentParser) -> None:
    """Add which instance, for whom and for how long."""
    parser.add_argument("--data", metavar="DIR", help="the instance's folder (TOUCHPLATE_DATA)")
    parser.add_argument("--email", metavar="ADDRESS", required=True, help="whom it is for")
    parser.add_argument(
        "--output", metavar="FILE", help="write it there, readable by you alone, and print nothing"
    )
    parser.add_argument(
        "--minutes",
        type=_minutes,
        default=None,
        metavar="N",
        help="how long it is valid: 1 to 1440 (default: 10)",
    )


def run(arguments: Namespace) -> int:
    """Print one token, or write it to a file in the place of the one before."""
    settings = load_server("config").load_settings(os.environ, data=arguments.data)
    places = load_server("keys").KeyPlaces.of(settings.keys, os.environ)
    options = {} if arguments.minutes is None else {"lifetime": arguments.minutes}
    token = load_server("operator").mint(
        settings.data, arguments.email, now=now(), places=places, **options
    )
    if arguments.output is None:
        print(token)
    else:
        save_file(Path(arguments.output), f"{token}\n".encode(), overwrite=True, mode=0o600)
    return 0


def _minutes(text: str) -> timedelta:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= 1440):
        raise ArgumentTypeError(f"{text[:20]!a} is not a number from 1 to 1440")
    return timedelta(minutes=int(text))
