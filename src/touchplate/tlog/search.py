"""`POST /api/v1/index/retrieve`: the names of entries by what they are about.

The index itself is another role's: the log is handed a function.
"""

import re
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final

from touchplate.entries.body import read_base64
from touchplate.entries.signer_key import canonical_key
from touchplate.errors import TouchplateError
from touchplate.formats.jsontext import Fields, parse_json
from touchplate.tlog import v1
from touchplate.tlog.query import FaultError
from touchplate.tlog.shards import Shards
from touchplate.transport.asgi import Response

# (v1 keys as `entries.terms` makes them, whether an entry must have all of them)
# -> (tree id, index in that tree) of each entry, in any order.
Search = Callable[[tuple[str, ...], bool], Sequence[tuple[int, int]]]

MAX_QUERY_BYTES: Final = 256 * 1024
MAX_SUBJECT: Final = 512
# This API has no pages: an answer of so many names has 830 kB.
MAX_FOUND: Final = 10_000

KEY_FORMATS: Final = ("pgp", "x509", "minisign", "ssh", "tuf")
OPERATORS: Final = ("and", "or")
HASH_PATTERN: Final = (
    "^(sha512:)?[0-9a-fA-F]{128}$|^(sha256:)?[0-9a-fA-F]{64}$|^(sha1:)?[0-9a-fA-F]{40}$"
)
_HASH: Final = re.compile(HASH_PATTERN.replace("$", r"\Z"))
_HASH_NAMES: Final = {128: "sha512", 64: "sha256", 40: "sha1"}
_EMAIL: Final = re.compile(r"[^@\s]{1,256}@[^@\s]{1,256}")


def search_index(shards: Shards, search: Search, body: bytes) -> Response:
    """Answer the names of the entries found, an array without order or repetition."""
    try:
        members = parse_json(body, what="query", max_bytes=MAX_QUERY_BYTES)
        query = Fields(members, error="REQUEST_MALFORMED")
        keys, every = read_keys(query), _operator(query) == "and"
        places = search(keys, every) if keys else ()
    except TouchplateError as error:
        return v1.answer_error(error)
    if len(places) > MAX_FOUND:
        text = f"more than {MAX_FOUND} entries match, and this API has no pages"
        return v1.answer_fault(400, text)
    return v1.answer_json(200, _names(shards, places))


def read_keys(query: Fields) -> tuple[str, ...]:
    """Give the index keys that a query asks for; an empty member asks for nothing.

    Raises FaultError, and REQUEST_MALFORMED for members of another type.
    """
    wanted = (_hash(query), _email(query), _subject(query), _public_key(query))
    return tuple(key for key in wanted if key)


def _hash(query: Fields) -> str:
    text = query.string("hash")
    if not text:
        return ""
    if not _HASH.fullmatch(text):
        raise FaultError(422, f"hash in body should match '{HASH_PATTERN}'", v1.PATTERN)
    digits = text.rpartition(":")[2].lower()
    return f"{_HASH_NAMES[len(digits)]}:{digits}"


def _email(query: Fields) -> str:
    text = query.string("email")
    if text and not _EMAIL.fullmatch(text):
        shown = ascii(text[:100])[1:-1]
        raise FaultError(422, f'email in body must be of type email: "{shown}"', v1.INVALID_TYPE)
    return text.lower()


def _subject(query: Fields) -> str:
    text = query.string("subject")
    if len(text) > MAX_SUBJECT:
        message = f"subject in body should be at most {MAX_SUBJECT} chars long"
        raise FaultError(422, message, v1.TOO_LONG)
    return text.lower()


def _public_key(query: Fields) -> str:
    """Give the hash of a key's canonical value, without prefix.

    So it finds entries of `hashedrekord` and `rekord` only: the other kinds have it with a prefix.
    """
    key = query.object("publicKey")
    if key is None:
        return ""
    key_format = key.string("format")
    if not key_format:
        raise FaultError(422, "publicKey.format in body is required", v1.REQUIRED)
    if key_format not in KEY_FORMATS:
        text = f"publicKey.format in body should be one of [{' '.join(KEY_FORMATS)}]"
        raise FaultError(422, text, v1.NO_SUCH_VALUE)
    try:
        canonical = canonical_key(key_format, read_base64(key, "content"))
    except TouchplateError as error:
        text = f"public key provided could not be parsed: {error}"
        raise FaultError(400, text) from error
    return sha256(canonical).hexdigest()


def _operator(query: Fields) -> str:
    text = query.string("operator") or "or"
    if text not in OPERATORS:
        message = f"operator in body should be one of [{' '.join(OPERATORS)}]"
        raise FaultError(422, message, v1.NO_SUCH_VALUE)
    return text


def _names(shards: Shards, places: Sequence[tuple[int, int]]) -> list[str]:
    """Give the entry ids of places; a tree that the log no longer has is left out."""
    indexes: dict[int, set[int]] = {}
    for tree_id, index in places:
        indexes.setdefault(tree_id, set()).add(index)
    return [
        f"{tree_id:016x}{leaf.hex()}"
        for tree_id, wanted in indexes.items()
        if (log := shards.tree(tree_id)) is not None
        for leaf in log.leaf_hashes(wanted)
    ]
