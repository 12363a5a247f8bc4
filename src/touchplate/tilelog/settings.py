"""What makes one log differ from another."""

from collections.abc import Callable
from dataclasses import dataclass

from touchplate.merkle.tree import RootHash
from touchplate.tilelog.entry import SignedCheckpoint

ProveConsistency = Callable[[int], tuple[bytes, ...]]
"""An older size -> the consistency proof from it. Raises RefusedError NOT_FOUND."""

Cosign = Callable[[SignedCheckpoint, ProveConsistency], str]
"""A checkpoint, and proofs to it -> its envelope with cosignatures. Raises UnavailableError."""


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

    sign: Callable[[int, RootHash, int, tuple[str, ...]], str]
    """Size, root, time (Unix, ms) and extension lines -> the signed checkpoint.

    Raises UnavailableError.
    """

    now_ms: Callable[[], int]
    """The clock, Unix time in ms. The log's own times never go backwards, even if this does."""

    cosign: Cosign | None = None
    """What gets a checkpoint its cosignatures before anybody is told of it; None if nothing does.

    It is called after the commit, outside of any transaction, in the thread that commits: the next
    batch gathers meanwhile. If it raises UnavailableError, the batch's entries are in the log and
    their submitters get the error; the published checkpoint stays, and a later one that succeeds
    covers them. Several processes may call it at once for different sizes.
    """

    max_waiting: int = 4096
    """Entries that may wait for their batch; more are refused with LOG_BUSY."""

    max_batch: int = 1024
    """Entries in one transaction."""

    max_unsealed: int = 65_536
    """Entries that may wait in the database for the object store; more are LOG_BUSY.

    From a quarter of this on, batches wait for an object store that is slow and not failing.
    """
