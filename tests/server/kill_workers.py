"""Kill processes of a service under load, again and again, and prove that nothing was lost.

    python -m tests.server.kill_workers [--kills 100] [--store sqlite|postgres|both] [--seed N]

Clients write entries over both APIs, new ones and again ones that were answered, and repeat a
request whose connection breaks until it is answered. Meanwhile SIGKILL meets a worker, or sometimes
the parent of all, at random moments. Afterwards, from the stores alone:

- `touchplate log check --entries` finds the log whole
- each 201 has a signed checkpoint, a proof to it, and its body at its index in the final tree
- each checkpoint that anybody saw is the root of the final tree's first entries
- no entry is there twice, and the same request got the same index each time
- sizes never went back, no request was left without an answer, and the service still writes
"""

import argparse
import http.client
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import new, sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from tests.server.conftest import Server, until
from tests.server.test_ownership import copy_host
from tests.server.test_workers import is_alive
from tests.servers.fixtures import S3_ENVIRON
from tests.servers.postgres import PostgresServer
from tests.servers.process import free_ports
from tests.servers.s3 import S3Server
from touchplate.clients.tlog_v1_answer import parse_answer
from touchplate.entries import hashedrekord_v001, hashedrekord_v002
from touchplate.entries.claim import Claim
from touchplate.formats.bundle import MessageSignature, TransparencyLogEntry, parse_entry
from touchplate.formats.checkpoint import open_checkpoint, parse_checkpoint
from touchplate.formats.note import note_verifier, parse_note, rekor_v1_verifier
from touchplate.keys.public import PublicKey, load_public_key_pem
from touchplate.keys.signer import Signer, generate
from touchplate.merkle.edge import EMPTY_EDGE, extend
from touchplate.merkle.proof import check_inclusion
from touchplate.merkle.tree import EMPTY_ROOT, leaf_hash
from touchplate.server.data import DataFolder
from touchplate.server.opening import choose_origin, open_deployment
from touchplate.server.settings import ServeSettings, StorageSettings
from touchplate.tilelog.bundle import record_data

URL: Final = "https://sign.example.org"
CLIENTS: Final = 12
JSON: Final = {"Content-Type": "application/json"}
_PARENTS: Final = 7  # of so many kills one meets a parent
_AGAIN: Final = 0.15  # of the requests
_V1: Final = 0.3  # of the new ones
_FIRST_ANSWERS: Final = 50
_ANSWERS_BETWEEN: Final = 10
_MAX_PAUSE: Final = 0.15
_GIVE_UP_SECONDS: Final = 90.0


class Asked(NamedTuple):
    """A request; equal ones ask for the same entry."""

    path: str
    body: bytes

    @property
    def is_v1(self) -> bool:
        """It is of API v1."""
        return "/v1/" in self.path


