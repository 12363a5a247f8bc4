"""The log as files: which exist, how they are spelled, and how they are sent."""

import gzip
from collections.abc import Callable, Iterator
from hashlib import sha256

import pytest

from tests.tlog.service import Service
from touchplate.merkle.tile import TILE_WIDTH, tile_path
from touchplate.merkle.tree import leaf_hash, node_hash
from touchplate.tilelog.bundle import encode_record
from touchplate.tilelog.entry import Leaf, Submission

Requests = Callable[[int], list[bytes]]
ENTRIES = "/api/v2/log/entries"
BODY = b'{"kind":"a body of some length, the same for every entry but for its number","index":%d}'


def fill(service: Service, size: int) -> None:
    """Append entries without signatures until the log has `size` of them."""
    have = service.tiles.checkpoint().size
    futures = []
    for number in range(have, size):
        data = BODY % number
        leaf = Leaf(data, encode_record(data))
        identity = leaf_hash(data)
        futures.append(
            service.tiles.append(Submission(identity, lambda _index, _time, leaf=leaf: leaf))  # type: ignore[misc]  # a bound default
        )
        if len(futures) == 2000:
            [future.result(60) for future in futures]
            futures.clear()
    [future.result(60) for future in futures]
    assert service.tiles.checkpoint().size == size


def hash_at(level: int, index: int) -> bytes:
    """Compute a tile's hash from the leaves."""
    hashes = [
        leaf_hash(BODY % number)
        for number in range(index * TILE_WIDTH**level, (index + 1) * TILE_WIDTH**level)
    ]
    row: list[bytes] = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


@pytest.fixture(scope="module")
def filled() -> Iterator[Service]:
    """A log of 600 entries."""
    made = Service()
    fill(made, 600)
    yield made
    made.close()


@pytest.fixture(scope="module")
def growing() -> Iterator[Service]:
    """A log that tests fill further."""
    made = Service()
    yield made
    made.close()


def status(service: Service, path: str) -> int:
    """Ask for a file."""
    return service.call("GET", path).status


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 600])
def test_widths(growing: Service, size: int) -> None:
    """At each size each level has just what is whole, and every partial tile of smaller sizes."""
    fill(growing, size)
    for level in (0, 1, 2):
        hashes = size >> 8 * level
        for index in range(3):
            width = min(256, max(0, hashes - 256 * index))
            assert (status(growing, f"/{tile_path(level, index)}") == 200) == (width == 256)
            for part in (1, 2, 3, 44, 88, 254, 255):
                found = status(growing, f"/{tile_path(level, index, part)}")
                assert (found == 200) == (part <= width), (level, index, part)


@pytest.mark.parametrize("prefix", ["", "/api/v2"])
def test_content(filled: Service, prefix: str) -> None:
    """A partial file is the beginning of the full one; hashes are those of the leaves below."""
    for path, level, index in (("0", 0, 0), ("1", 1, 0), ("entries", 0, 0)):
        longest = {"0": 255, "1": 2, "entries": 255}[path]
        whole = filled.call("GET", f"{prefix}/tile/{path}/000.p/{longest}").body
        part = filled.call("GET", f"{prefix}/tile/{path}/000.p/1").body
        assert whole.startswith(part)
        if path != "entries":
            assert part == hash_at(level, index)
            assert len(whole) == 32 * longest
    full = filled.call("GET", f"{prefix}/tile/0/001").body
    assert len(full) == 8192
    assert full[:32] == leaf_hash(BODY % 256)
    bundle = filled.call("GET", f"{prefix}/tile/entries/002.p/88").body
    assert bundle == b"".join(encode_record(BODY % number) for number in range(512, 600))


