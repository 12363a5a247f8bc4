"""The structures of a certificate transparency log: RFC 6962 §3 and C2SP static-ct-api.

A `TimestampedEntry` is what the log promises: with two zero bytes before it, it is both the leaf of
the tree and the input of the SCT's signature. A `TileLeaf` is that entry as a static log keeps it.
SCTs as certificates embed them are in `sct.py`, JSON of the submission API here.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Final

from touchplate.errors import MalformedError
from touchplate.formats.base64text import base64_text, parse_base64
from touchplate.formats.jsontext import parse_json

X509_ENTRY: Final = 0
PRECERT_ENTRY: Final = 1
LEAF_INDEX_EXTENSION: Final = 0
MAX_CERTIFICATE: Final = 0xFFFFFF  # u24 length
MAX_CHAIN: Final = 10
MAX_ADD_CHAIN_BYTES: Final = 512_000
MAX_LEAF_INDEX: Final = (1 << 40) - 1


@dataclass(frozen=True, slots=True)
class TimestampedEntry:
    """What the log promises to have seen at `timestamp_ms`: a certificate or a precertificate.

    `issuer_key_hash` is empty for a certificate; then `certificate` is its DER. For a
    precertificate `certificate` is its TBSCertificate without the poison.
    """

    timestamp_ms: int
    issuer_key_hash: bytes
    certificate: bytes
    extensions: bytes

    @property
    def entry_type(self) -> int:
        """Give 1 for a precertificate, 0 for a certificate (RFC 6962 §3.1)."""
        return PRECERT_ENTRY if self.issuer_key_hash else X509_ENTRY

    def encode(self) -> bytes:
        """Give the TimestampedEntry of RFC 6962 §3.4."""
        return encode_entry(
            self.timestamp_ms, self.issuer_key_hash, self.certificate, self.extensions
        )

    def encode_leaf(self) -> bytes:
        """Give the MerkleTreeLeaf, which is also the input of the SCT's signature."""
        return encode_leaf(self.encode())


def encode_entry(
    timestamp_ms: int, issuer_key_hash: bytes, certificate: bytes, extensions: bytes
) -> bytes:
    """Give a TimestampedEntry (RFC 6962 §3.4) of its parts, as the class of that name has them."""
    return b"".join(
        (
            timestamp_ms.to_bytes(8, "big"),
            b"\0\1" if issuer_key_hash else b"\0\0",
            issuer_key_hash,
            len(certificate).to_bytes(3, "big"),
            certificate,
            len(extensions).to_bytes(2, "big"),
            extensions,
        )
    )


def encode_leaf(entry: bytes) -> bytes:
    """Give the MerkleTreeLeaf of an encoded entry.

    Version v1 and leaf type timestamped_entry are 0, as are v1 and certificate_timestamp.
    """
    return b"\0\0" + entry


@dataclass(frozen=True, slots=True)
class TileLeaf:
    """An entry of a data tile: the promise, the precertificate if it is one, and its issuers.

    `issuers` are SHA-256 fingerprints of the chain above the (pre)certificate, issuer first and
    root last.
    """

    entry: TimestampedEntry
    precertificate: bytes
    issuers: tuple[bytes, ...]

    @property
    def end_entity(self) -> bytes:
        """Give the DER that was submitted as first of its chain."""
        return self.precertificate if self.entry.issuer_key_hash else self.entry.certificate

    def encode(self) -> bytes:
        """Give the TileLeaf of static-ct-api."""
        precertificate = self.precertificate if self.entry.issuer_key_hash else None
        return self.entry.encode() + encode_after_entry(precertificate, self.issuers)


def encode_after_entry(precertificate: bytes | None, issuers: tuple[bytes, ...]) -> bytes:
    """Give what follows the entry in a TileLeaf; None if it is not of a precertificate."""
    parts = [] if precertificate is None else [len(precertificate).to_bytes(3, "big")]
    return b"".join(
        (*parts, precertificate or b"", (32 * len(issuers)).to_bytes(2, "big"), *issuers)
    )


