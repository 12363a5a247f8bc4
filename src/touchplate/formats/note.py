"""Signed notes (C2SP signed-note): read, check, sign, and verifier keys.

`parse_note` proves nothing; `NoteVerifier.check` does. What the text of a log's note says is in
`checkpoint`. Cosignatures (types 0x04, 0x06) are lines like any other here.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final, NamedTuple

from touchplate.errors import MalformedError, VerificationError
from touchplate.formats.base64text import base64_text, parse_base64
from touchplate.keys.algorithms import Algorithm, by_name
from touchplate.keys.public import PublicKey, check_signature, load_public_key
from touchplate.keys.signer import Signer

MAX_NOTE_BYTES: Final = 1_000_000
MAX_SIGNATURES: Final = 100

KEY_HINT_BYTES: Final = 4
TYPE_ED25519: Final = 0x01
TYPE_ECDSA: Final = 0x02
TYPE_PRIVATE: Final = 0xFF
RSA_IDENTIFIER: Final = b"PKIX-RSA-PKCS#1v1.5"

_DASH: Final = "\u2014 "
# No byte below 0x20 except LF: no CR, no tab.
_CONTROLS: Final = bytes(octet for octet in range(0x20) if octet != 0x0A)
_ED25519_SPKI: Final = bytes.fromhex("302a300506032b6570032100")
_MIN_SIGNATURE_BYTES: Final = KEY_HINT_BYTES + 1

# ECDSA notes are over SHA-256 whatever the curve.
_ALGORITHMS: Final[dict[str, Algorithm]] = {
    "ed25519": by_name("PKIX_ED25519"),
    "ecdsa-p256": by_name("PKIX_ECDSA_P256_SHA_256"),
    "ecdsa-p384": by_name("PKIX_ECDSA_P384_SHA_256"),
    "ecdsa-p521": by_name("PKIX_ECDSA_P521_SHA_256"),
    "rsa-2048": by_name("PKIX_RSA_PKCS1V15_2048_SHA256"),
    "rsa-3072": by_name("PKIX_RSA_PKCS1V15_3072_SHA256"),
    "rsa-4096": by_name("PKIX_RSA_PKCS1V15_4096_SHA256"),
}


class NoteSignature(NamedTuple):
    """One signature line. A tuple, since a cosigned checkpoint has a dozen on the hot path."""

    name: str
    key_hint: bytes
    """The first four bytes of the key's id, which with the name says whose line it is."""
    signature: bytes
    """What follows the hint: for plain signatures, the signature itself."""


class Note(NamedTuple):
    """A note whose form holds. Its signatures are not checked."""

    text: str
    """The signed text, with its final newline."""
    signatures: tuple[NoteSignature, ...]


