"""The entry bundle of C2SP tlog-tiles: for each entry, its length in two bytes, and its data."""

from typing import Final

from touchplate.errors import MalformedError, RefusedError

MAX_ENTRY: Final = 0xFFFF  # bytes of data


def encode_record(data: bytes) -> bytes:
    """Give the entry's data with its length before it. Raises RefusedError LIMIT_EXCEEDED."""
    if len(data) > MAX_ENTRY:
        raise RefusedError(
            "LIMIT_EXCEEDED",
            "the entry is longer than an entry bundle can hold",
            expected=f"at most {MAX_ENTRY} bytes",
            found=f"{len(data)} bytes",
        )
    return len(data).to_bytes(2, "big") + data


def record_data(record: bytes) -> bytes:
    """Give the entry's data, which is also what its leaf hash covers."""
    return record[2:]


def split_records(bundle: bytes) -> list[bytes]:
    """Split an entry bundle into its records. Raises MalformedError ENTRY_MALFORMED."""
    records, start = [], 0
    while start < len(bundle):
        end = start + 2 + int.from_bytes(bundle[start : start + 2], "big")
        records.append(bundle[start:end])
        start = end
    if start != len(bundle):
        raise MalformedError("ENTRY_MALFORMED", "the entry bundle ends within an entry")
    return records
