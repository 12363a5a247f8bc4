from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.clients.v1_dump import check_promise, read_checkpoint, read_dump
from touchplate.errors import MalformedError, TouchplateError, VerificationError
from touchplate.formats.checkpoint import encode_checkpoint
from touchplate.formats.note import NoteSignature, encode_note
from touchplate.keys.signer import generate
from touchplate.merkle.tree import leaf_hash

KEY = generate("ecdsa-p256")
OTHER = generate("ecdsa-p256")
LOG_ID = KEY.public_key.key_id.hex()
TREE = "00000000000000ff"

Members = dict[str, Any]


def line(number: int, *, first: int = 0, change: Callable[[Members], None] | None = None) -> bytes:
    """Make the line of an entry, as a log answers it."""
    body = b'{"apiVersion":"0.0.1","kind":"rpm","spec":%d}' % number
    index = first + number
    text = b64encode(body).decode()
    payload = f'{{"body":"{text}","integratedTime":{number},"logID":"{LOG_ID}","logIndex":{index}}}'
    entry: Members = {
        "body": text,
        "integratedTime": number,
        "logID": LOG_ID,
        "logIndex": index,
        "verification": {
            "inclusionProof": {"logIndex": number},
            "signedEntryTimestamp": b64encode(KEY.sign(payload.encode())).decode(),
        },
    }
    answer = {TREE + leaf_hash(body).hex(): entry}
    if change is not None:
        change(answer)
    return json.dumps(answer).encode() + b"\n"


def entry_of(answer: Members) -> Members:
    """Give what is under the id."""
    (entry,) = answer.values()
    assert isinstance(entry, dict)
    return entry


def changed(**members: object) -> Callable[[Members], None]:
    """Change members of the entry; None takes one out."""

    def change(answer: Members) -> None:
        for name, value in members.items():
            entry_of(answer).pop(name, None)
            if value is not None:
                entry_of(answer)[name] = value

    return change


def renamed(name: str) -> Callable[[Members], None]:
    """Change the id."""

    def change(answer: Members) -> None:
        (value,) = answer.values()
        answer.clear()
        answer[name] = value

    return change


@pytest.mark.parametrize("first", [0, 4_163_431])
def test_read(first: int) -> None:
    """Entries come byte for byte, with index, time and promise."""
    entries = list(read_dump(line(number, first=first) for number in range(5)))

    assert [entry.tree_index for entry in entries] == list(range(5))
    assert [entry.log_index for entry in entries] == list(range(first, first + 5))
    assert [entry.integrated_time for entry in entries] == list(range(5))
    assert entries[3].body == b'{"apiVersion":"0.0.1","kind":"rpm","spec":3}'
    assert {entry.tree_id for entry in entries} == {255}
    for entry in entries:
        check_promise(entry, KEY.public_key)


def test_little() -> None:
    """Ids without a tree, and entries without proofs and promises, are read."""

    def change(answer: Members) -> None:
        (name,) = answer
        renamed(name[16:])(answer)
        changed(verification=None)(answer)

    (entry,) = read_dump([line(0, first=7, change=change)])
    assert (entry.tree_id, entry.tree_index, entry.log_index, entry.promise) == (None, 0, 7, b"")


def test_order() -> None:
    """Gaps, repetitions and another order are refused, with the line."""
    for numbers in ([0, 1, 3], [0, 1, 1], [1, 2], [0, 2, 1]):
        with pytest.raises(VerificationError, match="line") as refused:
            list(read_dump(line(number) for number in numbers))
        assert refused.value.code == "TLOG_INVALID"


@pytest.mark.parametrize(
    "change",
    [
        renamed(TREE + "00" * 32),
        renamed(TREE[:15] + "e" + leaf_hash(b'{"apiVersion":"0.0.1","kind":"rpm","spec":1}').hex()),
        changed(body=b64encode(b"another").decode()),
        changed(logID="00" * 32),
    ],
    ids=["id", "tree", "body", "key"],
)
def test_not_the_entry(change: Callable[[Members], None]) -> None:
    """A body of another id, another tree and another key are refused."""
    with pytest.raises(VerificationError, match="line 2") as refused:
        list(read_dump([line(0), line(1, change=change)]))
    assert refused.value.code == "TLOG_INVALID"


@pytest.mark.parametrize(
    "bad",
    [
        *(b"\n", b"[]\n", b"{}\n", b"null\n", b"\xff\n", line(1)[:50], b"{" + line(1)),
        line(1, change=renamed("xy" * 40)),
        line(1, change=renamed("ab" * 33)),
        line(1, change=changed(integratedTime=None)),
        line(1, change=changed(integratedTime=-1)),
        line(1, change=changed(integratedTime=10**12)),
        line(1, change=changed(integratedTime=1.5)),
        line(1, change=changed(logIndex=None)),
        line(1, change=changed(logIndex=2**63)),
        line(1, change=changed(logID="AB" * 32)),
        line(1, change=changed(logID="ab")),
        line(1, change=changed(body="*")),
        line(1, change=changed(verification=[])),
        line(1, change=lambda answer: answer.update({"second": {}})),
    ],
)
def test_malformed(bad: bytes) -> None:
    """Lines of another form are refused, with their number."""
    with pytest.raises(MalformedError, match="line 2"):
        list(read_dump([line(0), bad]))


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """No line ends in another error than ours."""
    with pytest.raises(TouchplateError):
        list(read_dump([data]))


def test_promise() -> None:
    """A promise of another key, index or time, or none, does not hold."""
    (entry,) = read_dump([line(0)])
    for bad, key in (
        (entry, OTHER.public_key),
        (entry._replace(log_index=1), KEY.public_key),
        (entry._replace(integrated_time=1), KEY.public_key),
        (entry._replace(promise=b""), KEY.public_key),
        (entry, generate("ed25519").public_key),
    ):
        with pytest.raises(VerificationError) as refused:
            check_promise(bad, key)
        assert refused.value.code == "SET_INVALID"


def signed_checkpoint() -> str:
    """Sign a checkpoint as version 1 does."""
    text = encode_checkpoint("rekor.example.org - 255", 5, b"\7" * 32)
    hint = KEY.public_key.key_id[:4]
    return encode_note(text, [NoteSignature("rekor.example.org", hint, KEY.sign(text.encode()))])


def test_checkpoint() -> None:
    """A checkpoint is read from the note or from LogInfo, and held to the key."""
    envelope = signed_checkpoint()
    info = json.dumps({"treeID": "255", "treeSize": 9, "signedTreeHead": envelope})
    for data in (envelope, info):
        for key in (None, KEY.public_key):
            found = read_checkpoint(data.encode(), key)
            assert (found.size, found.root) == (5, b"\7" * 32)
        with pytest.raises(VerificationError):
            read_checkpoint(data.encode(), OTHER.public_key)
    for bad in (b"", b"{}", b'{"signedTreeHead":1}', b"\xff"):
        with pytest.raises(MalformedError):
            read_checkpoint(bad, None)