class _Reader:
    """Reads length-prefixed fields; a short or odd one is SCT_MALFORMED with its name."""

    def __init__(self, data: bytes, offset: int = 0) -> None:
        self.data = data
        self.offset = offset

    def take(self, size: int, what: str) -> bytes:
        end = self.offset + size
        if end > len(self.data):
            raise MalformedError("SCT_MALFORMED", f"{what} is cut short at byte {self.offset}")
        found = self.data[self.offset : end]
        self.offset = end
        return found

    def number(self, size: int, what: str) -> int:
        return int.from_bytes(self.take(size, what), "big")

    def opaque(self, prefix: int, what: str) -> bytes:
        return self.take(self.number(prefix, what), what)


def _read_entry(reader: _Reader) -> TimestampedEntry:
    timestamp_ms = reader.number(8, "timestamp")
    entry_type = reader.number(2, "entry type")
    if entry_type not in (X509_ENTRY, PRECERT_ENTRY):
        raise MalformedError("SCT_MALFORMED", f"entry type {entry_type} is none of RFC 6962")
    key_hash = reader.take(32, "issuer key hash") if entry_type == PRECERT_ENTRY else b""
    certificate = reader.opaque(3, "certificate")
    return TimestampedEntry(timestamp_ms, key_hash, certificate, reader.opaque(2, "extensions"))


def parse_leaf(data: bytes) -> TimestampedEntry:
    """Read a MerkleTreeLeaf (`leaf_input` of get-entries); anything left over is an error."""
    reader = _Reader(data)
    if reader.take(2, "version and leaf type") != b"\0\0":
        raise MalformedError("SCT_MALFORMED", "the leaf is not a v1 timestamped entry")
    entry = _read_entry(reader)
    if reader.offset != len(data):
        raise MalformedError("SCT_MALFORMED", "bytes follow the leaf")
    return entry


def read_tile_leaf(data: bytes, offset: int = 0) -> tuple[TileLeaf, int]:
    """Read one TileLeaf at `offset`; give it with the offset after it."""
    reader = _Reader(data, offset)
    entry = _read_entry(reader)
    precertificate = reader.opaque(3, "precertificate") if entry.issuer_key_hash else b""
    fingerprints = reader.opaque(2, "issuer fingerprints")
    if len(fingerprints) % 32:
        raise MalformedError("SCT_MALFORMED", "issuer fingerprints are not 32 bytes each")
    issuers = tuple(fingerprints[at : at + 32] for at in range(0, len(fingerprints), 32))
    return TileLeaf(entry, precertificate, issuers), reader.offset


def parse_tile_leaf(data: bytes) -> TileLeaf:
    """Read exactly one TileLeaf."""
    leaf, end = read_tile_leaf(data)
    if end != len(data):
        raise MalformedError("SCT_MALFORMED", "bytes follow the tile leaf")
    return leaf


def leaf_of_record(record: bytes) -> bytes:
    """Give the MerkleTreeLeaf of an encoded TileLeaf."""
    return promised_of_record(record)[0]


def promised_of_record(record: bytes) -> tuple[bytes, int, bytes]:
    """Give the MerkleTreeLeaf of an encoded TileLeaf, its time, and its extensions.

    The same as to parse it, and a fourth of the time. Raises as `parse_tile_leaf` does.
    """
    kind = record[8:10]
    at = 42 if kind == b"\0\1" else 10
    at += 3 + int.from_bytes(record[at : at + 3], "big")
    first = at + 2
    end = at = first + int.from_bytes(record[at:first], "big")
    if kind == b"\0\1":
        at += 3 + int.from_bytes(record[at : at + 3], "big")
    size = int.from_bytes(record[at : at + 2], "big")
    # What is cut short anywhere does not end at the end.
    if kind not in (b"\0\0", b"\0\1") or size % 32 or at + 2 + size != len(record):
        parse_tile_leaf(record)
        raise AssertionError("a tile leaf is whole, or is refused")
    return encode_leaf(record[:end]), int.from_bytes(record[:8], "big"), record[first:end]


