"""Vectors: checkpoints of an example log and of the public staging log."""

from base64 import b64decode, b64encode
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import MalformedError, TouchplateError, VerificationError
from touchplate.formats import checkpoint as checkpoint_module
from touchplate.formats.checkpoint import (
    MAX_CHECKPOINT_BYTES,
    Checkpoint,
    encode_checkpoint,
    open_checkpoint,
    parse_checkpoint,
)
from touchplate.formats.note import (
    Note,
    encode_note,
    note_signer,
    note_verifier,
    parse_vkey,
    rekor_v1_verifier,
)
from touchplate.keys.public import load_public_key
from touchplate.keys.signer import generate
from touchplate.merkle.tree import EMPTY_ROOT

VERIFIER = parse_vkey(
    "log2026-1.rekor.example.com+255863ba+AZZYxAFIyKY08rDUavOOt4KVXgtlWkxTHGcHGVj6Gvrf"
)
ENVELOPE = """log2026-1.rekor.example.com
2
2whfSyq+C0UXUNL2Qwo3hWYCrzMuBu2KLciw0D8k0TI=

— log2026-1.rekor.example.com JVhjukrpAbg+NwoXLy5v6x/QOTVYbXbfSqbz/SbgBjtf829Rh8w2o6G1ka7odHTfabDF5MF0n6Nym9mYLQ3XfthlkAo=
"""  # noqa: E501 - a signature line is one line
ROOT = bytes.fromhex("db085f4b2abe0b451750d2f6430a37856602af332e06ed8a2dc8b0d03f24d132")


def refused(envelope: str, *, v1: bool = False) -> str:
    """Give the code that the checkpoint is refused with."""
    with pytest.raises(TouchplateError) as error:
        open_checkpoint(envelope, VERIFIER, v1=v1)
    return error.value.code


def test_open() -> None:
    """The example log's checkpoint opens, and its text is written again byte for byte."""
    checkpoint = open_checkpoint(ENVELOPE, VERIFIER, v1=False)
    assert checkpoint == Checkpoint("log2026-1.rekor.example.com", 2, ROOT)  # type: ignore[arg-type]  # bytes
    text = encode_checkpoint(checkpoint.origin, checkpoint.size, checkpoint.root)
    assert ENVELOPE.startswith(text + "\n—")


def test_ecdsa_log() -> None:
    """The same origin under an ECDSA key, whose hint is the start of the key's hash."""
    spki = (
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEip+GHTbkN0TGSSQM6hO3K+UnGwepD7V9947Jm/uTxff7xxstuWEw"
        "0VBT55wCF7uz4aS+MQIY6QewAq/7W7kFig=="
    )
    key = load_public_key(b64decode(spki))
    verifier = note_verifier("log2026-1.rekor.example.com", key)
    assert verifier.hint == key.key_id[:4]
    envelope = (
        "log2026-1.rekor.example.com\n1\nRuJqlAyeMWZjYHXOZekzzqDFTew8V0O5/vDGSlzM7jA=\n\n"
        "— log2026-1.rekor.example.com RV6KnzBFAiEA3kA/QQrT/5aCTeNPitLr8pfioCsQ6LIV6W+ZbF62QJcCIE4x"
        "2xQLbJSft4fvdX5g6VgFwcWyrz6HzolPqU0Azgjw\n"
    )
    assert verifier.hint.hex() == "455e8a9f"
    assert open_checkpoint(envelope, verifier, v1=False).size == 1


def test_staging_log() -> None:
    """A checkpoint of the public staging log opens with the key that it publishes."""
    spki = "MCowBQYDK2VwAyEAPn+AREHoBaZ7wgS1zBqpxmLSGnyhxXj4lFxSdWVB8o8="
    key = load_public_key(b64decode(spki))
    name = "log2025-alpha1.rekor.sigstage.dev"
    envelope = (
        f"{name}\n736\nrs1YPY0ydAV0lxgfrq5pE4oRpUJwo3syeps5+eGUTDI=\n\n— {name} 8w1amdbj1mjNN674"
        "dHAkD92+QZoEgBC7o0mXYSTRluDjQrOPjrps3zQB9ut+ShLepyZPsWBDi5IB3yXyjgjQT6OG9A8=\n"
    )
    assert open_checkpoint(envelope, note_verifier(name, key), v1=False).size == 736


def test_other_key() -> None:
    """A log's line is found by its hint, not by trying keys."""
    stranger = note_verifier("log2026-1.rekor.example.com", generate("ed25519").public_key)
    with pytest.raises(VerificationError) as error:
        open_checkpoint(ENVELOPE, stranger, v1=False)
    assert error.value.code == "CHECKPOINT_KEYHINT"


