"""The short name of a log entry."""

import json
from typing import Any

import pytest

from tests.verify.mint import Mint, only_entry
from touchplate.errors import MalformedError
from touchplate.formats.bundle import TransparencyLogEntry, parse_bundle
from touchplate.formats.entry_name import EntryName, name_entry, parse_entry_name, tree_id_of

MINT = Mint.new(7000)


def entry_of(members: dict[str, Any]) -> TransparencyLogEntry:
    """Read the one entry of a bundle."""
    (entry,) = parse_bundle(json.dumps(members).encode()).entries
    return entry


@pytest.mark.parametrize("shape", ["v0.1", "v1-message", "v1-dsse", "v1-intoto"])
def test_v1(shape: str) -> None:
    """Of a v1 bundle the index in the tree counts, and the tree that its checkpoint names."""
    entry = entry_of(MINT.bundle(shape))

    assert entry.log_index == 1_000_002
    assert name_entry(entry) == EntryName(4242, 2)
    assert str(name_entry(entry)) == "0000000000001092:2"


def test_v2() -> None:
    """Of a v2 bundle the index is that of the tree, which goes by its log's id."""
    entry = entry_of(MINT.bundle("v2-message"))

    assert name_entry(entry) == EntryName(tree_id_of(entry.log_id), 2)


def test_v1_without_tree() -> None:
    """A v1 log that states no tree goes by its id, too."""
    members = MINT.bundle("v1-message")
    proof = only_entry(members)["inclusionProof"]
    envelope = proof["checkpoint"]["envelope"].replace(" - 4242\n", "\n", 1)
    proof["checkpoint"]["envelope"] = envelope
    entry = entry_of(members)

    assert name_entry(entry) == EntryName(tree_id_of(entry.log_id), 2)


def test_no_proof() -> None:
    """An entry that is only promised has no place yet."""
    members = MINT.bundle("v0.1")
    del only_entry(members)["inclusionProof"]

    assert name_entry(entry_of(members)) is None


def test_read_again() -> None:
    """What is written is read; hex in either case."""
    name = EntryName(0x108E9186E8C5677A, 5)

    assert str(name) == "108e9186e8c5677a:5"
    assert parse_entry_name(str(name)) == parse_entry_name(str(name).upper()) == name


@pytest.mark.parametrize("text", ["", ":", "5", "108e9186e8c5677a", "108e9186e8c5677a:", "x" * 80])
def test_no_name(text: str) -> None:
    """Anything else is no name."""
    for each in (text, text + ":-1", text + "\n"):
        with pytest.raises(MalformedError) as caught:
            parse_entry_name(each)
        assert caught.value.code == "REQUEST_MALFORMED"


def test_tree_ids() -> None:
    """A tree id is a positive int64, whatever the log id is."""
    assert tree_id_of(bytes(32)) == 1
    assert tree_id_of(b"\xff" * 32) == 2**63 - 1
