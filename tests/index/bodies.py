"""Bodies of log entries that say what a test wants, and logs of them."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from hashlib import sha256

from touchplate.entries import hashedrekord_v002
from touchplate.formats import der
from touchplate.formats.extensions import BY_NUMBER, encode_extension
from touchplate.index import Index, IndexSettings, Query, Row, Tree
from touchplate.keys.algorithms import BY_NAME
from touchplate.merkle.tree import RootHash, leaf_hash
from touchplate.storage.database import LogDatabase
from touchplate.storage.index import IndexDatabase
from touchplate.storage.memory import MemoryLog
from touchplate.storage.objects import MemoryObjects, ObjectStore
from touchplate.tilelog.bundle import encode_record, record_data, split_records
from touchplate.tilelog.entry import Leaf, Submission
from touchplate.tilelog.log import TileLog
from touchplate.tilelog.settings import TileLogSettings

ALGORITHM = BY_NAME["PKIX_ECDSA_P256_SHA_256"]
START_MS = 1_800_000_000_000


def spki(name: str) -> bytes:
    """Give something of the shape of a SubjectPublicKeyInfo."""
    return der.sequence(der.sequence(der.oid("1.2.840.10045.2.1")), der.bit_string(name.encode()))


def certificate(
    names: Iterable[bytes], extensions: Mapping[int, str] | None = None, key: str = "key"
) -> bytes:
    """Give something of the shape of a certificate: `names` are encoded GeneralNames."""
    found = [
        der.sequence(
            der.oid("2.5.29.17"), der.boolean(True), der.octet_string(der.sequence(*names))
        )
    ]
    for number, text in (extensions or {}).items():
        value = encode_extension(BY_NUMBER[number], text)
        oid = der.oid(f"1.3.6.1.4.1.57264.1.{number}")
        found.append(der.sequence(oid, der.octet_string(value)))
    empty = der.sequence()
    signed = der.sequence(
        der.explicit(0, der.integer(2)),
        der.integer(1),
        empty,
        empty,
        empty,
        empty,
        spki(key),
        der.explicit(3, der.sequence(*found)),
    )
    return der.sequence(signed, empty, der.bit_string(b"signature"))


def email(address: str) -> bytes:
    """Give the GeneralName of an address."""
    return der.ia5_string(address, 0x81)


def uri(text: str) -> bytes:
    """Give the GeneralName of a URI."""
    return der.ia5_string(text, 0x86)


def body(
    number: int,
    name: str = "a@example.com",
    issuer: str = "https://issuer.example",
    extensions: Mapping[int, str] | None = None,
) -> bytes:
    """Give a hashedrekord 0.0.2 with a certificate; its artifact is this number."""
    names = [email(name) if "@" in name and "/" not in name else uri(name)]
    made = certificate(names, {8: issuer, **(extensions or {})}, key=f"key {number}")
    return hashedrekord_v002.encode_body(
        ALGORITHM, artifact(number), b"signature %d" % number, made, is_certificate=True
    )


def artifact(number: int) -> bytes:
    """Give the digest of the artifact with this number."""
    return sha256(b"artifact %d" % number).digest()


def digest(number: int) -> str:
    """Give the same as a query has it."""
    return f"sha256:{artifact(number).hex()}"


class Log:
    """A transparency log, in memory unless told otherwise, with a clock that a test sets."""

    def __init__(
        self, database: LogDatabase | None = None, objects: ObjectStore | None = None
    ) -> None:
        self.now_ms = START_MS
        self._place = database or MemoryLog(), objects or MemoryObjects()
        self.tiles = self._open()

    def append(self, *bodies: bytes) -> None:
        """Append entries, all in order, and wait for them."""
        futures = [
            self.tiles.append(Submission(leaf_hash(data), partial(_leaf, data))) for data in bodies
        ]
        for future in futures:
            future.result(60)

    def tree(self, tree_id: int = 7) -> Tree:
        """Give it as the index knows it."""
        return Tree(tree_id, self.tiles)

    def _open(self) -> TileLog:
        def sign(size: int, root: RootHash, time_ms: int, _: tuple[str, ...]) -> str:
            return f"{size} {root.hex()} {time_ms}"

        settings = TileLogSettings(
            name="tlog",
            entries_tile="entries",
            split=split_records,
            hashed=record_data,
            sign=sign,
            now_ms=lambda: self.now_ms,
        )
        return TileLog(settings, *self._place)


def _leaf(data: bytes, _index: int, _time_ms: int) -> Leaf:
    return Leaf(data, encode_record(data))


@contextmanager
def opened(count: int = 1) -> Iterator[list[Log]]:
    """Give some logs, and close them."""
    logs = [Log() for _ in range(count)]
    try:
        yield logs
    finally:
        for log in logs:
            log.tiles.close()


def index_of(database: IndexDatabase, *logs: Log, settings: IndexSettings | None = None) -> Index:
    """Give an index of logs, oldest first; tree ids count from 1."""
    trees = [log.tree(number) for number, log in enumerate(logs, 1)]
    return Index(trees, database, lambda: max(log.now_ms for log in logs), settings)


def everything(index: Index, query: Query, limit: int = 100) -> list[Row]:
    """Give the rows of all pages."""
    rows: list[Row] = []
    cursor: str | None = None
    for _ in range(10_000):
        page = index.search(query, cursor=cursor, limit=limit)
        rows.extend(page.rows)
        cursor = page.cursor
        if cursor is None:
            return rows
    raise AssertionError("pages without end")
