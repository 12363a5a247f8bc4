"""Bundles laid out alike: the short way reads what the strict way reads, and is really taken."""

import json
from base64 import b64decode
from binascii import b2a_base64
from contextlib import suppress
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.verify.mint import SHAPES, Mint
from touchplate.errors import MalformedError
from touchplate.formats import bundle as bundle_module
from touchplate.formats.bundle import (
    MAX_ALIKE,
    MAX_ALIKE_BYTES,
    MAX_NAME_BYTES,
    MAX_NAMES,
    MAX_SIZED,
    MAX_SIZED_BYTES,
    Bundle,
    BundleReader,
    CertificateMaterial,
)
from touchplate.formats.bundle_alike import Alike, Sized
from touchplate.formats.jsontext import parse_json

MINT = Mint.new(6000)
WAYS: list[dict[str, Any]] = [
    {"separators": (",", ":")},
    {"separators": (", ", ": ")},
    {"indent": 2},
    {"indent": "\t", "ensure_ascii": False},
]
"""In which programs write JSON."""
NAMES = (b"rawBytes", b"canonicalizedBody", b"signature", b"sig")
ODD = (0x00, 0x09, 0x22, 0x2C, 0x30, 0x5C, 0x7B, 0x7F, 0x80, 0xFF)


@cache
def minted(shape: str) -> str:
    """Give a good bundle, the same each time, as text."""
    return json.dumps(MINT.bundle(shape))


def written(shape: str, way: int = 0, hashes: int = 3, source: str | None = None) -> bytes:
    """Give a bundle with so many hashes in its proof: what they prove is not asked here."""
    members = json.loads(source or minted(shape))
    proof = members["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]
    proof["hashes"] = [proof["rootHash"]] * hashes
    return json.dumps(members, **WAYS[way]).encode()


def knowing(*texts: bytes) -> BundleReader:
    """Give a reader that knows how these are laid out, and how long their strings are."""
    reader = BundleReader()
    for text in texts * 2:
        reader.read(text)
        reader.read(text)
    return reader


def layouts(reader: BundleReader) -> list[Alike]:
    """Give all that it knows."""
    return [alike for found in reader._known.values() for alike in found]


def sizes(reader: BundleReader) -> list[Sized]:
    """Give all sizes that it knows."""
    return [sized for sized in reader._sized.values() if sized is not None]


def is_read_alike(reader: BundleReader, text: bytes) -> bool:
    """Say whether the short way answers."""
    return any(alike.read(text.split(b'"')) is not None for alike in layouts(reader))


def reading(reader: BundleReader, text: bytes) -> Bundle | str:
    """Give what it reads, or the message with which it refuses."""
    try:
        return reader.read(text)
    except MalformedError as error:
        return error.message


def strictly(text: bytes) -> Bundle | str:
    """Give the same without any short way."""
    try:
        members = parse_json(text, what="bundle", max_bytes=2**25, error="BUNDLE_MALFORMED")
        return bundle_module._any(members)
    except MalformedError as error:
        return error.message


@pytest.mark.parametrize("way", range(len(WAYS)))
@pytest.mark.parametrize("shape", SHAPES)
def test_taken(shape: str, way: int) -> None:
    """Another bundle of the same signer is read in the short way, with its own values."""
    first = written(shape, way)
    other = written(shape, way, source=json.dumps(MINT.bundle(shape)))
    reader = knowing(first)
    assert len(layouts(reader)) == 1
    for text in (first, other, written(shape, way, 1), written(shape, way, 40)):
        assert is_read_alike(reader, text)
        assert reader.read(text) == strictly(text)
    assert reader.read(first) != reader.read(other)
    assert len(layouts(reader)) == 1


@pytest.mark.parametrize("way", range(len(WAYS)))
@pytest.mark.parametrize("shape", SHAPES)
def test_taken_by_size(shape: str, way: int) -> None:
    """A text with strings as long as another's is read at the same spots, with its own values."""
    first = written(shape, way)
    [sized] = sizes(knowing(first))
    members = json.loads(first)
    put(members, "rootHash", "A" * 43 + "=")
    put(members, "keyId", "B" * 43 + "=")
    other = json.dumps(members, **WAYS[way]).encode()
    for text in (first, other):
        assert sized.read(text) == strictly(text)
    assert strictly(first) != strictly(other)
    for text in (b"", first[:-1], first + b" ", written(shape, way, 2), first.replace(b":", b";")):
        assert sized.read(text) is None


@pytest.mark.parametrize("shape", SHAPES)
def test_quotes_at_the_spots(shape: str) -> None:
    """What holds a quote where a string should be is read as JSON, or is refused."""
    text = written(shape)
    [sized] = sizes(knowing(text))
    members = json.loads(text)
    entry = members["verificationMaterial"]["tlogEntries"][0]
    proof = entry["inclusionProof"]
    for string in (
        entry["canonicalizedBody"],
        entry["logId"]["keyId"],
        proof["rootHash"],
        proof["checkpoint"]["envelope"].split("\n")[0],
    ):
        for instead in (b'"', b'","x":"', b'\\"'):
            old = string.encode()
            odd = text.replace(old, old[: -len(instead)] + instead, 1)
            found = sized.read(odd)
            assert len(odd) == len(text)
            assert found is None or found == strictly(odd)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape.startswith("v1")])
