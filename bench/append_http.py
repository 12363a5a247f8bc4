"""Log appends over HTTP: durable, integrated, with proof and signed checkpoint in the answer.

    python -m bench.append_http [--full] [--only WORDS]

Every request is a distinct hashedrekord 0.0.2 entry with its own certificate and P-256 signature,
as real clients send them; a sample of the answers is verified as a client would. For one and two
workers, on SQLite and a folder and on PostgreSQL and S3, by number of clients; then at half of the
highest rate, requests coming at random times whether or not earlier ones were answered.

CPU for each entry is that of all of the server's processes (utime + stime), until its search index
has caught up: so the load generator can neither flatter nor hurt it. Rates do suffer from it, for
it shares the machine: with one worker it has a core of its own, with two it takes from theirs, so
the rate on two idle cores is given beside them as a bound, from CPU alone. The floor is the bare
loop that no log can leave out: load the certificate, verify the signature, hash; it is measured
before and after each row, since a machine's speed changes from minute to minute.

`--full` takes more entries and the median of three rounds, in which the rows alternate.
"""

import argparse
import hashlib
import os
import re
import statistics
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
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

_PATH: Final = "/api/v2/log/entries"
_SHARES: Final = {1: 0.02, 16: 0.15, 64: 0.3, 256: 0.3}  # of the entries, by number of clients
_WARM_UP: Final = 0.08
_PACED_CLIENTS: Final = 256
_PACED_SECONDS: Final = 6.0
_FLOOR_SAMPLES: Final = 1_000
_KEEP_EVERY: Final = 97
_ALGORITHM: Final = BY_NAME["PKIX_ECDSA_P256_SHA_256"]


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


@dataclass(frozen=True, slots=True)
class Setup:
    """One way to run the service."""

    store: str
    workers: int
    index: bool

    def __str__(self) -> str:
        return f"{self.store}, {self.workers} worker{'s' * (self.workers > 1)}" + (
            "" if self.index else ", no index"
        )


class Row(NamedTuple):
    """What one number of clients gave; times in seconds."""

    rate: float
    cpu: float
    stores: float
    own: float
    floor: float
    p50: float
    p99: float


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


class Measuring:
    """One running service, and the entries that it has not got yet."""

    def __init__(
        self,
        server: instance.Server,
        setup: Setup,
        stores: instance.Stores,
        entries: Sequence[Entry],
    ) -> None:
        self._server = server
        self._setup = setup
        self._stores = stores
        self._entries = entries
        self._requests = [load.post(_PATH, server.host, each.request) for each in entries]
        self._verifier = log_verifier(server)
        self._used = 0

    def warm_up(self) -> None:
        """Have every part of the server loaded and used."""
        count = int(_WARM_UP * len(self._entries))
        load.run_load(self._server.address, self._take(count)[1], 64)

    def row(self, clients: int) -> Row:
        """Measure one number of clients, each of which waits for its answer."""
        first, requests = self._take(int(_SHARES[clients] * len(self._entries)))
        floor = floor_seconds(self._entries[:_FLOOR_SAMPLES])
        server, stores = self._cpu()
        result = load.run_load(self._server.address, requests, clients, keep_every=_KEEP_EVERY)
        server, stores = (
            (after - before) / len(requests)
            for before, after in zip((server, stores), self._cpu(), strict=True)
        )
        floor = (floor + floor_seconds(self._entries[:_FLOOR_SAMPLES])) / 2
        self._check(first, result)
        return Row(
            len(requests) / result.seconds,
            server,
            stores,
            result.own_seconds / len(requests),
            floor,
            result.percentile(0.5),
            result.percentile(0.99),
        )

    def paced(self, rate: float) -> tuple[float, float]:
        """Give p50 and p99 in seconds at this rate."""
        first, requests = self._take(min(int(rate * _PACED_SECONDS), self._left()))
        result = load.run_paced(
            self._server.address, requests, rate, clients=_PACED_CLIENTS, keep_every=_KEEP_EVERY
        )
        self._check(first, result)
        return result.percentile(0.5), result.percentile(0.99)

    def _take(self, count: int) -> tuple[int, list[bytes]]:
        first, self._used = self._used, self._used + count
        return first, self._requests[first : self._used]

    def _left(self) -> int:
        return len(self._requests) - self._used

    def _cpu(self) -> tuple[float, float]:
        """Give the CPU seconds of server and stores so far, once the server is done with all."""
        server = load.settle(self._server.pid, self._is_level)
        return server, sum(map(load.cpu_seconds, self._stores.pids))

    def _is_level(self) -> bool:
        if not self._setup.index:
            return True
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


Result = tuple[dict[int, Row], tuple[float, float, float]]
"""A row for each number of clients; half of the highest rate, with its p50 and p99."""


