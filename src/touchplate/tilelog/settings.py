"""What makes one log differ from another."""

from collections.abc import Callable
from dataclasses import dataclass

from touchplate.merkle.tree import RootHash


@dataclass(frozen=True, slots=True)
class TileLogSettings:
    """The log's name, its kind of entries, its key and its limits."""

    name: str
    """First part of its object keys, such as `tlog` or `ct`."""

    entries_tile: str
    """What stands for the level in the path of its entry bundles: `entries` or `data`."""

    split: Callable[[bytes], list[bytes]]
    """An entry bundle -> its records, with their framing. Raises MalformedError."""

    hashed: Callable[[bytes], bytes]
    """One record -> what its leaf hash covers. Raises MalformedError."""

    sign: Callable[[int, RootHash, int], str]
    """Size, root and time (Unix, ms) -> the signed checkpoint. Raises UnavailableError."""

    now_ms: Callable[[], int]
    """The clock, Unix time in ms. The log's own times never go backwards, even if this does."""

    max_waiting: int = 4096
    """Entries that may wait for their batch; more are refused with LOG_BUSY."""

    max_batch: int = 1024
    """Entries in one transaction."""

    max_unsealed: int = 65_536
    """Entries that may wait in the database for the object store; more are LOG_BUSY.

    From a quarter of this on, batches wait for an object store that is slow and not failing.
    """
