"""Search a transparency log: what was signed in a name, with a key, for a file.

All conditions must hold; one that is given several times must hold each time. --entry looks up one
entry instead, by what sign prints. With --proofs each entry is proven to be in a tree that the log
signed, with the key that this machine trusts. That nothing is left out is not proven: a server can
hide entries from its index.
"""

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator, Sequence

from touchplate.cli.environment import home, read_file
from touchplate.cli.network import add_http, open_retrying
from touchplate.cli.text import printable
from touchplate.errors import SettingsError, TouchplateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from touchplate.clients.search import FoundEntry, SearchClient
    from touchplate.entries.conditions import Conditions
    from touchplate.formats.checkpoint import Checkpoint
    from touchplate.trust.store import Instance

MAX_KEY_BYTES = 64 * 1024
MAX_LIMIT = 10_000
DEFAULT_LIMIT = 100

# Option, what it stands for, and what `--help` says.
_CONDITIONS = (
    ("digest", "DIGEST", "digest of the artifact or payload: sha256:HEX"),
    ("identity", "NAME", "e-mail address, URI, host or user name in the certificate"),
    ("issuer", "URL", "who vouched for the identity"),
    ("key", "PEM|HEX", "file with a key or certificate, or the SHA-256 of one"),
    ("extension", "NAME=VALUE", "a certificate extension, by name or number, with this value"),
    ("kind", "KIND", "kind of entry, such as hashedrekord"),
)


def add_arguments(parser: ArgumentParser) -> None:
    """Add conditions, order, trust and how to say it."""
    what = parser.add_argument_group("conditions")
    for name, metavar, text in _CONDITIONS:
        what.add_argument(f"--{name}", action="append", default=[], metavar=metavar, help=text)
    what.add_argument("--since", metavar="TIME", help="integrated then or later (date or RFC 3339)")
    what.add_argument("--until", metavar="TIME", help="integrated before then")
    what.add_argument(
        "--entry",
        metavar="TREE:INDEX|N|UUID",
        help="this entry and no other: as sign names it, by its index over all trees, or its UUID",
    )
    parser.add_argument("--oldest", action="store_true", help="give the oldest entries first")
    parser.add_argument(
        "--limit",
        type=_limit,
        default=DEFAULT_LIMIT,
        metavar="N",
        help=f"give at most so many entries, 1 to {MAX_LIMIT} (default: {DEFAULT_LIMIT})",
    )
    parser.add_argument(
        "--instance",
        metavar="NAME",
        help="name or URL of a trusted instance, or without --proofs any URL (default: the only "
        "one trusted)",
    )
    parser.add_argument("--proofs", action="store_true", help="prove each entry before it is shown")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    add_http(parser)


def run(arguments: Namespace) -> int:
    """Ask, prove if that is wanted, and print."""
    fields = list(_fields(arguments))
    find = _search if arguments.entry is None else _look_up
    if arguments.entry is not None and (fields or arguments.oldest):
        raise SettingsError("USAGE", "--entry goes without other conditions and --oldest")
    answer = find(arguments, fields)
    (_print_json if arguments.json else _print_table)(answer, proven=arguments.proofs)
    return 0


def _search(arguments: Namespace, fields: list[tuple[str, str]]) -> "_Answer":
    from touchplate.clients.search import SearchClient
    from touchplate.entries.conditions import Conditions, read_conditions

    by_name: dict[str, list[str]] = {}
    for name, value in fields:
        by_name.setdefault(name, []).append(value)
    # Read here too: what is wrong with a condition is told before anybody is asked.
    conditions = Conditions(**read_conditions(by_name))
    if arguments.oldest:
        fields.append(("order", "oldest"))
    url, instance = _instance(arguments)
    client = SearchClient(url, open_retrying(arguments))
    if arguments.proofs:
        assert instance is not None  # noqa: S101 - `_instance` saw to it
        return _proven(client, fields, arguments.limit, instance, conditions)
    return _told(client, fields, arguments.limit)


def _look_up(arguments: Namespace, _: list[tuple[str, str]]) -> "_Answer":
    from touchplate.clients.lookup import LookupClient, prove, read_word

    wanted = read_word(arguments.entry)
    url, instance = _instance(arguments)
    found = LookupClient(url, open_retrying(arguments)).find(wanted)
    answer = _Answer()
    if found is not None:
        answer.entries.append(found.entry)
        if arguments.proofs:
            assert instance is not None  # noqa: S101 - `_instance` saw to it
            answer.checkpoints.append(prove(found, instance.trusted_root()))
    return answer