def parse_note(envelope: str, *, max_bytes: int = MAX_NOTE_BYTES) -> Note:
    """Read a note; raise NOTE_MALFORMED. At most `max_bytes`, 100 signatures."""
    if len(envelope) > max_bytes:
        raise MalformedError("LIMIT_EXCEEDED", f"the note has more than {max_bytes} characters")
    try:
        octets = envelope.encode()
    except UnicodeEncodeError as error:
        raise _malformed("it is not UTF-8") from error
    if len(octets.translate(None, _CONTROLS)) != len(octets):
        raise _malformed("it holds a control character")
    # The text may hold empty lines: the last one separates. It is not signed, the newline
    # before it is.
    text, separator, block = envelope.rpartition("\n\n")
    if not separator or not block.endswith("\n"):
        raise _malformed("no empty line, or no newline at the end")
    lines = block[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise MalformedError("LIMIT_EXCEEDED", f"the note has over {MAX_SIGNATURES} signatures")
    return Note(text + "\n", tuple([_parse_line(line) for line in lines]))


def _parse_line(line: str) -> NoteSignature:
    name, _, encoded = line[2:].partition(" ")
    if not line.startswith(_DASH) or not is_note_name(name):
        raise _malformed(f"not a signature line: {line[:80]!r}")
    try:
        octets = parse_base64(encoded)
    except ValueError as error:
        raise _malformed(f"the signature by {name} is not base64") from error
    if len(octets) < _MIN_SIGNATURE_BYTES:
        raise _malformed(f"the signature by {name} is too short")
    return NoteSignature(name, octets[:KEY_HINT_BYTES], octets[KEY_HINT_BYTES:])


def is_note_name(name: str) -> bool:
    """Say whether `name` may be the name of a key: not empty, no white space, no plus."""
    return "+" not in name and name.split() == [name]


def encode_note(text: str, signatures: Iterable[NoteSignature]) -> str:
    """Give the note as text; the inverse of `parse_note`."""
    if not text.endswith("\n"):
        raise AssertionError("a note's text ends with a newline")
    return text + "\n" + "".join([encode_signature(line) for line in signatures])


def encode_signature(line: NoteSignature) -> str:
    """Give one signature line with its newline."""
    octets = base64_text(line.key_hint + line.signature)
    return f"{_DASH}{line.name} {octets}\n"


class NoteVerifier(NamedTuple):
    """A key that a note may be signed by, under a name."""

    name: str | None
    """None if a line is found by its key hint alone (the notes of Rekor v1)."""
    key: PublicKey
    hint: bytes
    algorithm: Algorithm

    def check(self, note: Note, *, any_name: bool = False) -> None:
        """Prove that this key signed the note.

        Raises CHECKPOINT_KEYHINT if no line is this key's, CHECKPOINT_SIGNATURE if one is and
        does not verify. Lines of other keys mean nothing, whatever their order.
        """
        name, hint = self.name, self.hint
        found = False
        for line in note.signatures:
            if line.key_hint == hint and (any_name or name is None or line.name == name):
                try:
                    check_signature(self.key, line.signature, note.text.encode(), self.algorithm)
                except VerificationError as error:
                    raise VerificationError(
                        "CHECKPOINT_SIGNATURE",
                        f"the signature by {line.name} on the note does not verify",
                    ) from error
                found = True
        if not found:
            raise VerificationError(
                "CHECKPOINT_KEYHINT",
                "no signature line of the note is by the key asked for",
                expected=f"{'any name' if any_name or name is None else name} with {hint.hex()}",
                found=", ".join(f"{s.name} with {s.key_hint.hex()}" for s in note.signatures[:8]),
            )


class NoteSigner(NamedTuple):
    """Signs notes with one key, under a name. Holding one means that the key can sign notes."""

    name: str
    signer: Signer
    hint: bytes

    def sign(self, text: str) -> NoteSignature:
        """Sign the text, which ends with a newline."""
        return NoteSignature(self.name, self.hint, self.signer.sign(text.encode()))


def note_verifier(name: str, key: PublicKey) -> NoteVerifier:
    """Give the verifier of a key under a name; KEY_UNREADABLE if such keys sign no notes."""
    return NoteVerifier(name, key, note_key_id(name, key)[:KEY_HINT_BYTES], note_algorithm(key))


def rekor_v1_verifier(key: PublicKey) -> NoteVerifier:
    """Give the verifier of Rekor v1 notes: SHA-256 of the key is the hint for every kind of key."""
    return NoteVerifier(None, key, key.key_id[:KEY_HINT_BYTES], note_algorithm(key))


def note_signer(name: str, signer: Signer) -> NoteSigner:
    """Give the signer of notes under `name`; KEY_UNREADABLE if the key signs no notes."""
    if not is_note_name(name):
        raise AssertionError(f"{name!r} cannot be the name of a note's key")
    wanted = note_algorithm(signer.public_key)
    if (signer.algorithm.kind, signer.algorithm.hash) != (wanted.kind, wanted.hash):
        raise VerificationError(
            "KEY_UNREADABLE",
            "the key cannot sign notes",
            expected=wanted.name,
            found=signer.algorithm.name,
        )
    return NoteSigner(name, signer, note_key_id(name, signer.public_key)[:KEY_HINT_BYTES])


def note_algorithm(key: PublicKey) -> Algorithm:
    """Give the algorithm that a key of this kind signs notes with, or raise KEY_UNREADABLE."""
    found = _ALGORITHMS.get(key.kind)
    if found is None:
        raise VerificationError("KEY_UNREADABLE", f"notes are not signed with {key.kind} keys")
    return found


def note_key_id(name: str, key: PublicKey) -> bytes:
    """Give the whole key id, 32 bytes: its start is the hint, and Rekor v2's log id is all of it.

    SHA-256(name || LF || type || key), but for ECDSA SHA-256 of the key alone.
    """
    if key.kind.startswith("ecdsa-"):
        return key.key_id
    return sha256(name.encode() + b"\n" + _typed(key)).digest()


def _typed(key: PublicKey) -> bytes:
    """Give the type octet and the key as a verifier key holds them."""
    if key.kind == "ed25519":
        return bytes((TYPE_ED25519,)) + key.raw()
    if key.kind.startswith("ecdsa-"):
        return bytes((TYPE_ECDSA,)) + key.spki
    if key.kind.startswith("rsa-"):
        return bytes((TYPE_PRIVATE,)) + RSA_IDENTIFIER + key.spki
    raise VerificationError("KEY_UNREADABLE", f"notes are not signed with {key.kind} keys")


def encode_vkey(name: str, key: PublicKey) -> str:
    """Give the verifier key: `name+hint+base64(type || key)`."""
    encoded = base64_text(_typed(key))
    return f"{name}+{note_key_id(name, key)[:KEY_HINT_BYTES].hex()}+{encoded}"


def parse_vkey(text: str) -> NoteVerifier:
    """Read a verifier key of an Ed25519, ECDSA or RSA key; NOTE_MALFORMED, KEY_UNREADABLE.

    The base64 may hold a plus itself, so only the first two separate.
    """
    parts = text.split("+", 2)
    if len(parts) != 3 or not is_note_name(parts[0]):
        raise _malformed(f"not a verifier key: {text[:80]!r}")
    name, hint, encoded = parts
    try:
        octets = parse_base64(encoded)
    except ValueError as error:
        raise _malformed("the verifier key is not base64") from error
    kind, rest = octets[:1], octets[1:]
    if kind == bytes((TYPE_ED25519,)):
        key = load_public_key(_ED25519_SPKI + rest)
    elif kind == bytes((TYPE_ECDSA,)):
        key = load_public_key(rest)
    elif octets.startswith(bytes((TYPE_PRIVATE,)) + RSA_IDENTIFIER):
        key = load_public_key(rest[len(RSA_IDENTIFIER) :])
    else:
        raise _malformed(f"a verifier key of type {kind.hex() or 'none'} is not known")
    verifier = note_verifier(name, key)
    if hint != verifier.hint.hex():
        raise MalformedError(
            "NOTE_MALFORMED",
            "the verifier key states another hint than its key has",
            expected=verifier.hint.hex(),
            found=hint[:16],
        )
    return verifier


def _malformed(reason: str) -> MalformedError:
    return MalformedError("NOTE_MALFORMED", f"the signed note is malformed: {reason}")