def test_wrong_hint() -> None:
    """A right signature under a wrong hint is not the log's line."""
    envelope = ENVELOPE.replace("JVhjuk", "JVhjus")
    assert refused(envelope) == "CHECKPOINT_SIGNATURE"
    assert refused(ENVELOPE.replace("JVhj", "JVhk")) == "CHECKPOINT_KEYHINT"


def test_other_name() -> None:
    """Under Rekor v2 the name of the line counts; under v1 the hint alone does."""
    envelope = ENVELOPE.replace("— log2026-1.rekor.example.com", "— other.example")
    assert refused(envelope) == "CHECKPOINT_KEYHINT"
    assert open_checkpoint(envelope, VERIFIER, v1=True).size == 2


@pytest.mark.parametrize("v1", [True, False])
def test_origin(v1: bool) -> None:
    """Under Rekor v2 the origin is the log's name; under v1 it has the tree's id too."""
    signer = note_signer("log.example", generate("ecdsa-p256"))
    text = encode_checkpoint("log.example - 1193050959916656506", 0, EMPTY_ROOT)
    envelope = encode_note(text, [signer.sign(text)])
    key = signer.signer.public_key
    if v1:
        checkpoint = open_checkpoint(envelope, rekor_v1_verifier(key), v1=True)
        assert checkpoint.origin == "log.example - 1193050959916656506"
    else:
        with pytest.raises(MalformedError) as error:
            open_checkpoint(envelope, note_verifier("log.example", key), v1=False)
        assert error.value.code == "CHECKPOINT_MALFORMED"


@given(st.integers(0, ENVELOPE.index("\n\n")), st.characters(codec="utf-8"))
def test_changed_text(place: int, character: str) -> None:
    """Text changed anywhere is malformed or not signed."""
    changed = ENVELOPE[:place] + character + ENVELOPE[place + 1 :]
    if changed != ENVELOPE:
        assert refused(changed) in ("CHECKPOINT_MALFORMED", "CHECKPOINT_SIGNATURE")


ENCODED = b64encode(ROOT).decode()


@pytest.mark.parametrize(
    "text",
    [
        "\n", "origin\n", "origin\n2\n", f"\n2\n{ENCODED}\n", f"origin\n\n{ENCODED}\n",
        f"origin\n2\n{ENCODED}\n\nextension\n", f"origin\n+2\n{ENCODED}\n",
        f"origin\n-2\n{ENCODED}\n", f"origin\n02\n{ENCODED}\n", f"origin\n00\n{ENCODED}\n",
        f"origin\n 2\n{ENCODED}\n", f"origin\n2 \n{ENCODED}\n", f"origin\n2.0\n{ENCODED}\n",
        f"origin\n1_0\n{ENCODED}\n", f"origin\n\u0662\n{ENCODED}\n", f"origin\n²\n{ENCODED}\n",
        f"origin\n{2**63}\n{ENCODED}\n", f"origin\n{'9' * 5000}\n{ENCODED}\n",
        f"origin\n2\n{ENCODED[:-1]}\n", f"origin\n2\n{ENCODED} \n", "origin\n2\nYQ==\n",
        "origin\n2\n" + b64encode(ROOT + b"x").decode() + "\n", "origin\n2\n!\n",
        f"origin\n2\n{ENCODED.replace('+', '-')}\n",
    ],
)  # fmt: skip
def test_malformed(text: str) -> None:
    """Each rule of the form has a text that breaks it alone."""
    with pytest.raises(MalformedError) as error:
        parse_checkpoint(Note(text, ()))
    assert error.value.code == "CHECKPOINT_MALFORMED"


@pytest.mark.parametrize(
    "envelope",
    ["", ENVELOPE[:-1], ENVELOPE.replace("\n", "\r\n"), "x" * (MAX_CHECKPOINT_BYTES + 1)],
)
def test_malformed_note(envelope: str) -> None:
    """A note whose form does not hold is a malformed checkpoint."""
    assert refused(envelope) == "CHECKPOINT_MALFORMED"


@given(
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1),
    st.integers(0, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
    st.lists(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1)),
)
def test_round_trip(origin: str, size: int, root: bytes, extensions: list[str]) -> None:
    """A checkpoint is read back as it was written, extension lines and all."""
    read = parse_checkpoint(Note(encode_checkpoint(origin, size, root, extensions), ()))
    assert (read.origin, read.size, read.root) == (origin, size, root)
    assert read.extensions == tuple(extensions)