def test_body_as_base64(shape: str) -> None:
    """What is kept of an entry's body is that body in base64, and a changed copy keeps nothing."""
    text = written(shape)
    reader = knowing(text)
    entry, plain = reader.read(text).entries[0], strictly(text)
    assert isinstance(plain, Bundle)
    assert entry == plain.entries[0]
    assert entry.body_base64 == plain.entries[0].body_base64 == b2a_base64(entry.body)[:-1]
    changed = entry._replace(body=b"another")
    assert changed.body_base64 == b2a_base64(b"another")[:-1]


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_each_octet(shape: str) -> None:
    """No octet may change unseen: after each, both ways read the same, or refuse the same."""
    text = written(shape, SHAPES.index(shape) % len(WAYS))
    reader = knowing(text)
    [alike], [sized] = layouts(reader), sizes(reader)
    for place in range(len(text)):
        for octet in {ODD[place % len(ODD)], text[place] ^ 1}:
            changed = text[:place] + bytes((octet,)) + text[place + 1 :]
            expected = strictly(changed)
            found = alike.read(changed.split(b'"'))
            assert found is None or found == expected, (place, octet)
            found = sized.read(changed)
            assert found is None or found == expected, (place, octet)


@pytest.mark.slow
@settings(max_examples=300)
@given(st.sampled_from(SHAPES), st.integers(0, len(WAYS) - 1), st.data())
def test_changed(shape: str, way: int, data: st.DataObject) -> None:
    """With octets put in, taken out and replaced the answers are those of the strict way."""
    text = written(shape, way)
    reader = knowing(text)
    changed = bytearray(text)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(changed) - 1))
        more = data.draw(
            st.sampled_from([b"", b'"', b"\\", b"\\n", b'","', b'":"', b"0", b"=", b" "])
        )
        changed[place : place + data.draw(st.integers(0, 2))] = more
    assert reading(reader, bytes(changed)) == strictly(bytes(changed))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("logIndex", "01"),
        ("logIndex", "-1"),
        ("logIndex", "9223372036854775808"),
        ("logIndex", "٣"),
        ("treeSize", ""),
        ("keyId", "AAAA"),
        ("keyId", "not base64"),
        ("canonicalizedBody", "AA=A"),
        ("signature", ""),
        ("rawBytes", "MAA="),
        ("envelope", "a\ud800"),
        ("envelope", "x" * 70_000),
        ("signedEntryTimestamp", ""),
        ("integratedTime", "1e3"),
    ],
)
def test_values_that_are_not_usual(name: str, text: str) -> None:
    """What the strict way refuses, or reads in another way, the short way leaves to it."""
    good = written("v1-message")
    members = json.loads(good)
    reader = knowing(good)
    put(members, name, text)
    odd = json.dumps(members, separators=(",", ":")).encode()
    assert not is_read_alike(reader, odd)
    assert reading(reader, odd) == strictly(odd)


