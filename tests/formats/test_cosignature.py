"""Vectors: the worked examples of C2SP tlog-cosignature, whose keys come from named seeds."""

from base64 import b64encode
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import MalformedError, VerificationError
from touchplate.formats.checkpoint import encode_checkpoint, parse_checkpoint
from touchplate.formats.cosignature import (
    MAX_NAME_BYTES,
    MAX_TIME,
    Cosigner,
    cosignature_signer,
    cosigned_message,
    cosigner,
    encode_cosigner,
    parse_cosigner,
    subtree_message,
)
from touchplate.formats.note import Note, NoteSignature, encode_note, encode_signature, parse_note
from touchplate.keys.algorithms import by_name
from touchplate.keys.signer import PrivateKeySigner, generate

NAME = "witness.example.com/w1"
TIME = 1767225600
VKEY = "witness.example.com/w1+31e96a51+BHgY7bPqUzjRWeopGmw1n5wgwuz46pBARk1j2QjmcZoB"
OLD_VKEY = "witness.example.com/w1+24cb9df5+AXgY7bPqUzjRWeopGmw1n5wgwuz46pBARk1j2QjmcZoB"
SEED = sha256(b"rekor dossier example witness key").digest()
MLDSA_SEED = sha256(b"rekor dossier example mldsa key").digest()
TEXT = "log2026-1.rekor.example.com\n2\n2whfSyq+C0UXUNL2Qwo3hWYCrzMuBu2KLciw0D8k0TI=\n"
LOG_LINE = (
    "— log2026-1.rekor.example.com JVhjukrpAbg+NwoXLy5v6x/QOTVYbXbfSqbz/SbgBjtf829Rh8w2o6G1ka7o"
    "dHTfabDF5MF0n6Nym9mYLQ3XfthlkAo=\n"
)
WITNESS_LINE = (
    "— witness.example.com/w1 MelqUQAAAABpVbkAByfAg3e3T18wIecibUEKedgdsiV0S1Uh/y5mOG4nbWEQ5ppB"
    "BZU5RsVGXYBdZ3cddbQUaEgJE/XcgYJFq9IlAA==\n"
)
CHECKPOINT = f"{TEXT}\n{LOG_LINE}{WITNESS_LINE}"
MLDSA_MESSAGE = bytes.fromhex(
    "737562747265652f76310a00167769746e6573732e6578616d706c652e636f6d2f6d31000000006955b900"
    "1b6c6f67323032362d312e72656b6f722e6578616d706c652e636f6d"
    "00000000000000000000000000000002"
    "db085f4b2abe0b451750d2f6430a37856602af332e06ed8a2dc8b0d03f24d132"
)


def signed(line: NoteSignature, text: str = TEXT) -> Note:
    """Put a line under the checkpoint."""
    return parse_note(encode_note(text, [line]))


def refused(known: Cosigner, note: Note) -> None:
    """Hold that a line of the cosigner in the note does not verify."""
    with pytest.raises(VerificationError) as error:
        known.find(note)
    assert error.value.code == "CHECKPOINT_SIGNATURE"


def test_worked_message() -> None:
    """The signed message is the published one, and so is the line, since Ed25519 has no chance."""
    assert cosigned_message(TEXT, TIME).startswith(
        b"cosignature/v1\ntime 1767225600\nlog2026-1.rekor.example.com\n2\n2whf"
    )
    signer = cosignature_signer(NAME, PrivateKeySigner(Ed25519PrivateKey.from_private_bytes(SEED)))
    line = signer.sign(parse_note(CHECKPOINT), TIME)
    assert encode_signature(line) == WITNESS_LINE


@pytest.mark.parametrize("vkey", [VKEY, OLD_VKEY])
def test_worked_line(vkey: str) -> None:
    """The published line verifies with the key as cosigners write it, and as old lists do."""
    (found,) = parse_cosigner(vkey).find(parse_note(CHECKPOINT))
    assert (found.name, found.time) == (NAME, TIME)
    assert encode_signature(found.line) == WITNESS_LINE
    assert encode_cosigner(parse_cosigner(vkey)) == VKEY


