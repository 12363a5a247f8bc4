"""Vectors: the C2SP example, published keys of public logs, and notes made with other tools."""

from base64 import b64decode
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import MalformedError, VerificationError
from touchplate.formats.note import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    Note,
    NoteSignature,
    encode_note,
    encode_vkey,
    is_note_name,
    note_key_id,
    note_signer,
    note_verifier,
    parse_note,
    parse_vkey,
    rekor_v1_verifier,
)
from touchplate.keys.algorithms import by_name
from touchplate.keys.public import load_public_key
from touchplate.keys.signer import PrivateKeySigner, generate

EXAMPLE_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXm"
    "RKuwHjG1Yu72IneyaQM=\n"
)
LOG = "log2025-1.rekor.sigstore.dev"
LOG_SPKI = b64decode("MCowBQYDK2VwAyEAt8rlp1knGwjfbcXAYPYAkn0XiLz1x8O4t0YkEhie244=")
LOG_ID = b64decode("zxGZFVvd0FEmjR8WrFwMdcAJ9vtaY/QXf44Y1wUeP6A=")
LOG_VKEY = "log2025-1.rekor.sigstore.dev+cf119915+AbfK5adZJxsI323FwGD2AJJ9F4i89cfDuLdGJBIYntuO"
V1_SPKI = b64decode(
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE2G2Y+2tabdTV5BcGiBIx0a9fAFwrkBbmLSGtks4L3qX6yYY0zufB"
    "nhC8Ur/iy55GhWP/9A/bY2LhC30M9+RYtw=="
)


def malformed(envelope: str) -> None:
    """Hold that this is no note."""
    with pytest.raises(MalformedError) as error:
        parse_note(envelope)
    assert error.value.code in ("NOTE_MALFORMED", "LIMIT_EXCEEDED")


def refused(note: Note, vkey: str) -> str:
    """Give the code that the note is refused with."""
    with pytest.raises(VerificationError) as error:
        parse_vkey(vkey).check(note)
    return error.value.code


def test_published_example() -> None:
    """The example of the specification verifies, and is written again byte for byte."""
    note = parse_note(EXAMPLE)
    parse_vkey(EXAMPLE_VKEY).check(note)
    assert note.text == "This is an example message.\n"
    assert encode_note(note.text, note.signatures) == EXAMPLE


def test_log_key_id() -> None:
    """A Rekor v2 log's id is the whole key id of its note key; its vkey is the published one."""
    key = load_public_key(LOG_SPKI)
    assert note_key_id(LOG, key) == LOG_ID
    assert encode_vkey(LOG, key) == LOG_VKEY
    verifier = parse_vkey(LOG_VKEY)
    assert (verifier.name, verifier.key, verifier.hint) == (LOG, key, LOG_ID[:4])


@pytest.mark.parametrize(
    "vkey",
    [
        "log2026-1.rekor.example.com+255863ba+AZZYxAFIyKY08rDUavOOt4KVXgtlWkxTHGcHGVj6Gvrf",
        "rekor-local+d80b4420+AURLycjWRo1+gdwwCLg9wU4PayMFdNBmPF4ORVPiBQ1E",
        "rekor-witness-test+a478f5cd+AUtKAvrTeY7srtAMfP5JCUOkZoU+A7F5VA094y5LGr89",
    ],
)
def test_vkey(vkey: str) -> None:
    """Verifier keys whose base64 holds a plus itself are split at the first two."""
    verifier = parse_vkey(vkey)
    assert encode_vkey(str(verifier.name), verifier.key) == vkey


@pytest.mark.parametrize(
    "vkey",
    [
        "", "a", "a+b", "a+530d903a", "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        EXAMPLE_VKEY.replace("530d903a", "530d903b"),
        EXAMPLE_VKEY.replace("530d903a", "530D903A"),
        EXAMPLE_VKEY.replace("+Aeky", "+Beky"), EXAMPLE_VKEY + "=", "a b" + EXAMPLE_VKEY,
        "a+00000000+", "a+00000000+AQ==", "a+00000000+Ag==", "a+00000000+/w==",
        "a+00000000+!", "a+00000000+é",
    ],
)  # fmt: skip
def test_not_a_vkey(vkey: str) -> None:
    """A verifier key with another hint, type or form is refused."""
    with pytest.raises((MalformedError, VerificationError)) as error:
        parse_vkey(vkey)
    assert error.value.code in ("NOTE_MALFORMED", "KEY_UNREADABLE")