@pytest.mark.parametrize(
    ("origin", "size", "root", "extension"),
    [("", 0, ROOT, "x"), ("a\nb", 0, ROOT, "x"), ("a", -1, ROOT, "x"), ("a", 0, b"", "x"),
     ("a", 0, ROOT, ""), ("a", 0, ROOT, "x\ny")],
)  # fmt: skip
def test_encode_refuses(origin: str, size: int, root: bytes, extension: str) -> None:
    """What would not be read again is never written."""
    with pytest.raises(AssertionError):
        encode_checkpoint(origin, size, root, [extension])


def test_empty_root() -> None:
    """The root of the empty tree is the hash of nothing."""
    assert sha256(b"").digest() == EMPTY_ROOT


SIGNER = generate("ecdsa-p256")
NAME = "log.example"
TEXTS = [
    ("log.example\n7\n{root}\n", True),
    ("log.example - 42\n7\n{root}\n", True),
    ("log.example\n7\n{root}\nmore\n", False),
    ("log.example\n07\n{root}\n", False),
    ("log.example\n-7\n{root}\n", False),
    ("log.example\n9223372036854775808\n{root}\n", False),
    ("log.example\n\u0663\n{root}\n", False),
    ("log.example\n7\nAAAA\n", False),
    ("log.example\n7\n{root}=\n", False),
    ("log.example\n7\n", False),
    ("log\texample\n7\n{root}\n", False),
    ("log\x7fexample\n7\n{root}\n", False),
    ("l\u00f6g\n7\n{root}\n", True),
    ("\u2028\n7\n{root}\n", False),
    ("\ud800\n7\n{root}\n", False),
    ("\n7\n{root}\n", False),
    ("log.example\n\n7\n{root}\n", False),
]


def opening(way: str, envelope: str, *, v1: bool) -> Checkpoint | str | None:
    """Give what one of the ways says of a checkpoint by our key; its code if it refuses."""
    key = SIGNER.public_key
    verifier = rekor_v1_verifier(key) if v1 else note_verifier(NAME, key)
    found: Checkpoint | None
    try:
        found = getattr(checkpoint_module, way)(envelope, verifier, v1=v1)
    except TouchplateError as error:
        return error.code
    return found


@pytest.mark.parametrize("v1", [False, True])
@pytest.mark.parametrize("name", [NAME, "other.example", "l\u00f6g"])
@pytest.mark.parametrize(("text", "is_usual"), TEXTS)
def test_short_way(text: str, is_usual: bool, name: str, v1: bool) -> None:
    """A plain checkpoint is opened in the short way, as the general way opens it; no other is."""
    text = text.format(root=b64encode(ROOT).decode())
    octets = text.encode(errors="surrogatepass")
    key = SIGNER.public_key
    hint = (rekor_v1_verifier(key) if v1 else note_verifier(NAME, key)).hint
    line = b64encode(hint + SIGNER.sign(octets)).decode()
    envelope = f"{text}\n\u2014 {name} {line}\n"
    short = opening("_open_usual", envelope, v1=v1)
    general = opening("_open_any", envelope, v1=v1)
    is_named = name.isascii() if v1 else name == NAME and text.startswith(NAME + "\n")
    assert (short is not None) == (is_usual and is_named)
    assert short in (None, general)
    assert opening("open_checkpoint", envelope, v1=v1) == general


@pytest.mark.parametrize("v1", [False, True])
def test_short_way_at_each_character(v1: bool) -> None:
    """With any character changed or gone the short way knows nothing, or the general one agrees."""
    text = f"{NAME}\n7\n{b64encode(ROOT).decode()}\n"
    line = b64encode(SIGNER.public_key.key_id[:4] + SIGNER.sign(text.encode())).decode()
    envelope = f"{text}\n\u2014 {NAME} {line}\n"
    assert isinstance(opening("_open_usual", envelope, v1=v1), Checkpoint)
    for place in range(len(envelope)):
        for other in (
            "",
            "0",
            " ",
            "\n",
            "\t",
            "=",
            "\u2014",
            "\ud800",
            chr(ord(envelope[place]) ^ 1),
        ):
            changed = envelope[:place] + other + envelope[place + 1 :]
            short = opening("_open_usual", changed, v1=v1)
            if short is not None:
                assert short == opening("_open_any", changed, v1=v1)
                # In a v1 note the line's name may be any, and the last bits of base64 as well.
                assert changed.startswith(text)
