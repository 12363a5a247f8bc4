from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.clients.loopback import Answer, Witness, make_witness, serving
from touchplate.clients.witness import MAX_ANSWER_BYTES, Stale, WitnessClient
from touchplate.errors import (
    MalformedError,
    RefusedError,
    TouchplateError,
    UnavailableError,
    VerificationError,
)
from touchplate.formats.checkpoint import encode_checkpoint
from touchplate.formats.cosignature import Cosignature, cosigner, parse_cosigner
from touchplate.formats.note import (
    encode_note,
    encode_signature,
    note_signer,
    note_verifier,
    parse_note,
)
from touchplate.keys.signer import generate
from touchplate.merkle.tree import leaf_hash, prove_consistency, root_hash
from touchplate.transport.http import HttpTransport

ORIGIN = "log.example.com"
LOG = note_signer(ORIGIN, generate("ed25519"))
LEAVES: list[bytes] = [leaf_hash(b"%d" % number) for number in range(20)]
NOW = 1_800_000_000


def envelope(size: int, leaves: list[bytes] = LEAVES) -> str:
    """Sign the tree of the first leaves."""
    text = encode_checkpoint(ORIGIN, size, root_hash(leaves[:size]))
    return encode_note(text, [LOG.sign(text)])


@pytest.fixture
def witness() -> Iterator[Witness]:
    """Give a witness of the log that knows nothing of it yet."""
    made = make_witness("w", [note_verifier(ORIGIN, LOG.signer.public_key)])
    made.now = lambda: NOW
    with serving(made):
        yield made


def client(witness: Witness) -> WitnessClient:
    """Give a client of the witness."""
    return WitnessClient(
        witness.url, tuple(parse_cosigner(each) for each in witness.vkeys), HttpTransport()
    )


def ask(
    witness: Witness, old: int, size: int, leaves: list[bytes] = LEAVES
) -> tuple[Cosignature, ...] | Stale:
    """Ask for a cosignature on the tree of `size`, with a proof from `old`."""
    proof = prove_consistency(leaves[:size], old) if 0 < old < size else ()
    return client(witness).add_checkpoint(envelope(size, leaves), old, proof, now=NOW, timeout=5)


def add(witness: Witness, old: int, size: int) -> tuple[Cosignature, ...]:
    """Ask as `ask` does, of a witness that is where the proof begins."""
    answer = ask(witness, old, size)
    assert not isinstance(answer, Stale)
    return answer


def test_grows(witness: Witness) -> None:
    """Each larger tree is cosigned with a proof from the last one; the same one again too."""
    for old, size in ((0, 1), (1, 7), (7, 8), (8, 20), (20, 20)):
        (cosignature,) = add(witness, old, size)
        assert (cosignature.name, cosignature.time) == ("w.example/witness", NOW)
        note = parse_note(envelope(size) + encode_signature(cosignature.line))
        assert client(witness).cosigners[0].find(note)
    assert witness.seen[ORIGIN][0] == 20


def test_empty_tree(witness: Witness) -> None:
    """A log without entries is cosigned too."""
    assert add(witness, 0, 0)


def test_stale(witness: Witness) -> None:
    """The witness says where it is if the proof begins elsewhere; it may be ahead."""
    add(witness, 0, 7)
    assert ask(witness, 0, 9) == Stale(7)
    assert ask(witness, 3, 9) == Stale(7)
    assert ask(witness, 3, 4) == Stale(7)


def code(witness: Witness, kind: type[TouchplateError], old: int = 0, size: int = 7) -> str:
    """Give the code that the request fails with."""
    with pytest.raises(kind) as caught:
        add(witness, old, size)
    return caught.value.code


def test_other_tree(witness: Witness) -> None:
    """A witness that has seen another tree does not cosign ours, and we know why."""
    ask(witness, 0, 7, [leaf_hash(b"x"), *LEAVES[1:]])
    assert code(witness, VerificationError, 7, 9) == "CONSISTENCY_PROOF_INVALID"
    assert code(witness, VerificationError, 7, 7) == "CONSISTENCY_PROOF_INVALID"


def test_conflict_without_size(witness: Witness) -> None:
    """409 without the type of a size is how a deployed witness says that the roots differ."""
    witness.misbehave(409, b"7\n")
    assert code(witness, VerificationError) == "CONSISTENCY_PROOF_INVALID"


def test_unknown_log(witness: Witness) -> None:
    """A witness that does not know the log, or its key, says so, and so do we."""
    witness.logs.clear()
    assert code(witness, RefusedError) == "SERVICE_REFUSED"
    witness.logs[ORIGIN] = note_verifier(ORIGIN, generate("ed25519").public_key)
    assert code(witness, RefusedError) == "SERVICE_REFUSED"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, RefusedError), (418, RefusedError), (204, RefusedError), (429, UnavailableError),
     (500, UnavailableError), (503, UnavailableError)],
)  # fmt: skip
def test_statuses(witness: Witness, status: int, kind: type[TouchplateError]) -> None:
    """Whatever is not 200 is a failure, and away is told apart from refused."""
    witness.misbehave(status)
    code(witness, kind)


def test_redirect(witness: Witness) -> None:
    """A checkpoint is not carried to another host, nor a POST redirected at all."""
    witness.answer = lambda _: Answer(307, b"", "text/plain\r\nLocation: http://127.0.0.1:1/x")
    with pytest.raises(RefusedError, match="redirects POST"):
        add(witness, 0, 7)


