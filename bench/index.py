"""The search index: what following costs, what a search costs: `python -m bench.index [ENTRIES]`.

The log holds hashedrekord 0.0.2 entries with certificates for e-mail addresses, of 5000 people in
two sizes of diligence; each entry has its own key and artifact. Log and index are in a folder, on
SQLite. Disk space: about 2 KB an entry, below TMPDIR.
"""

import random
import statistics
import sys
import tempfile
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Final

from bench.growth import peak, stored
from bench.tilelog import SETTINGS
from touchplate.entries.conditions import read_digest
from touchplate.entries.hashedrekord_v002 import encode_body
from touchplate.entries.terms import terms
from touchplate.formats.jsontext import parse_json
from touchplate.index import Index, Page, Query, Tree
from touchplate.index.texts import hasher, terms_of
from touchplate.keys.algorithms import BY_NAME
from touchplate.merkle.tree import leaf_hash
from touchplate.storage.folder import FolderObjects
from touchplate.storage.index_sqlite import SQLiteIndex
from touchplate.storage.sqlite import SQLiteLog
from touchplate.testing import World
from touchplate.tilelog.bulk import LoadedEntry, load
from touchplate.tilelog.bundle import encode_record
from touchplate.tilelog.entry import Leaf
from touchplate.tilelog.log import TileLog

_ENTRIES: Final = 100_000
_PEOPLE: Final = 5000
_ASKED: Final = 40  # searches of each kind
_MARK: Final = b"maker-00000@example.com"
_ALGORITHM: Final = BY_NAME["PKIX_ECDSA_P256_SHA_256"]
_START_MS: Final = 1_800_000_000_000


def certificate() -> bytes:
    """Give a certificate of our authority for an address that can be replaced."""
    with World() as world:
        body = world.sign(b"artifact", _MARK.decode()).entries[0].body
    spec = parse_json(body, what="body", max_bytes=65_536)["spec"]["hashedRekordV002"]
    return b64decode(spec["signature"]["verifier"]["x509Certificate"]["rawBytes"])


def person(number: int) -> str:
    """Give the address that signed an entry: a few sign most of them."""
    chance = random.Random(number)
    return f"maker-{int(_PEOPLE * chance.random() ** 3):05}@example.com"


def digest(number: int) -> bytes:
    """Give the digest of an entry's artifact."""
    return sha256(b"artifact %d" % number).digest()


def bodies(count: int) -> Iterator[bytes]:
    """Make entries; nobody checks their signatures here."""
    template = certificate()
    point = template.index(b"\x03\x42\x00\x04") + 4
    assert _MARK in template
    for number in range(count):
        key = sha256(b"x %d" % number).digest() + sha256(b"y %d" % number).digest()
        der = template[:point] + key + template[point + 64 :]
        der = der.replace(_MARK, person(number).encode())
        yield encode_body(_ALGORITHM, digest(number), key + b"signature", der, is_certificate=True)


def entries(count: int) -> Iterator[LoadedEntry]:
    """Make what is loaded, ten entries a second."""
    for number, body in enumerate(bodies(count)):
        leaf = Leaf(body, encode_record(body))
        yield LoadedEntry(leaf_hash(body), leaf, _START_MS + 100 * number)


def median_ms(ask: Callable[[int], Page]) -> tuple[float, float]:
    """Give median and worst of some searches, in ms."""
    took = []
    for number in range(_ASKED):
        begun = time.perf_counter()
        ask(number)
        took.append((time.perf_counter() - begun) * 1000)
    return statistics.median(took), max(took)


def reading() -> tuple[float, float]:
    """Give the CPU seconds of reading one entry's terms, and of making the database's of them."""
    some = list(bodies(500))
    make = hasher(bytes(16))
    best = [1.0, 1.0]
    for _ in range(5):
        begun = time.process_time()
        found = [terms(body) for body in some]
        read = time.process_time()
        for each in found:
            terms_of(each, make)
        done = time.process_time()
        best = [min(best[0], read - begun), min(best[1], done - read)]
    return best[0] / len(some), best[1] / len(some)


def show(index: Index, count: int) -> None:
    """Ask each kind of question."""
    seed = random.Random(7)

    def number(_: int) -> int:
        return seed.randrange(count)

    asked: dict[str, Callable[[int], Page]] = {
        "digest, found": lambda n: index.search(
            Query(digests=(read_digest(f"sha256:{digest(number(n)).hex()}"),))
        ),
        "digest, not there": lambda n: index.search(
            Query(digests=(f"sha256:{sha256(b'%d' % n).hexdigest()}",))
        ),
        "identity, 20 rows": lambda n: index.search(Query(identities=(person(number(n)),))),
        "the same, proven": lambda n: index.search(
            Query(identities=(person(number(n)),)), proofs=True
        ),
        "identity and kind": lambda n: index.search(
            Query(identities=(person(number(n)),), kinds=("hashedrekord",))
        ),
        "newest of all": lambda _: index.search(Query()),
    }
    for name, ask in asked.items():
        median, worst = median_ms(ask)
        print(f"  {name:<20} median {median:7.2f} ms, worst {worst:7.2f} ms")


def main() -> None:
    """Load, index, ask."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else _ENTRIES
    read, made = reading()
    print(f"terms of one entry: {read * 1e6:.1f} us, hashed {made * 1e6:.1f} us of CPU")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database, objects = SQLiteLog(folder / "log.db"), FolderObjects(folder / "objects")
        TileLog(SETTINGS, database, objects).close()
        load(SETTINGS, database, objects, entries(count))
        log = TileLog(SETTINGS, database, objects)
        with closing(database), closing(log), closing(SQLiteIndex(folder / "index.db")) as found:
            index = Index((Tree(1, log),), found, SETTINGS.now_ms)
            cpu, wall = time.process_time(), time.perf_counter()
            index.catch_up()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            assert index.progress()[0].indexed == count
            print(
                f"following {count} entries: {cpu / count * 1e6:.1f} us of CPU each,"
                f" {count / cpu:.0f}/s and core, {count / wall:.0f}/s by the clock,"
                f" peak {peak():.0f} MiB"
            )
            log_bytes = stored(folder / "objects") / count
            print(f"index: {index.size() / count:.1f} bytes an entry; the log: {log_bytes:.0f}")
            show(index, count)


if __name__ == "__main__":
    main()