def split_data_tile(data: bytes) -> list[bytes]:
    """Cut a data tile into the encodings of its leaves."""
    leaves = []
    offset = 0
    while offset < len(data):
        _, end = read_tile_leaf(data, offset)
        leaves.append(data[offset:end])
        offset = end
    return leaves


def encode_leaf_index(index: int) -> bytes:
    """Give the extensions of a static-ct SCT: one leaf_index, 8 bytes."""
    return b"\0\0\x05" + index.to_bytes(5, "big")


def parse_leaf_index(extensions: bytes) -> int | None:
    """Read leaf_index out of an SCT's extensions; None if it is not among them."""
    reader = _Reader(extensions)
    found: dict[int, bytes] = {}
    while reader.offset < len(extensions):
        kind = reader.number(1, "extension type")
        if kind in found:
            raise MalformedError("SCT_MALFORMED", f"SCT extension {kind} is there twice")
        found[kind] = reader.opaque(2, "extension")
    value = found.get(LEAF_INDEX_EXTENSION)
    if value is not None and len(value) != 5:
        raise MalformedError("SCT_MALFORMED", f"leaf_index has {len(value)} bytes, not 5")
    return None if value is None else int.from_bytes(value, "big")


def encode_extra_data(leaf: TileLeaf, chain: tuple[bytes, ...]) -> bytes:
    """Give `extra_data` of get-entries (RFC 6962 §4.6); `chain` is the DER above the leaf."""
    joined = b"".join(len(der).to_bytes(3, "big") + der for der in chain)
    above = len(joined).to_bytes(3, "big") + joined
    if not leaf.entry.issuer_key_hash:
        return above
    return len(leaf.precertificate).to_bytes(3, "big") + leaf.precertificate + above


# Tree heads: the same signature stands in get-sth and in the static checkpoint.


@dataclass(frozen=True, slots=True)
class TreeHead:
    """A tree head with the log's signature on it, a DigitallySigned (RFC 6962 §3.5)."""

    size: int
    timestamp_ms: int
    root: bytes
    signature: bytes

    def signed_input(self) -> bytes:
        """Give the 50 bytes that the log signed."""
        return encode_tree_head_input(self.size, self.timestamp_ms, self.root)

    def encode_json(self) -> bytes:
        """Give the answer of get-sth."""
        return json.dumps(
            {
                "tree_size": self.size,
                "timestamp": self.timestamp_ms,
                "sha256_root_hash": base64_text(self.root),
                "tree_head_signature": base64_text(self.signature),
            },
            separators=(",", ":"),
        ).encode()


def encode_tree_head_input(size: int, timestamp_ms: int, root: bytes) -> bytes:
    """Give what the log signs for a tree head: v1, tree_hash, time, size, root (50 bytes)."""
    return b"\0\x01" + timestamp_ms.to_bytes(8, "big") + size.to_bytes(8, "big") + root


def encode_digitally_signed(signature: bytes) -> bytes:
    """Wrap an ECDSA signature with SHA-256 in DER (RFC 5246 §4.7)."""
    return b"\x04\x03" + len(signature).to_bytes(2, "big") + signature


def parse_digitally_signed(data: bytes) -> bytes:
    """Take the signature out of a DigitallySigned over SHA-256 and ECDSA or RSA."""
    reader = _Reader(data)
    if reader.take(2, "signature algorithm") not in (b"\x04\x03", b"\x04\x01"):
        raise MalformedError("SCT_MALFORMED", "signature algorithm", found=data[:2].hex())
    signature = reader.opaque(2, "signature")
    if reader.offset != len(data):
        raise MalformedError("SCT_MALFORMED", "bytes follow the signature")
    return signature


def checkpoint_key_id(origin: str, log_id: bytes) -> bytes:
    """Give the four bytes that name the log's key in a static-ct checkpoint."""
    return hashlib.sha256(origin.encode() + b"\n\x05" + log_id).digest()[:4]


