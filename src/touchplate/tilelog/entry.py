"""What goes into a log and what comes out of it. The engine is blind to what an entry means.

What is made in the thread of the requests is a named tuple, a third of a frozen data class's cost.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from touchplate.merkle.tree import LeafHash, RootHash

IDENTITY_SIZE: Final = 32


class Leaf(NamedTuple):
    """An entry as the tree and the entry bundle hold it."""

    hashed: bytes  # what RFC 6962 hashes after the 0x00
    record: bytes  # as stored in the entry bundle, with its framing


class Submission(NamedTuple):
    """An entry to append.

    `build` makes the leaf once index and time (Unix, ms) are known. It must be a pure function of
    the two, for it is called again when a batch is tried again; it runs under the log's lock, so
    it should be quick. If it raises, the caller gets the exception and the log goes on.
    """

    identity: bytes  # 32 bytes: two submissions with the same identity are the same entry
    build: Callable[[int, int], Leaf]


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A tree that the log has committed to."""

    size: int
    root: RootHash
    time_ms: int
    envelope: str


class Receipt(NamedTuple):
    """Holding one means: the entry is durable, and proven to be in the checkpoint's tree."""

    index: int  # type: ignore[assignment]  # a place in the log; nobody searches a receipt as a tuple
    time_ms: int  # when the entry was integrated, Unix time
    leaf_hash: LeafHash
    proof: tuple[bytes, ...]  # inclusion in the checkpoint's tree, verified
    checkpoint: SignedCheckpoint
    record: bytes
    duplicate: bool = False  # the log had the entry already, or got it twice in one batch


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as it rests in the log."""

    index: int
    record: bytes
    time_ms: int
    identity: bytes


def duplicate_identity(leaf: bytes, index: int) -> bytes:
    """Give the identity of an entry that is in a log again: its leaf hash leads to the first.

    Other logs may hold a leaf several times; ours does so only after an import.
    """
    return sha256(b"touchplate duplicate\n" + leaf + index.to_bytes(8, "big")).digest()