@pytest.mark.slow
@pytest.mark.parametrize("size", [b"", b"\n", b"x\n", b"07\n", b"7 \n", b"-7\n", b"7\n\n", b"\xff",
                                  b"9223372036854775808\n", b"1_0\n"])  # fmt: skip
def test_malformed_size(witness: Witness, size: bytes) -> None:
    """A size that is no plain decimal is not taken."""
    witness.misbehave(409, size, "text/x.tlog.size")
    assert code(witness, MalformedError) == "RESPONSE_MALFORMED"


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [b"", b"\n", b"hello\n", b"\xff\xfe", b"\xe2\x80\x94 w AAAA\n", b"<html>\n", b"\n\n\n",
     b"\xe2\x80\x94 w AAAAAAAA", b"\r\n"],
)  # fmt: skip
def test_garbage(witness: Witness, body: bytes) -> None:
    """An answer that is no signature lines is the witness's fault."""
    witness.misbehave(200, body)
    assert code(witness, MalformedError) == "RESPONSE_MALFORMED"


def test_huge(witness: Witness) -> None:
    """An answer is read up to a limit."""
    witness.misbehave(200, b"x" * (MAX_ANSWER_BYTES + 1))
    with pytest.raises(MalformedError) as caught:
        add(witness, 0, 7)
    assert caught.value.code == "LIMIT_EXCEEDED"


def test_text_of_its_own(witness: Witness) -> None:
    """A witness that cosigns another text, and sends it along, gets nothing accepted."""
    other = envelope(3)
    line = encode_signature(witness.signers[0].sign(parse_note(other), NOW))
    witness.misbehave(200, f"{other}{line}".encode())
    assert code(witness, MalformedError) == "RESPONSE_MALFORMED"
    witness.misbehave(200, line.encode())
    assert code(witness, VerificationError) == "CHECKPOINT_SIGNATURE"


def test_wrong_key(witness: Witness) -> None:
    """A cosignature by a key that the policy does not have counts for nothing."""
    keys = (cosigner("w.example/witness", generate("ed25519").public_key),)
    with pytest.raises(VerificationError) as caught:
        replace(client(witness), cosigners=keys).add_checkpoint(
            envelope(7), 0, (), now=NOW, timeout=5
        )
    assert caught.value.code == "CHECKPOINT_KEYHINT"


def test_one_bad_line(witness: Witness) -> None:
    """One bad line by a known key spoils the answer, though a good one is there."""

    def add_bad(answer: Answer) -> Answer:
        note = parse_note(f"x\n\n{answer.body.decode()}")
        bad = note.signatures[0]._replace(signature=bytes(72))
        return answer._replace(body=answer.body + encode_signature(bad).encode())

    witness.answer = add_bad
    assert code(witness, VerificationError) == "CHECKPOINT_SIGNATURE"


def test_lines_of_others(witness: Witness) -> None:
    """Lines of others are dropped: what is published holds only what was verified."""

    def add_stranger(answer: Answer) -> Answer:
        return answer._replace(body="— other YWJjZGVm\n".encode() + answer.body)

    witness.answer = add_stranger
    cosignatures = add(witness, 0, 7)
    assert [each.name for each in cosignatures] == ["w.example/witness"]


@pytest.mark.parametrize(("ahead", "accepted"), [(0, True), (3600, True), (3601, False)])
def test_clock_ahead(witness: Witness, ahead: int, accepted: bool) -> None:
    """A witness whose clock is far ahead of ours is not believed."""
    witness.now = lambda: NOW + ahead
    if accepted:
        assert add(witness, 0, 7)
    else:
        assert code(witness, MalformedError) == "RESPONSE_MALFORMED"


def test_no_time(witness: Witness) -> None:
    """A cosignature without a time is no answer to this request."""
    witness.now = lambda: 0
    assert code(witness, MalformedError) == "RESPONSE_MALFORMED"


def test_several_keys(witness: Witness) -> None:
    """A witness with two keys gives both cosignatures in one answer."""
    made = make_witness("m", list(witness.logs.values()), ["ed25519", "ml-dsa-44"])
    made.now = lambda: NOW
    with serving(made):
        assert len(add(made, 0, 7)) == 2
        assert made.asked == 1


@pytest.mark.slow
def test_slow(witness: Witness) -> None:
    """A witness that does not answer costs the time-out and no more."""
    witness.delay = 20
    start = time.monotonic()
    with pytest.raises(UnavailableError):
        client(witness).add_checkpoint(envelope(7), 0, (), now=NOW, timeout=0.2)
    assert time.monotonic() - start < 5


def test_down(witness: Witness) -> None:
    """Nobody at the address is SERVICE_UNAVAILABLE."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # held, so that nobody else can listen there
        gone = replace(client(witness), url=f"http://127.0.0.1:{silent.getsockname()[1]}/")
        with pytest.raises(UnavailableError):
            gone.add_checkpoint(envelope(7), 0, (), now=NOW, timeout=5)


@pytest.mark.parametrize("suffix", ["", "/"])
def test_address(witness: Witness, suffix: str) -> None:
    """The prefix may end in a slash or not."""
    made = replace(client(witness), url=witness.url.rstrip("/") + suffix)
    assert made.add_checkpoint(envelope(7), 0, (), now=NOW, timeout=5)
