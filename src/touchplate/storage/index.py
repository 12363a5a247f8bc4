"""The seam of the search index's database: which entries of a log have which term.

It holds postings, each a term and an entry, and how far each log is indexed. All of it can be made
again from the logs, so it need not be durable, only consistent: what `next` says is indexed, is.
A term is a hash of what entries are found by, keyed with the database's own `salt`, so that nobody
outside can make two of them collide.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

TERM_SIZE: Final = 8
ENTRY_SIZE: Final = 5  # big-endian
POSTING_SIZE: Final = TERM_SIZE + ENTRY_SIZE
MAX_ENTRIES: Final = 1 << 8 * ENTRY_SIZE  # of one log
SALT_SIZE: Final = 16


class IndexDatabase(Protocol):
    """The index of any number of logs. Any number of threads and processes may call it at once.

    Failures raise UnavailableError STORAGE_UNAVAILABLE; a change that fails has not happened.
    """

    def salt(self) -> bytes:
        """Give the key of this database's terms: SALT_SIZE random bytes, always the same."""

    def next(self, log: str) -> int:
        """Give the index of the first entry that is not indexed; all before it are."""

    def tip(self, log: str) -> tuple[int, bytes]:
        """Give the same, and the root of the tree that the entries before it make; `b""` for 0."""

    def add(
        self, log: str, first: int, stop: int, postings: Sequence[bytes], root: bytes = b""
    ) -> bool:
        """Index the entries [first, stop), if `first` is still the next one; say whether it was.

        A posting is a term and an entry of that range, POSTING_SIZE bytes; `root` is that of the
        tree of `stop` leaves. All become visible in one step.
        """

    def find(
        self, log: str, term: bytes, start: int, stop: int, limit: int, *, newest_first: bool
    ) -> list[int]:
        """Give the first `limit` entries in [start, stop) that have the term, in order."""

    def tidy(self, log: str, pause: Callable[[], None]) -> bool:
        """Rewrite some postings so that finding stays cheap; say whether there was work to do.

        Call it after each `add` until it has none. `pause` is called now and then on the way.
        """

    def drop(self, log: str) -> None:
        """Forget all about a log; its next entry is 0."""

    def lead(self, log: str, holder: str, now_ms: int, until_ms: int) -> bool:
        """Take or renew the task of following a log, until that time (Unix, ms), for `holder`.

        False if somebody else has it. It only saves work: `add` is safe without it.
        """

    def size(self) -> int:
        """Give the bytes that the index takes, as nearly as the backend knows."""

    def close(self) -> None:
        """Release files and connections. Nobody may call it afterwards."""


def encode_entry(entry: int) -> bytes:
    """Give the last part of a posting."""
    return entry.to_bytes(ENTRY_SIZE, "big")
