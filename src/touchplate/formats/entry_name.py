"""The short name of a log entry: its tree and its index there, as in `108e9186e8c5677a:5`.

An index alone names no entry once a log has had several trees. Bundles of the second API state the
index in the tree; those of the first state one that runs over all trees, which the log alone knows.
What a bundle does hold gives this name in both cases.
"""

import re
from dataclasses import dataclass
from typing import Final

from touchplate.errors import MalformedError
from touchplate.formats.bundle import InclusionProof, TransparencyLogEntry
from touchplate.formats.checkpoint import parse_checkpoint
from touchplate.formats.note import parse_note

_NAME: Final = re.compile(r"([0-9a-fA-F]{16}):([0-9]{1,18})")
_V1_ORIGIN: Final = re.compile(r".* - ([0-9]{1,19})")


@dataclass(frozen=True, slots=True)
class EntryName:
    """An entry's tree, and its index in that tree."""

    tree_id: int
    index: int

    def __str__(self) -> str:
        """Write it as people do."""
        return f"{self.tree_id:016x}:{self.index}"


def tree_id_of(log_id: bytes) -> int:
    """Make a tree id of a log id, where the log states none: 63 bits of it, never 0."""
    return int.from_bytes(log_id[:8], "big") >> 1 or 1


def name_entry(entry: TransparencyLogEntry) -> EntryName | None:
    """Name the entry of a bundle; None if it has no proof to say where it is.

    Nothing is checked here: of a bundle that was verified the name is as good as its proof.
    Raises NOTE_MALFORMED or CHECKPOINT_MALFORMED.
    """
    proof = entry.proof
    if proof is None or not proof.checkpoint:
        return None
    if entry.is_v2:
        return EntryName(tree_id_of(entry.log_id), entry.log_index)
    return EntryName(tree_of_v1(entry, proof), proof.log_index)


def tree_of_v1(entry: TransparencyLogEntry, proof: InclusionProof) -> int:
    """Give the tree that the checkpoint of a v1 proof names; raises as `name_entry` does."""
    stated = _V1_ORIGIN.fullmatch(parse_checkpoint(parse_note(proof.checkpoint)).origin)
    return int(stated[1]) if stated else tree_id_of(entry.log_id)


def parse_entry_name(text: str) -> EntryName:
    """Read a name (REQUEST_MALFORMED)."""
    found = _NAME.fullmatch(text)
    if found is None:
        raise MalformedError(
            "REQUEST_MALFORMED",
            "this is no name of a log entry",
            expected="16 hex digits, a colon and an index",
            found=text[:100],
        )
    return EntryName(int(found[1], 16), int(found[2]))
