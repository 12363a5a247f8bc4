"""The log's checkpoint and the proof under it."""

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes

from tests.verify.certificates import b64, new_key, sign, spki
from tests.verify.mint import NAME, V1_LOG, V2_LOG, Mint, only_entry, refused
from tests.verify.promises import note_id, note_line


def resigned(mint: Mint, members: dict[str, Any], text: str, *, name: str = "") -> dict[str, Any]:
    """Put a checkpoint of this text into the bundle, signed by its log."""
    entry = only_entry(members)
    is_v2 = entry["kindVersion"]["version"] == "0.0.2"
    key = mint.v2_key if is_v2 else mint.v1_key
    hint = base64.b64decode(entry["logId"]["keyId"])[:4]
    line = note_line(
        name or (V2_LOG if is_v2 else V1_LOG), hint, sign(key, text.encode(), hashes.SHA256())
    )
    entry["inclusionProof"]["checkpoint"]["envelope"] = f"{text}\n{line}"
    return members


def text_of(members: dict[str, Any]) -> str:
    """Give the signed text of the bundle's checkpoint."""
    envelope: str = only_entry(members)["inclusionProof"]["checkpoint"]["envelope"]
    return envelope.partition("\n\n")[0] + "\n"


@pytest.mark.parametrize("shape", ["v1-message", "v2-message"])
def test_cosigned(mint: Mint, shape: str) -> None:
    """Lines of strangers, before and after the log's own, change nothing."""
    members = mint.bundle(shape)
    proof = only_entry(members)["inclusionProof"]
    text, _, lines = proof["checkpoint"]["envelope"].partition("\n\n")
    stranger = note_line("witness.example.test", b"abcd", b"\x01" * 72)
    same_name = note_line(V2_LOG, b"efgh", b"\x02" * 64)
    proof["checkpoint"]["envelope"] = f"{text}\n\n{stranger}{same_name}{lines}{stranger}"

    assert mint.verify(members).identity == NAME


def test_each_line_of_the_log_must_hold(mint: Mint) -> None:
    """Two lines with the log's name and hint, one of them wrong, are refused."""
    members = mint.bundle()
    checkpoint = only_entry(members)["inclusionProof"]["checkpoint"]
    checkpoint["envelope"] += note_line(V2_LOG, note_id("", mint.v2_key)[:4], b"\x01" * 70)

    assert refused(mint, members) == "CHECKPOINT_SIGNATURE"


def test_other_tree(mint: Mint) -> None:
    """A genuine checkpoint of another tree is not this proof's."""
    for shape in ("v1-message", "v2-message"):
        members, second = mint.bundle(shape), mint.bundle(shape)
        ours, theirs = (only_entry(m)["inclusionProof"] for m in (members, second))
        ours["checkpoint"] = theirs["checkpoint"]
        assert refused(mint, members) == "CHECKPOINT_ROOT_MISMATCH"
        ours["rootHash"] = theirs["rootHash"]
        assert refused(mint, members) == "INCLUSION_PROOF_INVALID"


@pytest.mark.parametrize("shape", ["v1-message", "v2-message"])
def test_size(mint: Mint, shape: str) -> None:
    """The size stated beside the checkpoint must be the signed one."""
    members = mint.bundle(shape)
    only_entry(members)["inclusionProof"]["treeSize"] = "6"

    assert refused(mint, members) == "CHECKPOINT_ROOT_MISMATCH"


def test_what_v2_may_leave_out(mint: Mint) -> None:
    """Of a v2 proof size, root and index stand in the checkpoint and the entry: v1 needs them."""
    for name in ("treeSize", "rootHash", "logIndex"):
        members, old = mint.bundle("v2-message"), mint.bundle("v1-message")
        del only_entry(members)["inclusionProof"][name]
        del only_entry(old)["inclusionProof"][name]
        assert mint.verify(members).identity == NAME
        assert refused(mint, old) in {"CHECKPOINT_ROOT_MISMATCH", "INCLUSION_PROOF_INVALID"}


@pytest.mark.parametrize("index", ["0", "3", "5", "9223372036854775807"])
def test_index(mint: Mint, index: str) -> None:
    """The leaf is proven at its own index and no other."""
    v1, v2 = mint.bundle("v1-message"), mint.bundle("v2-message")
    only_entry(v1)["inclusionProof"]["logIndex"] = index
    only_entry(v2)["logIndex"] = index

    assert refused(mint, v1) == "INCLUSION_PROOF_INVALID"
    assert refused(mint, v2) == "INCLUSION_PROOF_INVALID"


@pytest.mark.parametrize(
    ("shape", "text", "code"),
    [
        ("v2-message", "log-v1.example.test\n{rest}", "CHECKPOINT_MALFORMED"),
        ("v2-message", "log-v2.example.test - 1\n{rest}", "CHECKPOINT_MALFORMED"),
        ("v1-message", "somebody else\n{rest}", None),
        ("v1-message", "log-v1.example.test - 1\n{rest}Timestamp: 1689177396617352539\n", None),
    ],
)
def test_origin(mint: Mint, shape: str, text: str, code: str | None) -> None:
    """A v2 checkpoint's origin is the log's name; a v1 one's holds a tree id, and more lines."""
    members = mint.bundle(shape)
    rest = text_of(members).partition("\n")[2]
    resigned(mint, members, text.format(rest=rest))

    if code is None:
        assert mint.verify(members).identity == NAME
    else:
        assert refused(mint, members) == code


def test_name_of_the_line(mint: Mint) -> None:
    """A v1 log is known by its key whatever it calls itself; a v2 log by name and key."""
    v1, v2 = mint.bundle("v1-message"), mint.bundle("v2-message")

    renamed = resigned(mint, v1, text_of(v1), name="localhost:8000")
    assert mint.verify(renamed).identity == NAME
    assert refused(mint, resigned(mint, v2, text_of(v2), name=V1_LOG)) == "CHECKPOINT_KEYHINT"


def test_key_of_the_line(mint: Mint) -> None:
    """A line with the right hint must be by the log's key."""
    members = mint.bundle("v2-message")
    only_entry(members)["logId"]["keyId"] = b64(note_id("", mint.v2_key))
    forger = mint.with_(v2_key=new_key("p256", 600))
    text = text_of(members)
    line = note_line(V2_LOG, note_id("", mint.v2_key)[:4], sign(forger.v2_key, text.encode()))
    only_entry(members)["inclusionProof"]["checkpoint"]["envelope"] = f"{text}\n{line}"

    assert spki(forger.v2_key) != spki(mint.v2_key)
    assert refused(mint, members) == "CHECKPOINT_SIGNATURE"
