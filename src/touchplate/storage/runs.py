"""Sorted runs: an index of identities in files that are written once, mapped, and never read whole.

A run holds the identities of neighbouring entries, sorted, so that the cost of finding one does not
grow with the log, and a new one costs no write into a large tree. All integers are big-endian:

    header    32 bytes: the magic, then the number of rows (u64)
    rows      40 bytes each: the identity, and the entry's index (u64)
    fan-out   u32 for each bucket and one more: the row that its first identity has
    filter    8 to 16 bits for each row, of which an identity sets two

The identity is a hash. Its first bits name the bucket, which has about 12 rows, and a bit of the
filter; the last of its first 64 bits name the other one. Of identities that are not there the
filter stops 39 in 40 before a row is touched.
"""

import os
import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO, Final

from touchplate.storage.database import HASH_SIZE

ROW_SIZE: Final = HASH_SIZE + 8

_MAGIC: Final = b"touchplate run 1\n".ljust(24, b"\0")
_HEADER_SIZE: Final = len(_MAGIC) + 8
_BUCKET: Final = struct.Struct(">II")  # where it begins, and where the next one does
_TOP_BITS: Final = 64  # of an identity, in which bucket and prefix lie
_PART_ROWS: Final = 4096  # about how many rows are sorted in one go
_SYNC_BYTES: Final = 4 << 20
_MASKS: Final = tuple(1 << bit for bit in range(8))


class Query:
    """Identities that are looked up in one run after the other."""

    def __init__(self, identities: Sequence[bytes]) -> None:
        self.identities = identities
        self.tops: tuple[int, ...] = struct.unpack(
            f">{'Q24x' * len(identities)}", b"".join(identities)
        )
        self._places: dict[int, list[tuple[int, int]]] = {}

    def places(self, filter_bits: int) -> list[tuple[int, int]]:
        """Give where in a filter their first bits are; equal for runs of about one size."""
        places = self._places.get(filter_bits)
        if places is None:
            byte, bit = _TOP_BITS - filter_bits + 3, _TOP_BITS - filter_bits
            places = [(top >> byte, _MASKS[top >> bit & 7]) for top in self.tops]
            self._places[filter_bits] = places
        return places


class Run:
    """One run, open for reading. Any thread may read; removing its file does not disturb them."""

    def __init__(self, path: Path, count: int) -> None:
        """Map the file at `path`, which holds `count` rows. Raises OSError, also if it does not."""
        self.name = path.name
        self.count = count
        self._fan_bits, self._filter_bits = _shape(count)
        self._second = (1 << self._filter_bits) - 1
        with path.open("rb") as file:
            self._map = mmap(file.fileno(), 0, access=ACCESS_READ)
        self._fan_at = _HEADER_SIZE + count * ROW_SIZE
        filter_at = self._fan_at + 4 * ((1 << self._fan_bits) + 1)
        if len(self._map) != filter_at + (1 << self._filter_bits - 3) or self._map[
            :_HEADER_SIZE
        ] != _MAGIC + count.to_bytes(8, "big"):
            raise OSError(f"{path} is not a run of {count} identities")
        self._filter = memoryview(self._map)[filter_at:]

    def find_all(self, query: Query) -> list[tuple[bytes, int]]:
        """Give those of the identities that are in the run, with their indexes."""
        view, places = self._filter, query.places(self._filter_bits)
        found = []
        for number in [at for at, (byte, mask) in enumerate(places) if view[byte] & mask]:
            top = query.tops[number]
            second = top & self._second
            if view[second >> 3] >> (second & 7) & 1:
                index = self._find(top, query.identities[number])
                if index is not None:
                    found.append((query.identities[number], index))
        return found

    def rows(self, part: int, bits: int) -> bytes:
        """Give the rows whose first `bits` bits are `part`; it has at least as many buckets."""
        wide = self._fan_bits - bits
        start, _ = self._bucket(part << wide)
        _, stop = self._bucket(((part + 1) << wide) - 1)
        return self._map[_HEADER_SIZE + start * ROW_SIZE : _HEADER_SIZE + stop * ROW_SIZE]

    def _find(self, top: int, identity: bytes) -> int | None:
        start, stop = self._bucket(top >> _TOP_BITS - self._fan_bits)
        end = _HEADER_SIZE + stop * ROW_SIZE
        at = self._map.find(identity, _HEADER_SIZE + start * ROW_SIZE, end)
        while at >= 0:
            if (at - _HEADER_SIZE) % ROW_SIZE == 0:
                return int.from_bytes(self._map[at + HASH_SIZE : at + ROW_SIZE], "big")
            at = self._map.find(identity, at + 1, end)
        return None

    def _bucket(self, bucket: int) -> tuple[int, int]:
        start, stop = _BUCKET.unpack_from(self._map, self._fan_at + 4 * bucket)
        return start, stop


