"""Exchange the keys that your own instance signs with, while it runs.

The new key is announced to clients first, and signs after an overlap. What the old one has signed
stays proven. No restart is needed, and clients change nothing. Only who can read the data folder,
and the storage that its settings name, can do this.
"""

import json
import os
import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from touchplate.cli import log_rotate
from touchplate.cli.environment import now
from touchplate.cli.service import add_folder, add_storage, load_instance, load_server
from touchplate.cli.text import printable

ROLES = {
    "ca": "the certificate authority's key",
    "tsa": "the timestamp authority's key",
    "ct": "the certificate log, which ends, and its key: a new one begins",
}
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")


def add_arguments(parser: ArgumentParser) -> None:
    """Add one parser for each of what can be rotated; all take the folder and its settings."""
    actions = parser.add_subparsers(required=True, metavar="ca|tsa|ct|log|list")
    for role, what in ROLES.items():
        _add_role(_add(actions, role, f"exchange {what}", _rotate), role)
    log_rotate.add_arguments(
        _add(
            actions,
            "log",
            "freeze the transparency log's tree, and go on with a new one: `log rotate`",
            log_rotate.act,
        )
    )
    listing = _add(actions, "list", "list the keys of all roles, and when each signs", _list)
    listing.add_argument("--json", action="store_true", help="print one JSON document")


def _add(actions: Any, name: str, summary: str, act: Any) -> ArgumentParser:  # noqa: ANN401  argparse's own
    each: ArgumentParser = actions.add_parser(name, help=summary, description=summary)
    each.set_defaults(act=act)
    add_folder(each)
    add_storage(each)
    return each


def _add_role(parser: ArgumentParser, role: str) -> None:
    parser.set_defaults(role=role, chain=None, new_root=False)
    parser.add_argument(
        "--overlap",
        type=parse_duration,
        metavar="TIME",
        help="how long clients know the new key before it signs: 7d, 12h, 30m, 0 "
        "(default: 7d, after which all clients have asked)",
    )
    parser.add_argument(
        "--key",
        metavar="URI",
        help="the new key, which is there already (default: one is made)",
    )
    if role != "ct":
        made = parser.add_mutually_exclusive_group()
        made.add_argument(
            "--chain", metavar="FILE", help="its certificates, PEM, root last (default: made)"
        )
        made.add_argument(
            "--new-root", action="store_true", help="make them under a new root, not the old one"
        )
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="only make the key, for its certificate and for other hosts",
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="although another key is announced, which then never signs",
    )


def parse_duration(text: str) -> timedelta:
    """Read `7d`, `12h`, `30m`, `10s` or `0`."""
    if text == "0":
        return timedelta(0)
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ArgumentTypeError(f"{text[:40]!r} is no time such as 7d, 12h, 30m, 10s or 0")
    return timedelta(seconds=min(int(found[1]) * UNITS[found[2]], 10**10))


def run(arguments: Namespace) -> int:
    """Do what the action says."""
    settings = load_instance(arguments)
    return int(arguments.act(arguments, settings))


def _rotate(arguments: Namespace, settings: Any) -> int:  # noqa: ANN401  loaded with the server
    module = load_server("appointment")
    wish = module.Wish(
        arguments.role,
        module.OVERLAP if arguments.overlap is None else arguments.overlap,
        arguments.key,
        Path(arguments.chain) if arguments.chain else None,
        arguments.new_root,
        arguments.replace,
    )
    if arguments.prepare:
        prepared = module.prepare_key(settings, os.environ, now, wish)
        print(f"the key {prepared.name} is made: SHA-256 {prepared.key_id}")
        print(prepared.pem, end="")
        return 0
    done = module.rotate_key(settings, os.environ, now, wish)
    _tell(done, settings)
    return 0


def _tell(done: Any, settings: Any) -> None:  # noqa: ANN401  loaded with the server
    tenure, before = done.tenure, done.before
    if done.resumed:
        print(f"{tenure.name} had been decided on before; nothing new is begun")
    print(f"{tenure.name}  key SHA-256 {done.key_id}")
    for what, fingerprint in zip(("certificate", "root"), _ends(done.fingerprints), strict=False):
        print(f"  {what} SHA-256 {fingerprint}")
    print(f"  clients are told of it since {_shown(tenure.announced_at)}")
    since = "it signs since" if done.signs else "it signs from"
    print(f"  {since} {_shown(tenure.signs_from)}")
    print(f"{before.name}  key SHA-256 {done.key_id_before}")
    print(f"  signs until {_shown(tenure.signs_from)}; what it signed stays proven")
    print(f"  clients believe nothing from it that is dated after {_shown(done.valid_until)}")
    print(
        f"other hosts need keys/{tenure.name}.* of {printable(str(settings.data))} "
        f"before {_shown(tenure.signs_from)}"
    )
    print("watch it with: touchplate rotate list")


def _ends(fingerprints: tuple[str, ...]) -> tuple[str, ...]:
    return (fingerprints[0], fingerprints[-1]) if fingerprints else ()


def _list(arguments: Namespace, settings: Any) -> int:  # noqa: ANN401  loaded with the server
    rows = load_server("appointment").list_rows(settings, os.environ, now)
    if arguments.json:
        listed = [
            {
                "name": row.name,
                "state": row.state,
                "key_id": row.key_id,
                "valid_from": _shown(row.valid_from),
                "signs_from": _shown(row.signs_from),
                "valid_until": None if row.valid_until is None else _shown(row.valid_until),
            }
            for row in rows
        ]
        print(json.dumps({"keys": listed}, indent=2))
        return 0
    for row in rows:
        until = "" if row.valid_until is None else f"  until {_shown(row.valid_until)}"
        print(
            f"{row.name:8}  {row.state:12}  {row.key_id[:16]}  "
            f"signs from {_shown(row.signs_from)}{until}"
        )
    return 0


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
