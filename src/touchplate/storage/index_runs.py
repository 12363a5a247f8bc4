"""Sorted runs: how postings are laid out so that writing them stays sequential.

Terms are hashes, so putting each posting in its place would touch a page of its own. Instead every
`add` writes one run, sorted, in blocks of a page; runs cover neighbouring ranges of entries, and
when enough of a size stand side by side they are merged into one. A posting is so rewritten about
once for each factor of eight, and a search looks into few runs, newest first or oldest first.

A backend keeps runs and blocks (`RunTable`) and calls the functions below in its transactions.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from touchplate.storage.index import ENTRY_SIZE, POSTING_SIZE, encode_entry

MERGE_WIDTH: Final = 8
"""Runs of one tier that are merged; a tier holds runs of 8 times as many entries as the one below.
"""
TOP_TIER: Final = 6
"""Runs of 8^6 = 262,144 entries or more are left as they are."""
MAX_RUNS: Final = 64
"""Runs below the top tier; beyond, all of them are merged, however they are sized."""
BLOCK_BYTES: Final = 3960
"""At most, so that a block and its row fill a page of 4096 bytes."""

_HEADER: Final = 2
# Postings that fit into a block whatever they are.
ALWAYS_FIT: Final = (BLOCK_BYTES - _HEADER - POSTING_SIZE) // POSTING_SIZE


class Run(NamedTuple):
    """The postings of the entries [first, stop), in blocks under `number`."""

    number: int
    first: int
    stop: int
    root: bytes = b""  # of the tree that the entries before `stop` make

    @property
    def tier(self) -> int:
        """Give the tier by the number of entries."""
        return min(TOP_TIER, ((self.stop - self.first).bit_length() - 1) // 3)


class RunTable(Protocol):
    """Runs and their blocks inside one transaction, or for one reader."""

    def blocks(self, number: int, low: bytes, high: bytes, *, backwards: bool) -> Iterator[bytes]:
        """Give the blocks of a run that may hold postings in [low, high).

        These are the last block whose first posting is at or below `low`, and those that begin
        below `high`; in order, or from the last to the first.
        """


class Block(NamedTuple):
    """Packed postings: the first, how many were taken, and how many such would fit."""

    first: bytes
    data: bytes
    taken: int
    room: int


def pack_block(postings: Sequence[bytes]) -> Block | None:
    """Pack sorted postings into one block, or None if they do not fit.

    Column by column: of neighbours most leading bytes are equal, and are written once.
    """
    flat, count = b"".join(postings), len(postings)
    head, parts, varying = 0, [], 0
    for place in range(POSTING_SIZE):
        column = flat[place::POSTING_SIZE]
        if column.count(column[:1]) == count:
            head |= 1 << place
            column = column[:1]
        else:
            varying += 1
        parts.append(column)
    data = head.to_bytes(_HEADER, "big") + b"".join(parts)
    if len(data) > BLOCK_BYTES:
        return None
    room = (BLOCK_BYTES - _HEADER - POSTING_SIZE) // max(1, varying)
    return Block(postings[0], data, count, room)


def unpack_block(block: bytes) -> list[bytes]:
    """Give the postings of a block."""
    head = int.from_bytes(block[:_HEADER], "big")
    constant = head.bit_count()
    varying = POSTING_SIZE - constant
    # A block of one posting, or of equal ones, has no varying column.
    count = (len(block) - _HEADER - constant) // varying if varying else 1
    flat = bytearray(count * POSTING_SIZE)
    at = _HEADER
    for place in range(POSTING_SIZE):
        if head >> place & 1:
            flat[place::POSTING_SIZE] = block[at : at + 1] * count
            at += 1
        else:
            flat[place::POSTING_SIZE] = block[at : at + count]
            at += count
    data = bytes(flat)
    return [data[at : at + POSTING_SIZE] for at in range(0, len(data), POSTING_SIZE)]


def pack(postings: Iterable[Sequence[bytes]]) -> Iterator[Block]:
    """Pack sorted postings, which come in lists, into full blocks and a last one."""
    waiting: list[bytes] = []
    room = ALWAYS_FIT
    for some in postings:
        waiting.extend(some)
        at = 0
        while len(waiting) - at >= room:
            block = pack_block(waiting[at : at + room]) or _pack_surely(waiting[at:])
            yield block
            at += block.taken
            room = max(ALWAYS_FIT, block.room)
        del waiting[:at]
    while waiting:
        block = pack_block(waiting[:room]) or _pack_surely(waiting)
        yield block
        del waiting[: block.taken]


def _pack_surely(postings: Sequence[bytes]) -> Block:
    """Pack as many as always fit."""
    block = pack_block(postings[:ALWAYS_FIT])
    if block is None:
        raise AssertionError("these always fit into a block")
    return block


def find(
    table: RunTable,
    runs: Sequence[Run],
    term: bytes,
    start: int,
    stop: int,
    limit: int,
    *,
    newest_first: bool,
) -> list[int]:
    """Give the first `limit` entries in [start, stop) with the term; `runs` are oldest first."""
    found: list[int] = []
    for run in reversed(runs) if newest_first else runs:
        first, last = max(start, run.first), min(stop, run.stop)
        if first >= last:
            continue
        low, high = term + encode_entry(first), term + encode_entry(last)
        for block in table.blocks(run.number, low, high, backwards=newest_first):
            found += search_block(block, low, high, newest_first=newest_first)
            if len(found) >= limit:
                return found[:limit]
    return found


def search_block(block: bytes, low: bytes, high: bytes, *, newest_first: bool) -> list[int]:
    """Give the entries of the block's postings in [low, high), in order."""
    postings = unpack_block(block)
    some = postings[bisect_left(postings, low) : bisect_left(postings, high)]
    entries = [int.from_bytes(posting[-ENTRY_SIZE:], "big") for posting in some]
    return entries[::-1] if newest_first else entries


def mergeable(runs: Sequence[Run]) -> Sequence[Run]:
    """Give the newest runs that should become one, or none; `runs` are oldest first."""
    small = len(runs)
    while small and runs[small - 1].tier < TOP_TIER:
        small -= 1
    for tier in range(TOP_TIER):
        start = len(runs)
        while start > small and runs[start - 1].tier <= tier:
            start -= 1
        if sum(run.tier == tier for run in runs[start:]) >= MERGE_WIDTH:
            return runs[start:]
    return runs[small:] if len(runs) - small > MAX_RUNS else ()


def merge(sources: Iterable[Iterable[bytes]], pause: Callable[[], None]) -> Iterator[list[bytes]]:
    """Merge the blocks of several runs; gives sorted lists of postings, a few blocks at a time."""
    waiting = [_Source(iter(blocks)) for blocks in sources]
    while waiting := [source for source in waiting if source.fill()]:
        # Up to the least of their last postings nothing more can come from any of them.
        last = min(source.postings[-1] for source in waiting)
        some: list[bytes] = []
        for source in waiting:
            some += source.take(last)
        some.sort()
        yield some
        pause()


class _Source:
    """One run on its way into a merge."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self.postings: list[bytes] = []

    def fill(self) -> bool:
        """Have postings; say whether there are any."""
        if not self.postings:
            block = next(self._blocks, None)
            self.postings = [] if block is None else unpack_block(block)
        return bool(self.postings)

    def take(self, last: bytes) -> list[bytes]:
        """Take the postings up to `last`."""
        if self.postings[-1] <= last:
            taken, self.postings = self.postings, []
            return taken
        place = bisect_left(self.postings, last)
        taken, self.postings = self.postings[:place], self.postings[place:]
        return taken