def test_published_vkey() -> None:
    """A published key of type 0x04 reads and is written the same."""
    text = "witness.example.org+b8a2cf20+BFLN3yikSfFkVAJtrnh/CiY3Zozkoy7clp+P7XB28qUN"
    assert encode_cosigner(parse_cosigner(text)) == text


def test_mldsa_message() -> None:
    """The message of an ML-DSA-44 cosigner is the published one, octet for octet."""
    key = PrivateKeySigner(MLDSA44PrivateKey.from_seed_bytes(MLDSA_SEED))
    assert sha256(key.public_key.raw()).hexdigest() == (
        "ea87922c3d7da488ed5af8deded429921e3457999e6d68162480b9313b06e006"
    )
    assert cosigner("witness.example.com/m1", key.public_key).hint.hex() == "6f6d4ab3"
    checkpoint = parse_checkpoint(parse_note(CHECKPOINT))
    message = subtree_message("witness.example.com/m1", checkpoint, TIME)
    assert message == MLDSA_MESSAGE
    assert sha256(message).hexdigest() == (
        "091887a51eeea9bfa35ecc3c9ea8167ad95502775b856aa63c940b12572d54d5"
    )


@pytest.mark.parametrize("kind", ["ed25519", "ml-dsa-44"])
def test_sign_and_check(kind: str) -> None:
    """What a cosigner signs is found and proven by its verifier key, at its length."""
    signer = cosignature_signer("w.example/ü", generate(kind))
    known = parse_cosigner(encode_cosigner(cosigner(signer.name, signer.signer.public_key)))
    line = signer.sign(parse_note(CHECKPOINT), TIME)
    (found,) = known.find(signed(line))
    assert (found.name, found.time, found.line) == (signer.name, TIME, line)
    assert len(encode_signature(line).encode()) == known.line_bytes
    refused(known, signed(line, TEXT.replace("\n2\n", "\n3\n")))


@pytest.mark.parametrize("kind", ["ed25519", "ml-dsa-44"])
@given(place=st.integers(0, 71), bit=st.integers(0, 7))
def test_flipped_bit(kind: str, place: int, bit: int) -> None:
    """A line that differs in any bit of time or signature does not verify."""
    signer = SIGNERS[kind]
    line = LINES[kind]
    changed = bytearray(line.signature)
    changed[place] ^= 1 << bit
    known = cosigner(signer.name, signer.signer.public_key)
    refused(known, signed(line._replace(signature=bytes(changed))))


SIGNERS = {kind: cosignature_signer("w", generate(kind)) for kind in ("ed25519", "ml-dsa-44")}
LINES = {kind: signer.sign(parse_note(CHECKPOINT), TIME) for kind, signer in SIGNERS.items()}


def test_extension_lines() -> None:
    """An Ed25519 cosignature covers extension lines, an ML-DSA one does not."""
    more = TEXT + "an extension\n"
    for kind, line in LINES.items():
        known = cosigner("w", SIGNERS[kind].signer.public_key)
        if kind == "ed25519":
            refused(known, signed(line, more))
        else:
            assert known.find(signed(line, more))


@pytest.mark.parametrize("octets", [b"12345678", b"x" * 71, b"x" * 73, b"\x80" + b"x" * 71, b"x"])
def test_length_and_time(octets: bytes) -> None:
    """A known line of another length, or with a time above 2^63 - 1, is refused."""
    known = parse_cosigner(VKEY)
    refused(known, signed(NoteSignature(NAME, known.hint, octets)))


@pytest.mark.parametrize("time", [0, 1, MAX_TIME])
def test_times(time: int) -> None:
    """Every time from 0 to 2^63 - 1 can be signed and is read back."""
    signer = SIGNERS["ed25519"]
    line = signer.sign(parse_note(CHECKPOINT), time)
    (found,) = cosigner("w", signer.signer.public_key).find(signed(line))
    assert found.time == time


def test_no_such_time() -> None:
    """A time outside of it cannot be signed."""
    for time in (-1, MAX_TIME + 1):
        with pytest.raises(AssertionError):
            SIGNERS["ed25519"].sign(parse_note(CHECKPOINT), time)


