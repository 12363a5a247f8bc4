"""`touchplate log check`: read the logs again and name all that is wrong with them."""

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import TYPE_CHECKING, Any, Final

from touchplate.cli.progress import Progress
from touchplate.cli.service import load_server
from touchplate.cli.text import printable

if TYPE_CHECKING:
    from touchplate.tilelog.audit import Audit

MAX_JOBS: Final = 256


def add_arguments(parser: ArgumentParser) -> None:
    """Add which log, and how much of it."""
    parser.add_argument(
        "--log",
        choices=("tlog", "ct"),
        help="the transparency log alone, or the certificate log (default: both)",
    )
    parser.add_argument(
        "--entries", action="store_true", help="check the signature in each entry too"
    )
    parser.add_argument(
        "--jobs",
        type=parse_jobs,
        metavar="N",
        help="how many processes read (default: one a processor)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def act(arguments: Namespace, settings: Any) -> int:  # noqa: ANN401 - loaded with the server
    """Give 0 if the logs are whole, 1 if anything is wrong with them."""
    checking = load_server("checking")
    with Progress() as progress:
        audits: dict[str, Audit] = checking.check_logs(
            settings.data,
            settings,
            os.environ,
            names=(arguments.log,) if arguments.log else checking.LOGS,
            entries=arguments.entries,
            jobs=arguments.jobs or os.cpu_count() or 1,
            progress=progress,
        )
    if arguments.json:
        print(_json(audits))
    else:
        for name, audit in audits.items():
            _tell(name, audit, entries=arguments.entries)
    return 1 if any(audit.faults for audit in audits.values()) else 0


def _tell(name: str, audit: "Audit", *, entries: bool) -> None:
    for fault in audit.faults:
        print(f"{name}: {printable(fault.place)}: {printable(fault.text)}")
    if audit.more:
        print(f"{name}: and {audit.more} more")
    if audit.faults:
        count = len(audit.faults) + audit.more
        faults = "1 fault" if count == 1 else f"{count} faults"
        print(f"{name}: DAMAGED: {faults} in {audit.size} entries")
        return
    checked = f", {audit.signed} signatures checked" if entries else ""
    print(f"{name}: whole: {audit.size} entries, root {audit.root.hex()}{checked}")


def _json(audits: "dict[str, Audit]") -> str:
    import json

    return json.dumps(
        {
            "logs": [
                {
                    "name": name,
                    "whole": not audit.faults,
                    "size": audit.size,
                    "root": audit.root.hex(),
                    "faults": [
                        {"place": fault.place, "text": fault.text} for fault in audit.faults
                    ],
                    "more": audit.more,
                    "signatures": audit.signed,
                }
                for name, audit in audits.items()
            ]
        },
        indent=2,
    )


def parse_jobs(text: str) -> int:
    """Read how many processes may read."""
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= MAX_JOBS):
        raise ArgumentTypeError(f"{text[:20]!a} is not a number from 1 to {MAX_JOBS}")
    return int(text)
