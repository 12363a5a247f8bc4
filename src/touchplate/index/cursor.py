"""Where the next page begins. Opaque to clients, and good for the one query that it came from."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from typing import Final, NamedTuple

from touchplate.errors import MalformedError

_VERSION: Final = 1
_SIZE: Final = 1 + 8 + 8 + 8


class Cursor(NamedTuple):
    """The place after which a page goes on: new entries of the log never move it."""

    tree_id: int
    entry: int
    """The next entry to look at: this one and above if oldest come first, else those below it."""


def encode_cursor(cursor: Cursor, fingerprint: bytes) -> str:
    """Write the cursor of a query."""
    data = (
        bytes((_VERSION,))
        + fingerprint
        + cursor.tree_id.to_bytes(8, "big")
        + cursor.entry.to_bytes(8, "big")
    )
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def parse_cursor(text: str, fingerprint: bytes) -> Cursor:
    """Read a cursor of this query. Raises MalformedError REQUEST_MALFORMED."""
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (Error, ValueError):
        data = b""
    if len(data) != _SIZE or data[0] != _VERSION or data[1:9] != fingerprint:
        raise MalformedError(
            "REQUEST_MALFORMED",
            "the cursor is not one of this query",
            hint="begin again without a cursor, or keep all conditions as they were",
        )
    return Cursor(int.from_bytes(data[9:17], "big"), int.from_bytes(data[17:], "big"))
