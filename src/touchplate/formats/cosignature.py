"""Cosignatures of checkpoints (C2SP tlog-cosignature): what a witness signs, and its keys.

A cosignature is a line of the checkpoint's note whose octets begin with a time. A cosigner has a
name and a key of one of two kinds: Ed25519 (type 0x04, over the whole text of the checkpoint) or
ML-DSA-44 (type 0x06, over origin, size and root). How many are enough is in `witness_policy`.
"""

from hashlib import sha256
from typing import Final, NamedTuple

from touchplate.errors import MalformedError, VerificationError
from touchplate.formats.base64text import base64_text, parse_base64
from touchplate.formats.checkpoint import Checkpoint, parse_checkpoint
from touchplate.formats.note import (
    KEY_HINT_BYTES,
    TYPE_ED25519,
    Note,
    NoteSignature,
    is_note_name,
)
from touchplate.keys.algorithms import Algorithm, by_name
from touchplate.keys.public import PublicKey, check_signature, load_public_key
from touchplate.keys.signer import Signer

TYPE_COSIGNATURE: Final = 0x04
TYPE_MLDSA44: Final = 0x06
MAX_TIME: Final = 2**63 - 1
TIME_BYTES: Final = 8
MAX_VKEY_CHARACTERS: Final = 4096
"""An ML-DSA-44 key takes 1,752 characters, its name 255 at most."""
MAX_NAME_BYTES: Final = 255  # what one octet counts (ML-DSA-44 messages)

_LABEL: Final = b"subtree/v1\n\x00"
# SubjectPublicKeyInfo is a fixed prefix and the key (RFC 8410 §4, RFC 9881 §4).
_ED25519_SPKI: Final = bytes.fromhex("302a300506032b6570032100")
_MLDSA44_SPKI: Final = bytes.fromhex("30820532300b06096086480165030403110382052100")


class _Kind(NamedTuple):
    """A kind of cosigner: what stands in its verifier key, and how long its signature is."""

    octet: int
    algorithm: Algorithm
    signature_bytes: int


_KINDS: Final[dict[str, _Kind]] = {
    "ed25519": _Kind(TYPE_COSIGNATURE, by_name("PKIX_ED25519"), 64),
    "ml-dsa-44": _Kind(TYPE_MLDSA44, by_name("ML_DSA_44"), 2420),
}


class Cosignature(NamedTuple):
    """What `Cosigner.check` has proven: this cosigner has seen the checkpoint."""

    name: str
    time: int
    """Unix seconds, by the cosigner's clock; 0 says nothing about recency."""
    line: NoteSignature


class Cosigner(NamedTuple):
    """A key that checkpoints may be cosigned by, under a name."""

    name: str
    key: PublicKey
    hint: bytes

    def find(self, note: Note) -> tuple[Cosignature, ...]:
        """Prove each line of the note that is this cosigner's; give them in order, maybe none.

        Raises CHECKPOINT_SIGNATURE if one does not verify: a known key's bad line spoils the note
        (C2SP signed-note).
        """
        return tuple(
            self._check(note, line)
            for line in note.signatures
            if (line.name, line.key_hint) == (self.name, self.hint)
        )

    @property
    def line_bytes(self) -> int:
        """Give the length of a line of this cosigner, in UTF-8 with its newline."""
        octets = KEY_HINT_BYTES + TIME_BYTES + _KINDS[self.key.kind].signature_bytes
        return len(f"\u2014 {self.name} \n".encode()) + (octets + 2) // 3 * 4

    def _check(self, note: Note, line: NoteSignature) -> Cosignature:
        kind = _KINDS[self.key.kind]
        if len(line.signature) != TIME_BYTES + kind.signature_bytes:
            raise _invalid(self.name, f"it has {len(line.signature)} bytes")
        time = int.from_bytes(line.signature[:TIME_BYTES], "big")
        if time > MAX_TIME:
            raise _invalid(self.name, "its time is above 2^63 - 1")
        message = _message(self.name, self.key, note, time)
        try:
            check_signature(self.key, line.signature[TIME_BYTES:], message, kind.algorithm)
        except VerificationError as error:
            raise _invalid(self.name, "it does not verify") from error
        return Cosignature(self.name, time, line)


class CosignatureSigner(NamedTuple):
    """Cosigns checkpoints with one key, under a name: what a witness does last."""

    name: str
    signer: Signer
    hint: bytes

    def sign(self, note: Note, time: int) -> NoteSignature:
        """Sign the checkpoint in `note`, as seen at `time` (Unix seconds)."""
        if not 0 <= time <= MAX_TIME:
            raise AssertionError("a cosignature's time is 0 to 2^63 - 1")
        message = _message(self.name, self.signer.public_key, note, time)
        stamped = time.to_bytes(TIME_BYTES, "big") + self.signer.sign(message)
        return NoteSignature(self.name, self.hint, stamped)


def cosigner(name: str, key: PublicKey) -> Cosigner:
    """Give the cosigner of this name and key; KEY_UNREADABLE if such keys do not cosign."""
    return Cosigner(name, key, _hint(name, key))