@dataclass
class Found:
    """What the clients were told, and what became of their requests."""

    answers: list[tuple[Asked, bytes]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    checkpoints: set[str] = field(default_factory=set)
    broken: int = 0
    refused: int = 0
    landed: int = 0
    """New entries that were in the log, unanswered, before they were asked for again."""


@dataclass
class Hosts:
    """The hosts of one instance; a client takes any."""

    servers: list[Server]
    folders: tuple[Path, ...]
    begin: Callable[[Path], Server]
    storage: StorageSettings
    options: tuple[str, ...]

    def kill(self, chance: random.Random, *, parent: bool) -> str:
        """Kill a worker, if there is one just now, or the parent of some; give what it was."""
        place = chance.randrange(len(self.servers))
        server = self.servers[place]
        workers = server.workers()
        if workers and not parent:
            os.kill(chance.choice(workers), signal.SIGKILL)
            return "worker"
        server.stop(signal.SIGKILL)
        # They end by themselves, after the requests under way.
        until(lambda: not any(map(is_alive, workers)))
        _close(server)
        self.servers[place] = self.begin(self.folders[place])
        return "parent"


class Client:
    """One client, in a thread of its own."""

    def __init__(self, hosts: Hosts, found: Found, number: int) -> None:
        self._hosts = hosts
        self._found = found
        self._chance = random.Random(number)
        self._signer = generate("ecdsa-p256")
        self._stopped = threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        self._thread = threading.Thread(target=self._run, name=f"client {number}")
        self._thread.start()

    def stop(self) -> None:
        """Have it end with the request under way."""
        self._stopped.set()

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join(2 * _GIVE_UP_SECONDS)
        if self._thread.is_alive():
            self._found.wrong.append("a client has hung")

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._ask(*self._next())
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            self._found.wrong.append(repr(error))
        finally:
            self._disconnect()

    def _next(self) -> tuple[Asked, bool]:
        """Give a request, and whether it is a new one."""
        answers = self._found.answers
        if answers and self._chance.random() < _AGAIN:
            # Often a fresh one: perhaps still in a batch of another process.
            some = answers[-20:] if self._chance.random() < 0.5 else answers
            return self._chance.choice(some)[0], False
        is_v1 = self._chance.random() < _V1
        return ask_for(os.urandom(16), self._signer, is_v1=is_v1), True

    def _ask(self, asked: Asked, is_new: bool) -> None:
        """Have one request answered."""
        end = time.monotonic() + _GIVE_UP_SECONDS
        before = -1  # the size of the log before it was repeated
        while True:
            try:
                status, body, retry = self._exchange("POST", asked.path, asked.body)
            except (OSError, http.client.HTTPException):
                self._found.broken += 1
                self._disconnect()
                before = self._size()
            else:
                if status == 201:
                    self._found.answers.append((asked, body))
                    entry = read_answer(asked, body)
                    self._found.landed += is_new and before > place_of(entry)
                    return
                if status != 503 or retry is None:
                    self._found.wrong.append(f"{status} {retry} {body!r}")
                    return
                self._found.refused += 1
            if time.monotonic() > end:
                self._found.wrong.append("a request got no answer")
                return
            time.sleep(0.01)

    def _size(self) -> int:
        try:
            status, body, _ = self._exchange("GET", "/checkpoint")
        except (OSError, http.client.HTTPException):
            self._disconnect()
            return -1
        return size_of(body.decode()) if status == 200 else -1

    def _exchange(
        self, method: str, path: str, body: bytes | None = None
    ) -> tuple[int, bytes, str | None]:
        if self._connection is None:
            self._connection = self._chance.choice(self._hosts.servers).connect()
        self._connection.request(method, path, body, JSON)
        response = self._connection.getresponse()
        return response.status, response.read(), response.getheader("retry-after")

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Watcher(Client):
    """One who reads checkpoints: their sizes never go back."""

    def _run(self) -> None:
        last = 0
        while not self._stopped.wait(0.005):
            try:
                status, body, _ = self._exchange("GET", "/checkpoint")
            except (OSError, http.client.HTTPException):
                self._disconnect()
                continue
            if status == 200:
                size = size_of(body.decode())
                if size < last:
                    self._found.wrong.append(f"the log went back from {last} to {size}")
                last = size
                self._found.checkpoints.add(body.decode())
        self._disconnect()


def ask_for(artifact: bytes, signer: Signer, *, is_v1: bool) -> Asked:
    """Make the request for an entry about a new artifact."""
    signature = signer.sign(artifact)
    claim = Claim(
        MessageSignature("sha256", sha256(artifact).digest(), signature),
        signature,
        signer.public_key,
        None,
        lambda name: new(name, artifact).digest(),
    )
    if is_v1:
        return Asked("/api/v1/log/entries", hashedrekord_v001.encode_request(claim))
    return Asked("/api/v2/log/entries", hashedrekord_v002.encode_request(claim))


def read_answer(asked: Asked, body: bytes) -> TransparencyLogEntry:
    """Read a 201."""
    return parse_answer(body) if asked.is_v1 else parse_entry(body)


def place_of(entry: TransparencyLogEntry) -> int:
    """Give the index in the tree."""
    assert entry.proof is not None
    return entry.proof.log_index


def size_of(envelope: str) -> int:
    """Give the size of a checkpoint."""
    return int(envelope.split("\n", 2)[1])


def run(hosts: Hosts, kills: int, seed: int) -> str:
    """Do all of it; give what happened. Raises AssertionError."""
    chance = random.Random(seed)
    found = Found()
    key = load_public_key_pem(hosts.servers[0].get("/api/v1/log/publicKey")[1].decode())
    origin = hosts.servers[0].get("/checkpoint")[1].decode().split("\n", 1)[0]
    clients = [Client(hosts, found, number) for number in range(CLIENTS)]
    clients.append(Watcher(hosts, found, CLIENTS))
    victims = {"worker": 0, "parent": 0}
    try:
        until(lambda: len(found.answers) >= _FIRST_ANSWERS or found.wrong)
        for number in range(kills):
            enough = len(found.answers) + _ANSWERS_BETWEEN
            until(lambda: len(found.answers) >= enough or found.wrong)  # noqa: B023  called now
            time.sleep(chance.uniform(0, _MAX_PAUSE))
            victims[hosts.kill(chance, parent=number % _PARENTS == _PARENTS // 2)] += 1
            assert not found.wrong, found.wrong
        enough = len(found.answers) + _FIRST_ANSWERS
        until(lambda: len(found.answers) >= enough or found.wrong)
    finally:
        for each in clients:
            each.stop()
        for each in clients:
            each.join()
    assert not found.wrong, found.wrong
    for server in hosts.servers:
        assert server.stop() == 0
        assert "Traceback" not in server.failure()
        _close(server)
    size = check_all(hosts, found, key, origin)
    check_writes(hosts)
    entries = len({asked for asked, _ in found.answers})
    return (
        f"{victims['worker']} workers and {victims['parent']} parents killed; {size} entries,"
        f" {len(found.answers)} answers about {entries} of them, all proven;"
        f" {len(found.checkpoints)} more checkpoints consistent;"
        f" {found.broken} connections broken, {found.landed} new entries were in the"
        f" log, unanswered, before they were asked for again, {found.refused} times 503"
    )


def check_all(hosts: Hosts, found: Found, key: PublicKey, origin: str) -> int:
    """Prove the whole log and every promise from the stores; give the log's size."""
    script = Path(sys.executable).parent / "touchplate"
    subprocess.run(
        [
            *(script, "log", "check", "--entries", "--data", str(hosts.folders[0])),
            *hosts.options,
        ],
        check=True,
        env={**os.environ, **S3_ENVIRON},
        stdout=subprocess.DEVNULL,
    )
    bodies = read_log(hosts)
    assert len(set(bodies)) == len(bodies)
    v2, v1 = note_verifier(origin, key), rekor_v1_verifier(key)
    seen: dict[int, bytes] = {}

    def see(size: int, root: bytes) -> None:
        assert seen.setdefault(size, root) == root

    indexes: dict[Asked, int] = {}
    for asked, answer in found.answers:
        entry = read_answer(asked, answer)
        assert entry.proof is not None
        index = place_of(entry)
        assert indexes.setdefault(asked, index) == index
        assert bodies[index] == entry.body
        checkpoint = open_checkpoint(
            entry.proof.checkpoint, v1 if asked.is_v1 else v2, v1=asked.is_v1
        )
        check_inclusion(
            index, checkpoint.size, leaf_hash(entry.body), entry.proof.hashes, checkpoint.root
        )
        see(checkpoint.size, checkpoint.root)
    assert len(set(indexes.values())) == len(indexes)
    for envelope in found.checkpoints:
        v2.check(parse_note(envelope))
        checkpoint = parse_checkpoint(parse_note(envelope))
        see(checkpoint.size, checkpoint.root)
    check_prefixes(bodies, seen)
    return len(bodies)


def check_prefixes(bodies: Sequence[bytes], seen: dict[int, bytes]) -> None:
    """Prove that each root is that of the tree of so many first entries."""
    assert seen.pop(0, EMPTY_ROOT) == EMPTY_ROOT
    edge = EMPTY_EDGE
    for size in sorted(seen):
        assert size <= len(bodies)
        growth = extend(edge, [leaf_hash(body) for body in bodies[edge.size : size]])
        assert growth.root() == seen[size]
        edge = growth.edge


def read_log(hosts: Hosts) -> list[bytes]:
    """Read all entries."""
    data = hosts.folders[0]
    with DataFolder.serve(data) as folder:
        origin, follows = choose_origin(folder.instance, None, ("127.0.0.1", 1))
        deployment = open_deployment(
            folder,
            origin,
            follows=follows,
            settings=ServeSettings(data, storage=hosts.storage),
            now=lambda: datetime.now(UTC),
            environ=S3_ENVIRON,
        )
        try:
            size = deployment.tlog.checkpoint().size
            entries = [deployment.tlog.entry(index) for index in range(size)]
        finally:
            deployment.close()
    return [record_data(entry.record) for entry in entries if entry is not None]


def check_writes(hosts: Hosts) -> None:
    """Prove that the service goes on."""
    server = hosts.begin(hosts.folders[0])
    signer = generate("ecdsa-p256")
    try:
        for is_v1 in (True, False):
            asked = ask_for(os.urandom(16), signer, is_v1=is_v1)
            connection = server.connect()
            connection.request("POST", asked.path, asked.body, JSON)
            response = connection.getresponse()
            assert response.status == 201, response.read()
            connection.close()
        assert server.stop() == 0
    finally:
        _close(server)


def _close(server: Server) -> None:
    server.stop(signal.SIGKILL)
    for stream in (server.process.stdout, server.process.stderr):
        assert stream is not None
        stream.close()


def _close_all(servers: Sequence[Server]) -> None:
    for each in servers:
        _close(each)


@contextmanager
def on_sqlite(folder: Path) -> Iterator[Hosts]:
    """Run one host with three workers on SQLite and a folder."""
    with _hosts((folder / "data",), StorageSettings(), (), "3") as hosts:
        yield hosts


@contextmanager
def on_postgres(folder: Path) -> Iterator[Hosts]:
    """Run two hosts with two workers each on PostgreSQL and S3."""
    with PostgresServer() as database, S3Server() as objects:
        storage = StorageSettings(database.uri(), objects.uri())
        assert storage.database is not None
        assert storage.objects is not None
        options = ("--database", storage.database, "--objects", storage.objects)
        with _hosts((folder / "one", folder / "two"), storage, options, "2") as hosts:
            yield hosts


@contextmanager
def _hosts(
    folders: tuple[Path, ...], storage: StorageSettings, options: tuple[str, ...], workers: str
) -> Iterator[Hosts]:
    ports = dict(zip(folders, free_ports(len(folders)), strict=True))

    def begin(data: Path) -> Server:
        server = Server(
            data,
            *("--url", URL, *options, "--workers", workers),
            listen=f"127.0.0.1:{ports[data]}",
            environ=S3_ENVIRON,
        )
        try:
            server.wait_until_listening()
        except BaseException:
            _close(server)
            raise
        return server

    with ExitStack() as stack:
        servers: list[Server] = []
        hosts = Hosts(servers, folders, begin, storage, options)
        stack.callback(_close_all, servers)
        servers.append(begin(folders[0]))
        for each in folders[1:]:
            copy_host(folders[0], each)
            servers.append(begin(each))
        yield hosts


STORES: Final = {"sqlite": on_sqlite, "postgres": on_postgres}


def main() -> None:
    """Kill, prove, tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="of each store")
    parser.add_argument("--store", choices=(*STORES, "both"), default="both")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    for name, opened in STORES.items():
        if arguments.store in {name, "both"}:
            print(f"{name}, seed {arguments.seed}", flush=True)  # noqa: T201 - a program
            with TemporaryDirectory() as folder, opened(Path(folder)) as hosts:
                print(f"  {run(hosts, arguments.kills, arguments.seed)}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
