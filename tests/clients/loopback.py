"""A small real witness (C2SP tlog-witness) over HTTP on loopback, with faults to switch on."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any, Final, NamedTuple

from touchplate.errors import TouchplateError, VerificationError
from touchplate.formats.base64text import parse_base64
from touchplate.formats.checkpoint import Checkpoint, parse_checkpoint, parse_size
from touchplate.formats.cosignature import (
    CosignatureSigner,
    cosignature_signer,
    cosigner,
    encode_cosigner,
)
from touchplate.formats.note import Note, NoteVerifier, encode_signature, parse_note
from touchplate.keys.signer import generate
from touchplate.merkle.proof import check_consistency
from touchplate.merkle.tree import EMPTY_ROOT

SIZE_TYPE: Final = "text/x.tlog.size"


class Answer(NamedTuple):
    """What is sent."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


class _Problem(Exception):  # noqa: N818 - an answer, not an error
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.answer = Answer(status, reason.encode())


@dataclass
class Witness:
    """A witness: what it trusts, what it has cosigned, and how it misbehaves."""

    name: str
    signers: list[CosignatureSigner]
    logs: dict[str, NoteVerifier]
    now: Callable[[], float] = time.time
    # The latest size and root for each origin: what must never be lost.
    seen: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    # Faults.
    delay: float = 0.0
    answer: Callable[[Answer], Answer] = field(default=lambda answer: answer)
    asked: int = 0
    url: str = ""
    under_way: int = 0
    most_under_way: int = 0
    ended: Event = field(default_factory=Event)
    _lock: Lock = field(default_factory=Lock)

    @property
    def vkeys(self) -> list[str]:
        """Give its verifier keys."""
        return [encode_cosigner(cosigner(s.name, s.signer.public_key)) for s in self.signers]

    def line(self, which: int = 0) -> str:
        """Give its line in a policy."""
        suffix = f"-{which}" if which else ""
        return f"witness {self.name}{suffix} {self.vkeys[which]} {self.url}\n"

    def misbehave(self, status: int, body: bytes = b"", content_type: str = "text/plain") -> None:
        """Give this answer from now on, whatever was asked."""
        self.answer = lambda _: Answer(status, body, content_type)

    def behave(self) -> None:
        """End every fault."""
        self.delay = 0.0
        self.answer = lambda answer: answer

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer a request, by the specification's list of checks."""
        try:
            old, proof, note, checkpoint = _parse(body)
        except (TouchplateError, ValueError) as error:
            return Answer(400, str(error).encode())
        try:
            # Compare and store are one step: two clients must not roll the witness back.
            with self._lock:
                self._check(old, proof, note, checkpoint)
                self.seen[checkpoint.origin] = (checkpoint.size, checkpoint.root)
        except _Problem as problem:
            return problem.answer
        except _StaleError as stale:
            return Answer(409, b"%d\n" % stale.size, SIZE_TYPE)
        lines = [signer.sign(note, int(self.now())) for signer in self.signers]
        return Answer(200, "".join(map(encode_signature, lines)).encode())

    def _check(self, old: int, proof: Sequence[bytes], note: Note, checkpoint: Checkpoint) -> None:
        verifier = self.logs.get(checkpoint.origin)
        if verifier is None:
            raise _Problem(404, "unknown log")
        try:
            verifier.check(note)
        except VerificationError as error:
            raise _Problem(403, str(error)) from error
        if old > checkpoint.size:
            raise _Problem(400, "old size above new size")
        if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
            raise _Problem(422, "not the root of no entries")
        size, root = self.seen.get(checkpoint.origin, (0, EMPTY_ROOT))
        if old != size:
            raise _StaleError(size)
        if old == 0 and proof:
            raise _Problem(422, "a proof from nothing")
        try:
            check_consistency(old, checkpoint.size, proof, root, checkpoint.root)
        except VerificationError as error:
            raise _Problem(422, str(error)) from error


class _StaleError(Exception):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size


def _parse(body: bytes) -> tuple[int, list[bytes], Note, Checkpoint]:
    head, empty, envelope = body.decode().partition("\n\n")
    first, *lines = head.split("\n")
    if not empty or not first.startswith("old ") or len(lines) > 63:
        raise ValueError("no request")
    proof = [parse_base64(line) for line in lines]
    if any(len(each) != 32 for each in proof):
        raise ValueError("a hash of another length")
    note = parse_note(envelope)
    return parse_size(first[4:]), proof, note, parse_checkpoint(note)


def make_witness(
    name: str, logs: Sequence[NoteVerifier], kinds: Sequence[str] = ("ed25519",)
) -> Witness:
    """Make a witness with new keys that trusts these logs."""
    signers = [cosignature_signer(f"{name}.example/witness", generate(kind)) for kind in kinds]
    return Witness(name, signers, {str(each.name): each for each in logs})


@contextmanager
def serving(witness: Witness) -> Iterator[Witness]:
    """Serve a witness on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else every answer waits 40 ms for an acknowledgement

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            witness.asked += 1
            witness.under_way += 1
            witness.most_under_way = max(witness.most_under_way, witness.under_way)
            try:
                if witness.delay:
                    witness.ended.wait(witness.delay)
                given = Answer(404, b"no such path")
                if self.path == "/prefix/add-checkpoint":
                    given = witness.answer(witness.add_checkpoint(body))
            finally:
                witness.under_way -= 1
            try:
                self.send_response(given.status)
                self.send_header("Content-Type", given.content_type)
                self.send_header("Content-Length", str(len(given.body)))
                self.end_headers()
                self.wfile.write(given.body)
            except OSError:
                self.close_connection = True  # who asked has gone

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def __init__(self, *arguments: Any) -> None:
            self.connections: set[socket.socket] = set()
            super().__init__(*arguments)

        def process_request(self, request: Any, client_address: Any) -> None:
            self.connections.add(request)
            super().process_request(request, client_address)

    witness.ended.clear()
    with Server(("127.0.0.1", _port(witness.url)), Handler) as server:
        witness.url = f"http://127.0.0.1:{server.server_port}/prefix/"
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield witness
        finally:
            witness.ended.set()
            server.shutdown()
            thread.join()
            for connection in server.connections:
                with suppress(OSError):  # closed long ago
                    connection.shutdown(socket.SHUT_RDWR)


def _port(url: str) -> int:
    """Take the port of the last time: a witness that is started again has the same address."""
    return int(url.split(":")[2].partition("/")[0]) if url else 0


@contextmanager
def serving_all(witnesses: Sequence[Witness]) -> Iterator[None]:
    """Serve several."""
    with ExitStack() as stack:
        for witness in witnesses:
            stack.enter_context(serving(witness))
        yield