@pytest.mark.slow
def test_third_level() -> None:
    """At 70,000 entries: 273 full tiles and 112 hashes, 1 full and 17, and one at level 2."""
    service = Service()
    fill(service, 70_000)
    for path, found in (
        ("0/272", 200),
        ("0/273", 404),
        ("0/273.p/112", 200),
        ("0/273.p/113", 404),
        ("1/000", 200),
        ("1/001", 404),
        ("1/001.p/17", 200),
        ("1/001.p/18", 404),
        ("2/000.p/1", 200),
        ("2/000.p/2", 404),
        ("2/000", 404),
        ("3/000.p/1", 404),
        ("entries/273.p/112", 200),
    ):
        assert status(service, f"/tile/{path}") == found, path
    top = service.call("GET", "/tile/2/000.p/1").body
    assert top == hash_at(2, 0)
    service.close()


@pytest.mark.parametrize(
    "path",
    [
        *(
            "0/0",
            "0/00",
            "0/0000",
            "0/0001",
            "0/x000/000",
            "0/000.p/01",
            "0/000.p/00",
            "0/000.p/+1",
        ),
        *("0/000.p/0", "0/000.p/256", "0/000.p/257", "0/000.p/", "0/000.p", "0/000.p/1/", "0/000/"),
        *(
            "0/000.p/1.p/1",
            "0/-01",
            "0/\u0660\u0660\u0660",
            "0/1000",
            "0/x1/000",
            "0/000.P/1",
            "0/ 000",
        ),
        *("00/000", "01/000.p/1", "+0/000", "64/000", "-1/000", "0x0/000", "/000", "0//000"),
        *("Entries/000", "entries/0", "entries/000.p/256", "entries", "data/000", "0", ""),
        *("entries/../0/000", "../checkpoint", "0/000\n", "0/003", "0/002.p/89", "1/000.p/3"),
        *("0/999", "0/x001/000", "0/x999/x999/x999/x999/x999/x999/999", "63/000.p/1"),
    ],
)
@pytest.mark.parametrize("prefix", ["/tile/", "/api/v2/tile/"])
def test_no_such_file(filled: Service, prefix: str, path: str) -> None:
    """Another spelling, or what the checkpoint does not imply, is 404 and not to be kept."""
    response = filled.call("GET", prefix + path)
    assert response.status == 404
    if response.header("content-type") == "text/plain; charset=utf-8":
        assert response.header("cache-control") == "no-cache"


def test_headers(filled: Service) -> None:
    """Tiles are kept for ever, the checkpoint not; only what may be packed varies."""
    for path in ("/tile/0/000", "/tile/0/000.p/7", "/tile/entries/000", "/tile/entries/000.p/7"):
        response = filled.call("GET", path)
        assert response.header("cache-control") == "public, max-age=604800, immutable"
        assert response.header("content-type") == "application/octet-stream"
        assert (response.header("vary") == "Accept-Encoding") == ("entries" in path)
    checkpoint = filled.call("GET", "/checkpoint")
    assert checkpoint.header("cache-control") == "no-cache"
    assert checkpoint.header("content-type") == "text/plain; charset=utf-8"


@pytest.mark.parametrize("name", ["000", "002.p/88"])
def test_gzip(filled: Service, name: str) -> None:
    """A client that takes gzip gets a bundle in it, the same bytes once unpacked; others do not."""
    path = f"/tile/entries/{name}"
    plain = filled.call("GET", path)
    packed = filled.call("GET", path, headers=(("accept-encoding", "gzip, identity"),))
    assert packed.header("content-encoding") == "gzip"
    assert packed.header("vary") == "Accept-Encoding"
    assert packed.header("content-length") == str(len(packed.body))
    assert len(packed.body) < len(plain.body) / 2
    assert gzip.decompress(packed.body) == plain.body
    for refused in ("gzip;q=0", "br", "identity"):
        response = filled.call("GET", path, headers=(("accept-encoding", refused),))
        assert response.header("content-encoding") is None
        assert response.body == plain.body


@pytest.mark.parametrize("path", ["/tile/0/000", "/checkpoint", "/tile/entries/000.p/1"])
def test_never_packed(filled: Service, path: str) -> None:
    """Hashes do not get shorter, and what is short already is sent as it is."""
    response = filled.call("GET", path, headers=(("accept-encoding", "gzip"),))
    assert response.header("content-encoding") is None