def test_ecdsa_key_id() -> None:
    """The key id of an ECDSA key is the hash of the key alone, name or no name."""
    key = load_public_key(V1_SPKI)
    log_id = b64decode("wNI9atQGlz+VWfO6LRygH4QUfY/8W4RFwiT5i5WRgB0=")
    assert note_key_id("any", key) == note_key_id("other", key) == log_id
    assert rekor_v1_verifier(key).hint == log_id[:4]


def test_rsa_key_id() -> None:
    """The key id of an RSA key has a type and an identifier of its own, except under Rekor v1."""
    key = generate("rsa-2048").public_key
    hashed = b"log\n\xffPKIX-RSA-PKCS#1v1.5" + key.spki
    assert note_key_id("log", key) == sha256(hashed).digest()
    assert rekor_v1_verifier(key).hint == sha256(key.spki).digest()[:4]


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa-p256", "rsa-2048"])
def test_sign(kind: str) -> None:
    """A note that we sign is read and checked, by a verifier key too."""
    signer = note_signer("example.com/log", generate(kind))
    text = "one\n\ntwo\n"
    note = parse_note(encode_note(text, [signer.sign(text)]))
    assert note.text == text
    parse_vkey(encode_vkey(signer.name, signer.signer.public_key)).check(note)


@pytest.mark.parametrize("kind", ["ecdsa-p384", "ecdsa-p521"])
def test_sign_with_larger_curves(kind: str) -> None:
    """Notes are over SHA-256 whatever the curve; a signer with another hash is refused."""
    with pytest.raises(VerificationError):
        note_signer("log", generate(kind))
    old = by_name(f"PKIX_ECDSA_{kind[-4:].upper()}_SHA_256")
    signer = note_signer("log", generate(kind, old))
    note = parse_note(encode_note("x\n", [signer.sign("x\n")]))
    rekor_v1_verifier(signer.signer.public_key).check(note)


def test_keys_that_sign_no_notes() -> None:
    """ML-DSA keys make cosignatures only, and Ed25519ph is no note signature."""
    with pytest.raises(VerificationError):
        note_verifier("log", generate("ml-dsa-44").public_key)
    with pytest.raises(VerificationError):
        note_key_id("log", generate("ml-dsa-44").public_key)
    with pytest.raises(VerificationError):
        note_signer("log", generate("ed25519", by_name("PKIX_ED25519_PH")))
    with pytest.raises(AssertionError):
        note_signer("a name", generate("ed25519"))


def line(name: str = "example.com/foo", octets: bytes = b"abcde") -> NoteSignature:
    """Make a signature line of nobody."""
    return NoteSignature(name, octets[:4], octets[4:])


def test_lines_of_others() -> None:
    """Unknown lines are ignored in any order: other name, other hint, same name other hint."""
    good = parse_note(EXAMPLE)
    mine = good.signatures[0]
    strangers = (
        line("witness.example"),
        line("example.com/foo"),
        NoteSignature("example.org/foo", mine.key_hint, b"bad"),
    )
    parse_vkey(EXAMPLE_VKEY).check(Note(good.text, (*strangers, mine, *strangers)))
    assert refused(Note(good.text, strangers), EXAMPLE_VKEY) == "CHECKPOINT_KEYHINT"


def test_each_known_line_must_verify() -> None:
    """One bad line by a known key spoils the note, though another verifies."""
    good = parse_note(EXAMPLE)
    mine = good.signatures[0]
    bad = NoteSignature(mine.name, mine.key_hint, mine.signature[::-1])
    for signatures in ((mine, bad), (bad, mine), (bad,)):
        assert refused(Note(good.text, signatures), EXAMPLE_VKEY) == "CHECKPOINT_SIGNATURE"


def test_changed_text() -> None:
    """Text that was not signed is refused."""
    note = parse_note(EXAMPLE.replace("example message", "other message"))
    assert refused(note, EXAMPLE_VKEY) == "CHECKPOINT_SIGNATURE"


def test_last_empty_line_separates() -> None:
    """The text may hold empty lines, and lines that look like signatures."""
    text = "a\n\n— example.com/foo YWJjZGVm\n\n\nb\n"
    note = parse_note(encode_note(text, [line()]))
    assert note.text == text
    assert note.signatures == (line(),)


