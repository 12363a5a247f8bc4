"""What a search asks for: conditions, an order, a number of rows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from touchplate.entries.conditions import Conditions, one, read_conditions, wrong
from touchplate.index.texts import ISSUER, KIND, Hash, extension, named

DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 100
MAX_FIELDS: Final = 16
FIELDS: Final = (
    "digest",
    "identity",
    "issuer",
    "key",
    "extension",
    "kind",
    "since",
    "until",
    "order",
    "limit",
    "cursor",
    "proofs",
)

_NUMBER: Final = re.compile(r"[0-9]{1,3}")


@dataclass(frozen=True, slots=True)
class Query(Conditions):
    """Conditions, and in which order the entries that meet them are wanted."""

    newest_first: bool = True

    def terms(self, make: Hash) -> list[tuple[bytes, ...]]:
        """Give what the database knows of the conditions: of each, an entry has one term."""
        texts = (*self.digests, *map(str.lower, self.identities), *self.keys)
        return [
            *(named(text, make) for text in texts),
            *((make(ISSUER, issuer),) for issuer in self.issuers),
            *(extension(number, text, make) for number, text in self.extensions),
            *((make(KIND, kind),) for kind in self.kinds),
        ]

    def fingerprint(self) -> bytes:
        """Give what tells this query from others, order included, for its cursors."""
        return sha256(repr(self).encode("utf-8", "surrogatepass")).digest()[:8]


def read_query(fields: Mapping[str, Sequence[str]]) -> Query:
    """Read a query string; conditions that stand several times must all hold.

    Raises MalformedError REQUEST_MALFORMED for what is not understood, unknown fields among it: a
    condition that is misspelt must not widen the search.
    """
    unknown = sorted(set(fields) - set(FIELDS))
    if unknown:
        raise wrong("query", f"only the fields {', '.join(FIELDS)}", unknown[0])
    total = sum(map(len, fields.values()))
    if total > MAX_FIELDS:
        raise wrong("query", f"at most {MAX_FIELDS} fields", str(total))
    order = one(fields, "order") or "newest"
    if order not in ("newest", "oldest"):
        raise wrong("order", "newest or oldest", order)
    return Query(**read_conditions(fields), newest_first=order == "newest")


def read_limit(fields: Mapping[str, Sequence[str]]) -> int:
    """Read how many rows a page may have: 1 to 100, 20 if it is not said."""
    text = one(fields, "limit") or str(DEFAULT_LIMIT)
    if not (_NUMBER.fullmatch(text) and 1 <= int(text) <= MAX_LIMIT):
        raise wrong("limit", f"1 to {MAX_LIMIT}", text)
    return int(text)


def read_flag(fields: Mapping[str, Sequence[str]], name: str) -> bool:
    """Read `true` or `false`, which is the default."""
    text = one(fields, name) or "false"
    if text not in ("true", "false"):
        raise wrong(name, "true or false", text)
    return text == "true"