@pytest.mark.parametrize("accepted", ["gzip", ""])
def test_head(filled: Service, accepted: str) -> None:
    """HEAD has the headers of GET, the length too, and no body."""
    headers = (("accept-encoding", accepted),)
    for path in ("/checkpoint", "/tile/0/000", "/tile/entries/001", "/tile/0/009"):
        got = filled.call("GET", path, headers=headers)
        head = filled.call("HEAD", path, headers=headers)
        assert (head.status, head.headers, head.body) == (got.status, got.headers, b"")


def test_scripts_of_any_origin(filled: Service) -> None:
    """Files can be read by scripts, packed ones too."""
    headers = (("origin", "https://a.example"), ("accept-encoding", "gzip"))
    for path in ("/checkpoint", "/tile/0/000", "/api/v2/tile/entries/000"):
        response = filled.call("GET", path, headers=headers)
        assert response.header("access-control-allow-origin") == "*"
    preflight = filled.call(
        "OPTIONS", "/tile/0/000", headers=(*headers, ("access-control-request-method", "GET"))
    )
    assert preflight.status == 204
    assert "GET" in (preflight.header("access-control-allow-methods") or "")


def test_wrong_method(filled: Service) -> None:
    """Nothing but reading works on a file."""
    assert filled.call("POST", "/tile/0/000", b"x").status == 405
    assert filled.call("POST", "/api/v2/tile/0/000", b"x").status == 501


def test_shards(requests_v2: Requests) -> None:
    """Each tree has its files below its id; the active one has them at the top too."""
    old, new = Service(tree_id=0x0123456789ABCDEF), Service(tree_id=7)
    fill(old, 3)
    frozen = old.tiles.freeze("Log frozen — Mon Jan  2 15:04:05 UTC 2006")
    fill(new, 2)
    new.restart(old.log)
    below = "/shards/0123456789abcdef"
    assert new.call("GET", f"{below}/checkpoint").body == frozen.envelope.encode()
    assert new.call("GET", f"{below}/tile/0/000.p/3").status == 200
    assert new.call("GET", "/tile/0/000.p/3").status == 404
    entries = new.call("GET", f"{below}/tile/entries/000.p/3")
    assert entries.body == old.call("GET", "/tile/entries/000.p/3").body
    active = new.call("GET", "/shards/0000000000000007/checkpoint")
    assert active.body == new.call("GET", "/checkpoint").body
    for name in ("0123456789ABCDEF", "123456789abcdef", "0000000000000008", "7", "0" * 16):
        assert new.call("GET", f"/shards/{name}/checkpoint").status == 404
        assert new.call("GET", f"/shards/{name}/tile/0/000.p/1").status == 404
    old.close()
    new.close()


def test_published_files(worked: Callable[[str], bytes]) -> None:
    """The log of the published example has its files, byte for byte, and its root."""
    service = Service()
    for data in (worked("hashedrekord_v002/body.json"), b"second"):
        leaf = Leaf(data, encode_record(data))
        identity = leaf_hash(data)
        future = service.tiles.append(
            Submission(identity, lambda _index, _time, leaf=leaf: leaf)  # type: ignore[misc]  # a bound default
        )
        future.result(10)
    tile = service.call("GET", "/tile/0/000.p/2").body
    assert tile.hex() == (
        "46e26a940c9e3166636075ce65e933cea0c54dec3c5743b9fef0c64a5cccee30"
        "a94dd4d3c2c6d2548ca4e560d72727bab5d795500191f5b85579130dd3b14603"
    )
    bundle = service.call("GET", "/tile/entries/000.p/2").body
    assert len(bundle) == 499
    assert bundle.startswith(bytes.fromhex("01e97b2261706956657273696f6e223a"))
    assert sha256(bundle).hexdigest() == (
        "bf5e9ab85b54c47aff9049de3ff0cdaa788fa4adaee75a4c5f865fc3e3db5c86"
    )
    assert service.tiles.checkpoint().root.hex() == (
        "db085f4b2abe0b451750d2f6430a37856602af332e06ed8a2dc8b0d03f24d132"
    )
    service.close()
