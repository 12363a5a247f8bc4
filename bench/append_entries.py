"""Entries to append, the bare loop that they are held to, and a running service that gets them."""

import hashlib
import re
import statistics
import time
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from bench import instance, load
from touchplate.entries.hashedrekord_v002 import encode_body
from touchplate.formats.bundle import parse_entry
from touchplate.formats.checkpoint import open_checkpoint
from touchplate.formats.note import NoteVerifier, note_verifier
from touchplate.keys.algorithms import BY_NAME
from touchplate.keys.public import load_public_key_pem
from touchplate.merkle.proof import check_inclusion
from touchplate.merkle.tree import leaf_hash

PATH: Final = "/api/v2/log/entries"
_KEEP_EVERY: Final = 97
_ALGORITHM: Final = BY_NAME["PKIX_ECDSA_P256_SHA_256"]
# To ask for the metrics costs the server 1.5 ms, as much as five entries.
_LOOK_SECONDS: Final = 0.15


class Entry(NamedTuple):
    """What one client wants to be logged."""

    digest: bytes
    signature: bytes
    certificate: bytes

    @property
    def request(self) -> bytes:
        """The body of POST /api/v2/log/entries."""
        return (
            b'{"hashedRekordRequestV002":{"digest":"%s","signature":{"content":"%s","verifier":'
            b'{"x509Certificate":{"rawBytes":"%s"},"keyDetails":"PKIX_ECDSA_P256_SHA_256"}}}}'
            % tuple(map(b64encode, self))
        )

    @property
    def body(self) -> bytes:
        """What the log must hold of it."""
        return encode_body(
            _ALGORITHM, self.digest, self.signature, self.certificate, is_certificate=True
        )


def make_entries(count: int) -> list[Entry]:
    """Make entries for `count` artifacts, each with its own key and certificate."""
    authority = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    entries = []
    for number in range(count):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(x509.Name([]))
            .public_key(key.public_key())
            .serial_number(number + 1)
            .not_valid_before(now)
            .not_valid_after(now + timedelta(minutes=10))
            .add_extension(
                x509.SubjectAlternativeName([x509.RFC822Name("dev@example.com")]), critical=True
            )
            .sign(authority, hashes.SHA256())
        )
        digest = hashlib.sha256(b"artifact %d" % number).digest()
        signature = key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))
        der = certificate.public_bytes(serialization.Encoding.DER)
        entries.append(Entry(digest, signature, der))
    return entries


def floor_seconds(entries: Sequence[Entry]) -> float:
    """Give the median CPU seconds of the bare loop for one entry."""
    algorithm = ec.ECDSA(Prehashed(hashes.SHA256()))
    rounds = []
    for _ in range(3):
        begun = time.process_time()
        for digest, signature, der in entries:
            key = x509.load_der_x509_certificate(der).public_key()
            assert isinstance(key, ec.EllipticCurvePublicKey)
            key.verify(signature, digest, algorithm)
            hashlib.sha256(der).digest()
        rounds.append((time.process_time() - begun) / len(entries))
    return statistics.median(rounds)


def log_verifier(server: instance.Server) -> NoteVerifier:
    """Give what verifies the log's checkpoints."""
    key = load_public_key_pem(server.get("/api/v1/log/publicKey"))
    return note_verifier(server.get("/checkpoint").split("\n", 1)[0], key)


def check_answer(entry: Entry, answer: bytes, verifier: NoteVerifier) -> None:
    """Prove that the entry is in a tree that the log has signed; raises if it is not."""
    found = parse_entry(answer)
    assert found.proof is not None
    assert found.body == entry.body
    checkpoint = open_checkpoint(found.proof.checkpoint, verifier, v1=False)
    assert (found.proof.log_index, found.proof.tree_size) == (found.log_index, checkpoint.size)
    check_inclusion(
        found.log_index, checkpoint.size, leaf_hash(found.body), found.proof.hashes, checkpoint.root
    )


class Used(NamedTuple):
    """What a run cost for each entry, in CPU seconds of all processes."""

    server: float
    stores: float


class Service:
    """A running service, and the entries that it has not got yet."""

    def __init__(
        self,
        server: instance.Server,
        entries: Sequence[Entry],
        stores: instance.Stores,
        *,
        index: bool,
    ) -> None:
        self._server = server
        self._entries = entries
        self._stores = stores
        self._index = index
        self._requests = [load.post(PATH, server.host, each.request) for each in entries]
        self._verifier = log_verifier(server)
        self._used = 0

    @property
    def left(self) -> int:
        """How many entries it has not got."""
        return len(self._requests) - self._used

    def run(self, count: int, clients: int, *, polls: bool = False) -> tuple[load.LoadResult, Used]:
        """Send so many, as fast as the clients get answers, and wait for the search index."""
        first, requests = self._take(count)
        before = self._cpu()
        result = load.run_load(
            self._server.address, requests, clients, keep_every=_KEEP_EVERY, polls=polls
        )
        after = self._cpu()
        self._check(first, result)
        server, stores = ((b - a) / count for a, b in zip(before, after, strict=True))
        return result, Used(server, stores)

    def run_paced(
        self, count: int, rate: float, clients: int, *, polls: bool = False
    ) -> load.LoadResult:
        """Send so many at this rate."""
        first, requests = self._take(count)
        result = load.run_paced(
            self._server.address,
            requests,
            rate,
            clients=clients,
            keep_every=_KEEP_EVERY,
            polls=polls,
        )
        self._check(first, result)
        return result

    def _take(self, count: int) -> tuple[int, list[bytes]]:
        first, self._used = self._used, self._used + count
        return first, self._requests[first : self._used]

    def _cpu(self) -> tuple[float, float]:
        """Give the CPU seconds of server and stores so far, once the server is done with all."""
        server = load.settle(self._server.pid, self._is_level)
        return server, sum(map(load.cpu_seconds, self._stores.pids))

    def _is_level(self) -> bool:
        if not self._index:
            return True
        time.sleep(_LOOK_SECONDS)
        behind = re.findall(
            r"^touchplate_index_lag_entries\S* (\d+)", self._server.get("/metrics"), re.MULTILINE
        )
        assert behind
        return not any(map(int, behind))

    def _check(self, first: int, result: load.LoadResult) -> None:
        if set(result.statuses) != {201}:
            raise RuntimeError(f"not every entry was taken: {result.statuses}")
        assert result.sample
        for number, answer in result.sample:
            check_answer(self._entries[first + number], answer, self._verifier)