@pytest.mark.parametrize(
    "envelope",
    [
        "", "\n", "\n\n", "text\n", "text\n\n", EXAMPLE[:-1], EXAMPLE + "\n", EXAMPLE + "x\n",
        EXAMPLE.replace("\n\n", "\n"), EXAMPLE.replace("\n", "\r\n"), EXAMPLE.replace("—", "-"),
        EXAMPLE.replace("— ", "—"), EXAMPLE.replace("— ", "—  "), EXAMPLE.replace("foo ", "foo  "),
        EXAMPLE.replace("foo", "f+o"), EXAMPLE.replace("foo", "f\u00a0o"),
        EXAMPLE.replace("This", "This\t"), EXAMPLE.replace("This", "\x00"),
        EXAMPLE.replace("This", "\ud800"), EXAMPLE.replace("aQM=", "aQM"),
        EXAMPLE.replace("aQM=", "aQM= "), EXAMPLE.replace("Uw2Q", "Uw2-"),
        "text\n\n— name YWJjZA==\n", "text\n\n— name \n", "text\n\n— name\n",
        "text\n\n—  YWJjZGU=\n", "text\n\n— name YWJjZGVm=\n",
        "text\n\n" + "— name YWJjZGU=\n" * (MAX_SIGNATURES + 1), "x" * 1_000_001,
    ],
)  # fmt: skip
def test_malformed(envelope: str) -> None:
    """Each rule of the form has a note that breaks it alone."""
    malformed(envelope)


def test_nothing_but_lines() -> None:
    """Signature lines without a text, or with another ending, are no note."""
    line = EXAMPLE.partition("\n\n")[2]
    malformed(line)
    malformed(f"\n{line}")
    malformed(EXAMPLE[:-1] + "A")


def test_size() -> None:
    """A note has at most a million characters, or as many as the caller says."""
    assert parse_note(EXAMPLE, max_bytes=len(EXAMPLE)).signatures
    for envelope, limit in ((EXAMPLE, len(EXAMPLE) - 1), ("x" * MAX_NOTE_BYTES + EXAMPLE, None)):
        with pytest.raises(MalformedError) as error:
            parse_note(envelope) if limit is None else parse_note(envelope, max_bytes=limit)
        assert error.value.code == "LIMIT_EXCEEDED"


def test_many_signatures() -> None:
    """A hundred lines are read."""
    assert len(parse_note("text\n\n" + "— name YWJjZGU=\n" * MAX_SIGNATURES).signatures) == 100


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.just("\n")).map(
    lambda text: text + "\n"
)
# All that is printable, but for spaces and the plus.
name_characters = st.characters(exclude_categories=["C", "Z"], exclude_characters="+")
names = st.text(name_characters, min_size=1, max_size=9).filter(is_note_name)


@given(texts, st.lists(st.builds(line, names, st.binary(min_size=5, max_size=9)), min_size=1))
def test_round_trip(text: str, lines: list[NoteSignature]) -> None:
    """A note is read back as it was written."""
    assert parse_note(encode_note(text, lines[:MAX_SIGNATURES])) == Note(
        text, tuple(lines[:MAX_SIGNATURES])
    )


@given(st.text(max_size=80), st.booleans())
def test_garbage(text: str, end: bool) -> None:
    """Garbage raises our error and nothing else."""
    malformed("text\n\n" + text + ("\n" if end else ""))


def test_seeded_log() -> None:
    """A log key from a published seed has the published id and signature."""
    private = Ed25519PrivateKey.from_private_bytes(
        sha256(b"rekor dossier example v2 log key").digest()
    )
    signer = note_signer("log2026-1.rekor.example.com", PrivateKeySigner(private))
    text = "log2026-1.rekor.example.com\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    assert encode_note(text, [signer.sign(text)]) == (
        text
        + "\n— log2026-1.rekor.example.com JVhjui9pbZRfuCigp9O3FvxHpn/EDZ9InQrTRKfYjNYRR1x/KZV7"
        "LFrJr/W4Fy/+bJnJPMSLty4X/hBX600dhVO7Kwc=\n"
    )
    with pytest.raises(AssertionError):
        encode_note("no newline", [])