def encode_checkpoint(origin: str, log_id: bytes, head: TreeHead) -> str:
    """Give the tree head as a static-ct checkpoint, a signed note with an RFC 6962 signature."""
    key_id = checkpoint_key_id(origin, log_id)
    line = base64_text(key_id + head.timestamp_ms.to_bytes(8, "big") + head.signature)
    return f"{origin}\n{head.size}\n{base64_text(head.root)}\n\n— {origin} {line}\n"


def parse_checkpoint(text: str, origin: str, log_id: bytes) -> TreeHead:
    """Read a static-ct checkpoint; the signature is still to be checked.

    Other signature lines are passed over; a line by this log must be there (CHECKPOINT_KEYHINT).
    """
    body, separator, signatures = text.partition("\n\n")
    lines = body.split("\n")
    if not separator or len(lines) != 3 or not text.endswith("\n"):
        raise MalformedError("CHECKPOINT_MALFORMED", "a static checkpoint has three lines")
    if lines[0] != origin:
        raise MalformedError("CHECKPOINT_MALFORMED", "origin", expected=origin, found=lines[0])
    if not (lines[1].isascii() and lines[1].isdigit()) or lines[1] != str(int(lines[1][:20])):
        raise MalformedError("CHECKPOINT_MALFORMED", "tree size", found=lines[1][:40])
    root = _unb64(lines[2])
    prefix = f"— {origin} "
    key_id = checkpoint_key_id(origin, log_id)
    for line in signatures.splitlines():
        if line.startswith(prefix):
            value = _unb64(line.removeprefix(prefix))
            if value[:4] == key_id and len(value) > 12 and len(root) == 32:
                timestamp_ms = int.from_bytes(value[4:12], "big")
                return TreeHead(int(lines[1]), timestamp_ms, root, value[12:])
    raise MalformedError("CHECKPOINT_KEYHINT", f"no signature line of {origin} with its key")


# JSON of the submission API (RFC 6962 §4.1, §4.2)


def encode_add_chain(chain: tuple[bytes, ...]) -> bytes:
    """Give the request of add-chain and add-pre-chain."""
    return json.dumps(
        {"chain": [base64_text(der) for der in chain]}, separators=(",", ":")
    ).encode()


def parse_add_chain(body: bytes) -> tuple[bytes, ...]:
    """Read the request of add-chain; at most 10 certificates (REQUEST_MALFORMED)."""
    members = parse_json(
        body, what="the body", max_bytes=MAX_ADD_CHAIN_BYTES, error="REQUEST_MALFORMED"
    )
    chain = members.get("chain")
    if chain is None:
        chain = []
    if not isinstance(chain, list) or not all(isinstance(item, str) for item in chain):
        raise MalformedError("REQUEST_MALFORMED", "chain is not a list of base64 texts")
    if not chain:
        raise MalformedError("REQUEST_MALFORMED", "cert chain was empty")
    if len(chain) > MAX_CHAIN:
        raise MalformedError("REQUEST_MALFORMED", f"more than {MAX_CHAIN} certificates in chain")
    try:
        return tuple(parse_base64(item) for item in chain)
    except ValueError as error:
        raise MalformedError("REQUEST_MALFORMED", "chain is not base64") from error


def encode_add_chain_response(
    log_id: bytes, timestamp_ms: int, extensions: bytes, signature: bytes
) -> bytes:
    """Give the answer of add-chain; `signature` is the whole DigitallySigned."""
    return (
        f'{{"sct_version":0,"id":"{base64_text(log_id)}","timestamp":{timestamp_ms},'
        f'"extensions":"{base64_text(extensions)}","signature":"{base64_text(signature)}"}}'
    ).encode()


def _unb64(text: str) -> bytes:
    try:
        return parse_base64(text)
    except ValueError as error:
        raise MalformedError("CHECKPOINT_MALFORMED", "not base64", found=text[:60]) from error