def cosignature_signer(name: str, signer: Signer) -> CosignatureSigner:
    """Give the signer of cosignatures under `name`; KEY_UNREADABLE if the key cannot cosign."""
    if not is_note_name(name):
        raise AssertionError(f"{name!r} cannot be the name of a note's key")
    hint = _hint(name, signer.public_key)
    wanted = _KINDS[signer.public_key.kind].algorithm
    if signer.algorithm != wanted:
        raise VerificationError(
            "KEY_UNREADABLE",
            "the key cannot cosign",
            expected=wanted.name,
            found=signer.algorithm.name,
        )
    return CosignatureSigner(name, signer, hint)


def cosigned_message(text: str, time: int) -> bytes:
    """Give what an Ed25519 cosigner signs: header, time, and the text of the checkpoint whole.

    Its own name is not in it, so a key must not serve two cosigners.
    """
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def subtree_message(name: str, checkpoint: Checkpoint, time: int) -> bytes:
    """Give what an ML-DSA-44 cosigner signs of a checkpoint; extension lines are not in it."""
    return b"".join(
        (
            _LABEL,
            _counted(name),
            time.to_bytes(TIME_BYTES, "big"),
            _counted(checkpoint.origin),
            bytes(8),  # a checkpoint is the subtree from 0 to its size
            checkpoint.size.to_bytes(8, "big"),
            checkpoint.root,
        )
    )


def encode_cosigner(cosigner: Cosigner) -> str:
    """Give the verifier key: `name+hint+base64(type || key)`."""
    encoded = base64_text(_typed(cosigner.key))
    return f"{cosigner.name}+{cosigner.hint.hex()}+{encoded}"


def parse_cosigner(text: str) -> Cosigner:
    """Read the verifier key of a cosigner; raise NOTE_MALFORMED, KEY_UNREADABLE, LIMIT_EXCEEDED.

    Types 0x04 and 0x06, and 0x01 as old lists have it, which means the cosigner with that Ed25519
    key: its cosignatures bear the hint of type 0x04 all the same.
    """
    if len(text) > MAX_VKEY_CHARACTERS:
        raise MalformedError(
            "LIMIT_EXCEEDED", f"the verifier key has more than {MAX_VKEY_CHARACTERS} characters"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _malformed("it is not UTF-8") from error
    parts = text.split("+", 2)
    if len(parts) != 3 or not is_note_name(parts[0]):
        raise _malformed(f"not a verifier key: {text[:80]!r}")
    name, stated, encoded = parts
    octets = _parse_octets(encoded)
    kind, raw = octets[:1], octets[1:]
    if kind in (bytes((TYPE_ED25519,)), bytes((TYPE_COSIGNATURE,))):
        key = load_public_key(_ED25519_SPKI + raw)
    elif kind == bytes((TYPE_MLDSA44,)):
        key = load_public_key(_MLDSA44_SPKI + raw)
    else:
        raise _malformed(f"a cosigner's key of type {kind.hex() or 'none'} is not known")
    hint = _hash(name, octets)
    if stated != hint.hex():
        raise MalformedError(
            "NOTE_MALFORMED",
            "the verifier key states another hint than its key has",
            expected=hint.hex(),
            found=stated[:16],
        )
    return cosigner(name, key)


def _parse_octets(encoded: str) -> bytes:
    try:
        octets = parse_base64(encoded)
    except ValueError as error:
        raise _malformed("the verifier key is not base64") from error
    if base64_text(octets) != encoded:
        raise _malformed("the verifier key's base64 has bits after its last byte")
    return octets


def _message(name: str, key: PublicKey, note: Note, time: int) -> bytes:
    checkpoint = parse_checkpoint(note)
    if key.kind == "ml-dsa-44":
        return subtree_message(name, checkpoint, time)
    return cosigned_message(note.text, time)


def _hint(name: str, key: PublicKey) -> bytes:
    if len(name.encode()) > MAX_NAME_BYTES:
        raise MalformedError(
            "LIMIT_EXCEEDED", f"the cosigner's name has more than {MAX_NAME_BYTES} bytes"
        )
    return _hash(name, _typed(key))


def _hash(name: str, typed: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + typed).digest()[:KEY_HINT_BYTES]


def _typed(key: PublicKey) -> bytes:
    """Give the type octet and the key as a verifier key holds them."""
    kind = _KINDS.get(key.kind)
    if kind is None:
        raise VerificationError("KEY_UNREADABLE", f"{key.kind} keys do not cosign")
    return bytes((kind.octet,)) + key.raw()


def _counted(text: str) -> bytes:
    octets = text.encode()
    if len(octets) > MAX_NAME_BYTES:
        raise _malformed(f"the name {text[:40]!r}… has more than {MAX_NAME_BYTES} bytes")
    return bytes((len(octets),)) + octets


def _invalid(name: str, reason: str) -> VerificationError:
    return VerificationError("CHECKPOINT_SIGNATURE", f"the cosignature by {name}: {reason}")


def _malformed(reason: str) -> MalformedError:
    return MalformedError("NOTE_MALFORMED", f"the cosigner's key is malformed: {reason}")
