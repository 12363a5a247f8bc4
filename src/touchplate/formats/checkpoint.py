"""Checkpoints (C2SP tlog-checkpoint): what a log says of its tree, inside a signed note.

`open_checkpoint` is the way from bytes of anyone to a `Checkpoint` that the log signed;
`parse_checkpoint` reads one that nothing vouches for.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from touchplate.errors import MalformedError, VerificationError
from touchplate.formats.base64text import base64_text, parse_base64
from touchplate.formats.note import (
    KEY_HINT_BYTES,
    Note,
    NoteVerifier,
    is_note_name,
    parse_note,
)
from touchplate.keys.public import check_signature
from touchplate.merkle.tree import RootHash

MAX_CHECKPOINT_BYTES: Final = 65_536
MAX_TREE_SIZE: Final = 2**63 - 1
_ROOT_BYTES: Final = 32


class Checkpoint(NamedTuple):
    """The state of a log: how many leaves, and the root over them."""

    origin: str
    """The log's name; under Rekor v1 the host, ` - ` and the tree id."""
    size: int
    root: RootHash
    extensions: tuple[str, ...] = ()
    """Lines after the root, not empty."""


def open_checkpoint(envelope: str, verifier: NoteVerifier, *, v1: bool) -> Checkpoint:
    """Prove that the log signed this checkpoint, and read it.

    Under `v1` the line is found by the key's hint alone, and the origin is any; else line and
    origin both have the log's name. Raises CHECKPOINT_MALFORMED, CHECKPOINT_KEYHINT and
    CHECKPOINT_SIGNATURE.
    """
    return _open_usual(envelope, verifier, v1=v1) or _open_any(envelope, verifier, v1=v1)


def _open_any(envelope: str, verifier: NoteVerifier, *, v1: bool) -> Checkpoint:
    note = _parse_envelope(envelope)
    checkpoint = parse_checkpoint(note)
    verifier.check(note, any_name=v1)
    if not v1 and verifier.name is not None and checkpoint.origin != verifier.name:
        raise MalformedError(
            "CHECKPOINT_MALFORMED",
            "the checkpoint's origin is not the name of the log that signed it",
            expected=verifier.name,
            found=checkpoint.origin,
        )
    return checkpoint


def _open_usual(envelope: str, verifier: NoteVerifier, *, v1: bool) -> Checkpoint | None:
    """The same of a checkpoint without extensions, signed once; None says nothing.

    All but the signature is compared or read in place, where the general way takes the note apart
    line by line for whoever may have signed it.
    """
    lines = envelope.split("\n")
    if len(lines) != 6 or len(envelope) > MAX_CHECKPOINT_BYTES:
        return None
    origin, size, root, empty, line, last = lines
    dash, _, named = line.partition(" ")
    name, _, encoded = named.partition(" ")
    is_named = name == verifier.name if not v1 else name.isascii() and is_note_name(name)
    # What is printable holds no control character, and no half of a surrogate pair.
    if empty or last or dash != "\u2014" or not (is_named and origin and origin.isprintable()):
        return None
    if not v1 and origin != name:
        return None
    try:
        octets = parse_base64(encoded)
        checkpoint = Checkpoint(origin, parse_size(size), _parse_root(root))
        if octets[:KEY_HINT_BYTES] != verifier.hint:
            return None
        text = f"{origin}\n{size}\n{root}\n".encode()
        check_signature(verifier.key, octets[KEY_HINT_BYTES:], text, verifier.algorithm)
    except (ValueError, MalformedError, VerificationError):
        return None
    return checkpoint


def _parse_envelope(envelope: str) -> Note:
    try:
        return parse_note(envelope, max_bytes=MAX_CHECKPOINT_BYTES)
    except MalformedError as error:
        raise MalformedError("CHECKPOINT_MALFORMED", error.message) from error


def parse_checkpoint(note: Note) -> Checkpoint:
    """Read the text of a note as a checkpoint; its signatures are not checked."""
    lines = note.text.split("\n")
    last = lines.pop()
    if len(lines) < 3 or last or "" in lines:
        raise _malformed("it has not three lines and more, none empty")
    origin, size, root, *extensions = lines
    return Checkpoint(origin, parse_size(size), _parse_root(root), tuple(extensions))


def encode_checkpoint(origin: str, size: int, root: bytes, extensions: Iterable[str] = ()) -> str:
    """Give the text to be signed, with its final newline."""
    lines = (origin, str(size), base64_text(root), *extensions)
    if len(root) != _ROOT_BYTES or size < 0 or not all(lines) or "\n" in "".join(lines):
        raise AssertionError(f"no checkpoint of {origin!r} has size {size}")
    return "\n".join((*lines, ""))


def parse_size(text: str) -> int:
    """Read a tree size: decimal without sign or leading zeros, at most 2^63 - 1."""
    if not (text.isdigit() and text.isascii()) or (text[0] == "0" and text != "0"):
        raise _malformed(f"the tree size is not a plain decimal: {text[:40]!r}")
    size = int(text) if len(text) <= 19 else MAX_TREE_SIZE + 1
    if size > MAX_TREE_SIZE:
        raise _malformed("the tree size is above 2^63 - 1")
    return size


def _parse_root(text: str) -> RootHash:
    try:
        root = parse_base64(text)
    except ValueError as error:
        raise _malformed("the root hash is not base64") from error
    if len(root) != _ROOT_BYTES:
        raise _malformed(f"the root hash has {len(root)} bytes, not {_ROOT_BYTES}")
    return RootHash(root)


def _malformed(reason: str) -> MalformedError:
    return MalformedError("CHECKPOINT_MALFORMED", f"the checkpoint is malformed: {reason}")
