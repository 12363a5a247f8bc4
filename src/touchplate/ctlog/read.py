"""What RFC 6962 §4 asks of a log, answered from its entries and tiles."""

from dataclasses import dataclass
from typing import Final

from touchplate.ctlog.log import CertificateLog
from touchplate.errors import MalformedError, RefusedError, VerificationError
from touchplate.formats import ct
from touchplate.merkle.tile import TILE_WIDTH, inclusion_proof

MAX_ENTRIES: Final = 256


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of get-entries."""

    leaf_input: bytes
    extra_data: bytes


def get_entries(log: CertificateLog, start: int, end: int) -> tuple[Entry, ...]:
    """Give the entries from `start` to `end` inclusive, up to the end of a data tile.

    At most 256 are given, so that answers fall on tile borders; the reader asks again. Raises
    MalformedError REQUEST_MALFORMED for a range that begins after its end or the log's.
    """
    size = log.log.checkpoint().size
    if start > end or start >= size:
        raise MalformedError(
            "REQUEST_MALFORMED", f"start {start} and end {end} in a log of {size} entries"
        )
    tile, first = divmod(start, TILE_WIDTH)
    width = min(size - tile * TILE_WIDTH, TILE_WIDTH)
    records = log.log.read_entries(tile, width)
    if records is None:
        raise VerificationError("TLOG_INVALID", f"data tile {tile} of width {width} is missing")
    count = min(end - start + 1, width - first, MAX_ENTRIES)
    found = ct.split_data_tile(records)[first : first + count]
    issuers: dict[bytes, bytes] = {}  # most entries have the same
    return tuple(_entry(log, record, issuers) for record in found)


def _entry(log: CertificateLog, record: bytes, issuers: dict[bytes, bytes]) -> Entry:
    leaf = ct.parse_tile_leaf(record)
    for fingerprint in leaf.issuers:
        if fingerprint not in issuers:
            issuers[fingerprint] = issuer_of(log, fingerprint)
    chain = tuple(issuers[fingerprint] for fingerprint in leaf.issuers)
    return Entry(leaf.entry.encode_leaf(), ct.encode_extra_data(leaf, chain))


def issuer_of(log: CertificateLog, fingerprint: bytes) -> bytes:
    """Give an issuer that an entry names; that it is missing means that the log is damaged."""
    der = log.issuer(fingerprint)
    if der is None:
        raise VerificationError("TLOG_INVALID", f"issuer {fingerprint.hex()} is missing")
    return der


def get_proof_by_hash(
    log: CertificateLog, leaf_hash: bytes, size: int
) -> tuple[int, tuple[bytes, ...]]:
    """Give the index of a leaf and its proof in the tree of `size`, or raise NOT_FOUND."""
    if size > log.log.checkpoint().size:
        raise RefusedError("NOT_FOUND", f"the log has not yet {size} entries")
    index = log.find_leaf(leaf_hash, size)
    if index is None:
        raise RefusedError("NOT_FOUND", "no entry has that hash")
    return index, get_proof(log, index, size)


def get_proof(log: CertificateLog, index: int, size: int) -> tuple[bytes, ...]:
    """Give the inclusion proof of an entry in the tree of `size`."""
    return inclusion_proof(
        index, size, lambda level, tile, width: _read_tile(log, level, tile, width)
    )


def _read_tile(log: CertificateLog, level: int, tile: int, width: int) -> bytes:
    hashes = log.log.read_tile(level, tile, width)
    if hashes is None:
        raise VerificationError("TLOG_INVALID", f"tile {level}/{tile} is missing")
    return hashes