class _Answer:
    """Entries to print, and what else is known."""

    def __init__(self) -> None:
        self.entries: list[FoundEntry] = []
        self.checkpoints: list[Checkpoint] = []
        self.index: object = None
        self.has_more = False


def _told(client: "SearchClient", fields: Sequence[tuple[str, str]], limit: int) -> _Answer:
    answer = _Answer()
    for page in client.pages(fields, limit, proofs=False):
        answer.entries += page.entries
        answer.index, answer.has_more = page.index, bool(page.cursor)
    return answer


def _proven(
    client: "SearchClient",
    fields: Sequence[tuple[str, str]],
    limit: int,
    instance: "Instance",
    conditions: "Conditions",
) -> _Answer:
    from touchplate.clients.search import Prover

    prover = Prover(instance.trusted_root(), conditions)
    answer = _Answer()
    for page in client.pages(fields, limit, proofs=True):
        entries, checkpoint = prover.prove(page)
        answer.entries += entries
        if checkpoint is not None and checkpoint not in answer.checkpoints:
            answer.checkpoints.append(checkpoint)
        answer.index, answer.has_more = page.index, bool(page.cursor)
    return answer


def _fields(arguments: Namespace) -> Iterator[tuple[str, str]]:
    for name, _, _ in _CONDITIONS:
        for value in getattr(arguments, name):
            yield name, _key(value) if name == "key" else value
    for name in ("since", "until"):
        value = getattr(arguments, name)
        if value is not None:
            yield name, value


def _key(word: str) -> str:
    """Give what stands for a key: a hash as it is, a file by the key or certificate in it."""
    from touchplate.entries.conditions import read_key
    from touchplate.entries.terms import key_terms

    try:
        return read_key(word)
    except TouchplateError:
        pem = read_file(word, MAX_KEY_BYTES, "key")
        # A certificate is found by itself first, a key by its SubjectPublicKeyInfo.
        found = key_terms(pem)
        return found[0] if b"CERTIFICATE" in pem else found[-1]


def _instance(arguments: Namespace) -> "tuple[str, Instance | None]":
    from touchplate.trust.store import TrustStore

    store, wanted = TrustStore(home()), arguments.instance
    if wanted is None:
        instance = store.only()
    elif not arguments.proofs and wanted.startswith(("https://", "http://")):
        return wanted, None
    else:
        instance = store.get(wanted)
    if not instance.url.startswith(("https://", "http://")):
        raise SettingsError("USAGE", f"instance {instance.name} has no URL to be searched at")
    return instance.url, instance


def _print_table(answer: _Answer, *, proven: bool) -> None:
    for entry in answer.entries:
        found = entry.terms
        who = ", ".join(found.identities) or "".join(f"key {key[:16]}" for key in found.keys[:1])
        what = found.digests[0] if found.digests else "-"
        line = (entry.name, entry.integrated_time, found.kind, who or "-", what)
        print("  ".join(map(printable, line)))
    count = len(answer.entries)
    said = f"{count} {'entry' if count == 1 else 'entries'}"
    if answer.checkpoints:
        trees = (
            f"the tree of {each.size} that {each.origin} signed" for each in answer.checkpoints
        )
        said += f", proven in {' and '.join(trees)}"
    if proven and count:
        said += "; the times are the server's word"
    if answer.has_more:
        said += "; there are more (--limit)"
    sys.stdout.flush()  # what is said of the lines comes after them
    print(printable(said), file=sys.stderr)


def _print_json(answer: _Answer, *, proven: bool) -> None:
    import json

    rows = [
        {
            "name": entry.name,
            "entryId": entry.entry_id,
            "logIndex": entry.log_index,
            "treeIndex": entry.tree_index,
            "integratedTime": entry.integrated_time,
            "kind": entry.terms.kind,
            "version": entry.terms.version,
            "digests": entry.terms.digests,
            "identities": entry.terms.identities,
            "issuers": entry.terms.issuers,
            "keys": entry.terms.keys,
            "extensions": [
                {"number": number, "value": value} for number, value in entry.terms.extensions
            ],
        }
        for entry in answer.entries
    ]
    document = {
        "proven": proven,
        "rows": rows,
        "checkpoints": [
            {"origin": each.origin, "size": each.size, "root": each.root.hex()}
            for each in answer.checkpoints
        ],
        "more": answer.has_more,
        "index": answer.index,
    }
    print(json.dumps(document, indent=2))


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MAX_LIMIT):
        raise ArgumentTypeError(f"{text[:20]!a} is not a number from 1 to {MAX_LIMIT}")
    return int(text)