def test_lines_of_others() -> None:
    """Lines with another name or another hint are not looked at, wherever they stand."""
    known = parse_cosigner(VKEY)
    mine = parse_note(CHECKPOINT).signatures[1]
    strangers = [
        mine._replace(name="witness.example.com/w2", signature=b"bad"),
        mine._replace(key_hint=b"\x24\xcb\x9d\xf5", signature=b"bad"),
    ]
    note = parse_note(encode_note(TEXT, [*strangers, mine, *strangers]))
    assert [each.time for each in known.find(note)] == [TIME]
    assert known.find(parse_note(encode_note(TEXT, strangers))) == ()


def test_each_known_line_must_verify() -> None:
    """A second, bad line by the same key spoils the note."""
    known = parse_cosigner(VKEY)
    mine = parse_note(CHECKPOINT).signatures[1]
    bad = mine._replace(signature=mine.signature[::-1])
    for lines in ([mine, bad], [bad, mine]):
        refused(known, parse_note(encode_note(TEXT, lines)))


def test_not_a_checkpoint() -> None:
    """A cosigned text that is no checkpoint is malformed."""
    known = parse_cosigner(VKEY)
    note = parse_note(CHECKPOINT)
    with pytest.raises(MalformedError):
        known.find(note._replace(text="hello\n"))


@pytest.mark.parametrize(
    "vkey",
    [
        "", "a", "a+b", "a+31e96a51", VKEY.replace("31e96a51", "31e96a52"),
        VKEY.replace("31e96a51", "31E96A51"), VKEY + "=", VKEY[:-1], "a b" + VKEY,
        VKEY.replace("+BHgY", "+BXgY"), "w+00000000+", "w+00000000+BA==", "w+00000000+!",
        VKEY.replace("witness.example.com", "witness.example.org"),
        VKEY.replace("QjmcZoB", "QjmcZoA"), "\ud800" + VKEY[1:], "x" * 5000,
        # A key of a log that cannot cosign: ECDSA, type 0x02.
        "w+00000000+" + b64encode(b"\x02" + generate("ecdsa-p256").public_key.spki).decode(),
    ],
)  # fmt: skip
def test_not_a_vkey(vkey: str) -> None:
    """A verifier key with another hint, type or form is refused."""
    with pytest.raises((MalformedError, VerificationError)) as error:
        parse_cosigner(vkey)
    assert error.value.code in ("NOTE_MALFORMED", "KEY_UNREADABLE", "LIMIT_EXCEEDED")


def test_vkey_base64_has_one_text() -> None:
    """Base64 with bits after its last byte is refused: each key has one text."""
    key = generate("ml-dsa-44").public_key
    text = encode_cosigner(cosigner("m", key))
    # 1313 octets end in three letters and "=": the last letter has two bits that mean nothing.
    changed = text[:-2] + chr(ord(text[-2]) + 1) + "="

    with pytest.raises(MalformedError, match="after its last byte"):
        parse_cosigner(changed)


def test_keys_that_do_not_cosign() -> None:
    """Only Ed25519 and ML-DSA-44 keys cosign, under a name that a note can have."""
    with pytest.raises(VerificationError):
        cosigner("w", generate("ecdsa-p256").public_key)
    with pytest.raises(VerificationError):
        cosignature_signer("w", generate("ml-dsa-65"))
    with pytest.raises(VerificationError):
        cosignature_signer("w", generate("ed25519", by_name("PKIX_ED25519_PH")))
    with pytest.raises(AssertionError):
        cosignature_signer("a name", generate("ed25519"))
    with pytest.raises(MalformedError):
        cosigner("w" * (MAX_NAME_BYTES + 1), generate("ed25519").public_key)


def test_origin_too_long_for_mldsa() -> None:
    """An origin above 255 octets has no ML-DSA message: its length is one octet."""
    note = parse_note(encode_note(encode_checkpoint("o" * 256, 1, bytes(32)), LINES.values()))
    with pytest.raises(MalformedError):
        SIGNERS["ml-dsa-44"].sign(note, TIME)
    assert SIGNERS["ed25519"].sign(note, TIME)
