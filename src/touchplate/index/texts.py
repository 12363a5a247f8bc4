"""From the terms of an entry to those of the database: eight bytes of a keyed hash each.

What v1's index keys say is stored under v1's text, so one posting serves both; a digest, name or
key that is no v1 key of its entry has a space of its own, so that v1 does not find it. An issuer is
also the value of the certificate extensions 1 and 8.
"""

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from touchplate.entries.terms_found import EntryTerms
from touchplate.storage.index import TERM_SIZE

# Spaces of terms; a hash in one is never a hash in another.
V1: Final = b"v1"
OTHER: Final = b"other"
KIND: Final = b"kind"
ISSUER: Final = b"issuer"
EXTENSION: Final = b"extension"

_ISSUERS: Final = (1, 8)
# Spaces whose terms come again and again; what else an entry is found by is mostly its own.
_REPEATED: Final = frozenset({KIND, ISSUER, EXTENSION})
_REMEMBERED: Final = 8192  # terms of one process
_MAX_REMEMBERED: Final = 200  # characters

# (space, text) -> term
Hash = Callable[[bytes, str], bytes]


def hasher(salt: bytes) -> Hash:
    """Give the function that makes terms for a database with this salt."""
    keyed = {
        space: blake2b(digest_size=TERM_SIZE, key=salt, person=space)
        for space in (V1, OTHER, KIND, ISSUER, EXTENSION)
    }

    def make(space: bytes, text: str) -> bytes:
        hashed = keyed[space].copy()
        hashed.update(text.encode("utf-8", "surrogatepass"))
        return hashed.digest()

    remember = lru_cache(_REMEMBERED)(make)

    def recall(space: bytes, text: str) -> bytes:
        if space in _REPEATED and len(text) <= _MAX_REMEMBERED:
            return remember(space, text)
        hashed = keyed[space].copy()
        hashed.update(text.encode("utf-8", "surrogatepass"))
        return hashed.digest()

    return recall


def terms_of(found: EntryTerms, make: Hash) -> set[bytes]:
    """Give every term that an entry is indexed under."""
    v1_keys = set(found.v1_keys)  # thousands, in an entry with as many digests
    terms = {make(V1, key) for key in v1_keys}
    for text in (*found.digests, *map(str.lower, found.identities), *found.keys):
        if text not in v1_keys:
            terms.add(make(OTHER, text))
    for issuer in found.issuers:
        terms.add(make(ISSUER, issuer))
    for number, text in found.extensions:
        if number not in _ISSUERS:
            terms.add(make(EXTENSION, f"{number}={text}"))
    if found.kind:
        terms.add(make(KIND, found.kind))
    return terms


def named(text: str, make: Hash) -> tuple[bytes, ...]:
    """Give the terms of which an entry with this digest, name (any case) or key has one."""
    return make(V1, text), make(OTHER, text)


def extension(number: int, text: str, make: Hash) -> tuple[bytes, ...]:
    """Give the term of a certificate extension's value."""
    if number in _ISSUERS:
        return (make(ISSUER, text),)
    return (make(EXTENSION, f"{number}={text}"),)