def measure(setup: Setup, stores: instance.Stores, entries: Sequence[Entry]) -> Result:
    """Start the service in this way and measure it."""
    cores = sorted(os.sched_getaffinity(0))
    # With one worker the load has the other core, and the stores too.
    apart = setup.workers == 1 and len(cores) > 1
    rest = cores[1:] if apart else cores
    for pid in stores.pids:
        load.pin(pid, rest)
    options = ("--workers", str(setup.workers))
    settings = "" if setup.index else "[index]\nenabled = false\n"
    with instance.running(
        *options, cores=cores[:1] if apart else (), settings=settings, stores=stores
    ) as server:
        os.sched_setaffinity(0, rest)
        try:
            measuring = Measuring(server, setup, stores, entries)
            measuring.warm_up()
            rows = {clients: measuring.row(clients) for clients in _SHARES}
            half = max(row.rate for row in rows.values()) / 2
            return rows, (half, *measuring.paced(half))
        finally:
            os.sched_setaffinity(0, cores)


def medians(results: Sequence[Result]) -> Result:
    """Give the median of each figure."""

    def middle(rows: Sequence[Sequence[float]]) -> list[float]:
        return [statistics.median(each) for each in zip(*rows, strict=True)]

    rows = {clients: Row(*middle([each[0][clients] for each in results])) for clients in _SHARES}
    half, p50, p99 = middle([each[1] for each in results])
    return rows, (half, p50, p99)


@contextmanager
def null_server(cores: Sequence[int]) -> Iterator[tuple[str, int]]:
    """Start the server that does nothing."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.null_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        load.pin(process.pid, cores)
        yield "127.0.0.1", port
        process.communicate()


def show_generator(entries: Sequence[Entry]) -> None:
    """Print what the load generator drives when answers cost nothing."""
    cores = sorted(os.sched_getaffinity(0))
    requests = [load.post(_PATH, "null", each.request) for each in entries]
    os.sched_setaffinity(0, cores[-1:])
    with null_server(cores[:1]) as address:
        load.run_load(address, requests[:500], 64)
        result = load.run_load(address, requests, 64)
    os.sched_setaffinity(0, cores)
    print(
        f"load generator alone, 64 clients, server that does nothing:"
        f" {len(requests) / result.seconds:.0f} requests/s,"
        f" {result.own_seconds / len(requests) * 1e6:.1f} us of its CPU each"
    )


def show(setup: Setup, result: Result) -> None:
    """Print the rows of one way to run it."""
    rows, (half, p50, p99) = result
    print(f"\n{setup}")
    print(f"{'clients':>8}{'entries/s':>11}{'CPU us':>8}{'floor us':>10}{'CPU/floor':>11}", end="")
    print(f"{'stores us':>11}{'load us':>9}{'p50 ms':>8}{'p99 ms':>8}")
    for clients, row in rows.items():
        print(
            f"{clients:8}{row.rate:11.0f}{row.cpu * 1e6:8.1f}{row.floor * 1e6:10.1f}"
            f"{row.cpu / row.floor:11.2f}{row.stores * 1e6:11.1f}{row.own * 1e6:9.1f}"
            f"{row.p50 * 1e3:8.2f}{row.p99 * 1e3:8.2f}"
        )
    print(
        f"  at half of the peak, {half:.0f}/s: p50 {p50 * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms",
        flush=True,
    )


def show_scaling(results: dict[Setup, Result]) -> None:
    """Print two workers against one: as measured, and what CPU alone allows."""
    for setup, (rows, _) in results.items():
        one = results.get(Setup(setup.store, 1, setup.index))
        if setup.workers != 2 or one is None:
            continue
        print(f"\n{setup}, against one")
        for clients in (64, 256):
            before, after = one[0][clients], rows[clients]
            # In floors: the machine may have been at another speed.
            more = (after.cpu / after.floor) / (before.cpu / before.floor)
            everything = after.cpu + after.stores + after.own
            print(
                f"  {clients} clients: {after.rate / before.rate:.2f} times the rate, with load and"
                f" stores on the same cores, which by CPU have room for {2 / everything:.0f}/s;"
                f" CPU of an entry {more:.2f} times: on two cores of its own,"
                f" if they are kept busy, {2 / more:.2f} times the rate"
            )


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="three rounds of more entries")
    parser.add_argument("--only", default="", help="such as 'sqlite, 1 worker'")
    parser.add_argument("--entries", type=int, help="for each way to run it")
    arguments = parser.parse_args()
    count = arguments.entries or (60_000 if arguments.full else 18_000)
    entries = make_entries(count)
    print(f"log append over HTTP: {count} entries for each way to run it")
    show_generator(entries[:10_000])
    setups = [
        Setup(store, workers, index)
        for store, workers, index in product(
            ("SQLite + folder", "PostgreSQL + S3"), (1, 2), (True, False)
        )
        # Where the quick way leaves something out: the index costs the same there.
        if index or store == "SQLite + folder" or arguments.full
    ]
    setups = [each for each in setups if str(each).lower().startswith(arguments.only.lower())]
    taken: dict[Setup, list[Result]] = {each: [] for each in setups}
    with instance.stores() as servers:
        for _ in range(3 if arguments.full else 1):
            for setup in setups:
                stores = instance.Stores() if "SQLite" in setup.store else servers
                if stores is not None:
                    taken[setup].append(measure(setup, stores, entries))
                    if arguments.full:
                        print(f"  {setup}: one round done", flush=True)
                    else:
                        show(setup, taken[setup][0])
    results = {setup: medians(found) for setup, found in taken.items() if found}
    if arguments.full:
        for setup, result in results.items():
            show(setup, result)
    show_scaling(results)


if __name__ == "__main__":
    main()