def write_run(identities: Sequence[bytes], first: int, path: Path) -> int | None:
    """Write the run of these entries' identities, the first of which has index `first`.

    As `merge_runs` gives and raises.
    """
    parts: list[list[bytes]] = [[] for _ in range(256)]
    for index, identity in enumerate(identities, first):
        parts[identity[0]].append(identity + index.to_bytes(8, "big"))
    return _write(path, len(identities), (sorted(part) for part in parts))


def merge_runs(runs: Sequence[Run], path: Path) -> int | None:
    """Write the rows of all the runs into one, durably but for the name; 16 KiB of it at a time.

    Give the index of an entry whose identity another one has too, or None, as it should be.
    Raises OSError; what is at `path` then is good for nothing.
    """
    count = sum(run.count for run in runs)
    bits = min(_part_bits(count), *(_shape(run.count)[0] for run in runs))

    def parts() -> Iterator[list[bytes]]:
        for part in range(1 << bits):
            rows: list[bytes] = []
            for run in runs:
                data = run.rows(part, bits)
                rows += [data[at : at + ROW_SIZE] for at in range(0, len(data), ROW_SIZE)]
            rows.sort()
            yield rows

    return _write(path, count, parts())


def _write(path: Path, count: int, parts: Iterator[list[bytes]]) -> int | None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        twofold = _write_parts(file, count, parts)
        file.flush()
        os.fsync(file.fileno())
    return twofold


def _write_parts(file: BinaryIO, count: int, parts: Iterator[list[bytes]]) -> int | None:
    fan_bits, filter_bits = _shape(count)
    fan: list[int] = []
    bitmap = bytearray(1 << filter_bits - 3)
    byte, bit = _TOP_BITS - filter_bits + 3, _TOP_BITS - filter_bits
    second = (1 << filter_bits) - 1
    file.write(_MAGIC + count.to_bytes(8, "big"))
    written = unsynced = 0
    twofold = None
    for rows in parts:
        data = b"".join(rows)
        file.write(data)
        tops = struct.unpack(f">{'Q32x' * len(rows)}", data)
        for top in tops:
            bitmap[top >> byte] |= _MASKS[top >> bit & 7]
            bitmap[(top & second) >> 3] |= _MASKS[top & 7]
        if rows:
            # Buckets up to that of the last row begin at the first row that is not below them.
            last = tops[-1] >> _TOP_BITS - fan_bits
            fan += [
                written + bisect_left(tops, bucket << _TOP_BITS - fan_bits)
                for bucket in range(len(fan), last + 1)
            ]
            if len(set(tops)) < len(tops) and twofold is None:
                twofold = _twofold(rows)
        written += len(rows)
        unsynced += len(data)
        if unsynced >= _SYNC_BYTES:
            # Little by little: else the last sync would hold up those of the log's commits.
            file.flush()
            os.fdatasync(file.fileno())
            unsynced = 0
    fan += [written] * ((1 << fan_bits) + 1 - len(fan))
    file.write(struct.pack(f">{len(fan)}I", *fan))
    file.write(bitmap)
    return twofold


def _twofold(rows: list[bytes]) -> int | None:
    """Give the index of a row whose identity the row before it has too."""
    for one, other in pairwise(rows):
        if one[:HASH_SIZE] == other[:HASH_SIZE]:
            return int.from_bytes(other[HASH_SIZE:], "big")
    return None


def _shape(count: int) -> tuple[int, int]:
    """Give the bits that name a bucket, and those that name a prefix of the filter."""
    bits = count.bit_length()
    return max(bits - 4, 0), bits + 3


def _part_bits(count: int) -> int:
    return max(count.bit_length() - _PART_ROWS.bit_length() + 1, 0)