def put(value: Any, name: str, text: str) -> None:
    """Put a text at the first member of this name."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == name:
                value[key] = text
                return
            put(inner, name, text)
    elif isinstance(value, list):
        for inner in value:
            put(inner, name, text)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if "intoto" not in shape])
def test_repeated_body(shape: str) -> None:
    """A body is known from signature and certificate, and only if it is exactly theirs."""
    alike = layouts(knowing(written(shape)))[0]
    assert alike.repeated is not None
    other = written(shape, source=json.dumps(MINT.bundle(shape)))
    found = alike.read(other.split(b'"'))
    assert found is not None
    assert isinstance(found.material, CertificateMaterial)
    values = {name: other.split(b'"%b":"' % name)[-1].split(b'"')[0] for name in NAMES}
    signed = values[b"sig"] if "dsse" in shape else values[b"signature"]
    rest = signed, values[b"rawBytes"], found.material.leaf
    text = values[b"canonicalizedBody"]
    assert alike.repeated.find(text, *rest) == found.entries[0].body == b64decode(text)
    for place in range(len(text)):
        odd = bytes((text[place] ^ 1,))
        try:
            body = alike.repeated.find(text[:place] + odd + text[place + 1 :], *rest)
        except ValueError:
            continue
        # What stands before the signature is read, not known.
        assert body is None or place < alike.repeated.head * 4 // 3 + 4
    for short in (b"", text[:40], text[:-1], text + b"AAAA"):
        with suppress(ValueError):
            assert alike.repeated.find(short, *rest) is None


@pytest.mark.parametrize("hashes", [0, 1])
def test_without_two_hashes(hashes: int) -> None:
    """What separates the hashes of a proof is learnt from a bundle that has two."""
    reader = knowing(written("v2-message", 0, hashes))
    assert layouts(reader) == []
    assert reader.read(written("v2-message", 0, 0)) == strictly(written("v2-message", 0, 0))
    again = knowing(written("v2-message", 0, 2))
    assert not is_read_alike(again, written("v2-message", 0, 0))


def test_several_layouts() -> None:
    """Bundles of several kinds in turn are all read in the short way, and none forgets another."""
    texts = [written(shape, way) for shape in SHAPES for way in range(2)]
    reader = knowing(*texts)
    for text in texts:
        assert is_read_alike(reader, text)
        assert reader.read(text) == strictly(text)


def test_what_is_kept() -> None:
    """A reader keeps no more than it says, whatever it is given."""
    reader = BundleReader()
    for number in range(2 * MAX_NAMES):
        text = written("v2-message").replace(
            b'"verificationMaterial"', b'"x%d":0,"verificationMaterial"' % number
        )
        reader.read(text)
        reader.read(text)
    for number in range(2 * MAX_ALIKE):
        text = written("v2-message").replace(b'"tlogEntries"', b'"x%d":0,"tlogEntries"' % number)
        reader.read(text)
        reader.read(text)
    assert len(reader._known) <= MAX_NAMES
    assert max(map(len, reader._known.values())) <= MAX_ALIKE
    for hashes in range(1, 60):
        for way in range(len(WAYS)):
            for spaces in range(0, 6, 2):
                reader.read(written("v2-message", way, hashes) + b" " * spaces)
    assert 0 < len(reader._sized) <= MAX_SIZED
    large = written("v2-message") + b" " * MAX_SIZED_BYTES
    assert not knowing(large)._sized
    for text in (
        written("v2-message").replace(b'{"media', b'{"x":"' + b"x" * MAX_NAME_BYTES + b'","media'),
        written("v2-message") + b" " * MAX_ALIKE_BYTES,
    ):
        reader = knowing(text)
        assert reader._known == {}
        assert reader.read(text) == strictly(text)
