import json
from base64 import b64decode
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from touchplate.formats.checkpoint import open_checkpoint
from touchplate.merkle.proof import check_inclusion
from touchplate.merkle.tree import leaf_hash
from touchplate.testing import World
from touchplate.transport.http import Response

ANN, BOB = "ann@example.com", "bob@example.com"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Give a world in which Ann and Bob signed: files and statements, by both APIs."""
    with World() as made:
        made.sign(b"one", ANN, tlog_version=2)
        made.sign(b"two", ANN, tlog_version=1)
        made.sign(b"three", BOB, tlog_version=2)
        made.sign_statement(
            b'{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a",'
            b'"digest":{"sha256":"%b"}}],"predicateType":"https://p","predicate":{}}' % (b"0" * 64),
            BOB,
            tlog_version=1,
        )
        made.index.catch_up()
        yield made
        made.check()


def get(world: World, **fields: str) -> Response:
    """Ask."""
    return world.transport.request("GET", f"{world.url}/api/search?{urlencode(fields)}")


def found(world: World, **fields: str) -> list[dict[str, Any]]:
    """Give the rows of an answer."""
    response = get(world, **fields)
    assert response.status == 200, response.body
    rows: list[dict[str, Any]] = json.loads(response.body)["rows"]
    return rows


def indexes(world: World, **fields: str) -> list[int]:
    """Give the log indexes of an answer."""
    return [row["logIndex"] for row in found(world, **fields)]


def v1(world: World, **query: object) -> list[str]:
    """Search as the first API does."""
    response = world.transport.request(
        "POST",
        f"{world.url}/api/v1/index/retrieve",
        body=json.dumps(query).encode(),
        headers=(("content-type", "application/json"),),
    )
    assert response.status == 200, response.body
    names: list[str] = json.loads(response.body)
    return names


def test_by_everything(world: World) -> None:
    """Entries of both APIs are found by digest, name, issuer, extension and kind."""
    assert indexes(world, digest=sha256(b"one").hexdigest()) == [0]
    assert indexes(world, digest=f"sha256:{sha256(b'two').hexdigest()}") == [1]
    assert indexes(world, identity="ANN@example.com") == [1, 0]
    assert indexes(world, identity=BOB, order="oldest") == [2, 3]
    assert indexes(world, issuer=world.issuer) == [3, 2, 1, 0]
    assert indexes(world, extension=f"8={world.issuer}", identity=BOB) == [3, 2]
    assert indexes(world, extension=f"issuer={world.issuer}", limit="1") == [3]
    assert indexes(world, kind="dsse") == [3]
    assert indexes(world, since="2030-01-01", until="2030-01-02") == [3, 2, 1, 0]
    assert indexes(world, until="2030-01-01T00:00:00Z") == []


def test_row(world: World) -> None:
    """A row says what the entry says, and by which names both APIs give the entry."""
    (row,) = found(world, digest=sha256(b"two").hexdigest())

    entry = json.loads(
        world.transport.request("GET", f"{world.url}/api/v1/log/entries?logIndex=1").body
    )
    assert list(entry) == [row["entryId"]]
    assert row["identities"] == [ANN]
    assert row["issuers"] == [world.issuer]
    assert (row["kind"], row["version"], row["treeIndex"]) == ("hashedrekord", "0.0.1", 1)
    assert row["integratedTime"] == "2030-01-01T00:00:00Z"
    assert {"number": 8, "name": "issuer", "value": world.issuer} in row["extensions"]
    assert "proof" not in row


def test_key(world: World) -> None:
    """A key of a row finds the row."""
    (row,) = found(world, digest=sha256(b"one").hexdigest())

    for key in row["keys"]:
        assert indexes(world, key=key.upper()) == [0]


def test_proven_page(world: World) -> None:
    """With proofs a page has one checkpoint, signed by the log, that all of its rows are in."""
    answer = json.loads(get(world, proofs="true", limit="3").body)

    verifier = world.trusted_root.tlogs[0].note_verifier(v1=False)
    checkpoint = open_checkpoint(answer["checkpoint"], verifier, v1=False)
    assert len(answer["rows"]) == 3
    for row in answer["rows"]:
        leaf = leaf_hash(b64decode(row["body"]))
        proof = tuple(map(bytes.fromhex, row["proof"]))
        check_inclusion(row["treeIndex"], checkpoint.size, leaf, proof, checkpoint.root)


def test_pages(world: World) -> None:
    """Following the cursors gives every row once; the last page has none."""
    rows, cursor, pages = [], "", 0
    while True:
        fields = {"cursor": cursor} if cursor else {}
        answer = json.loads(get(world, limit="3", **fields).body)
        rows += [row["logIndex"] for row in answer["rows"]]
        cursor, pages = answer["next"], pages + 1
        if cursor is None:
            break

    assert rows == [3, 2, 1, 0]
    assert pages == 2


def test_lag_is_told(world: World) -> None:
    """The answer, /readyz and /metrics say how far the index is."""
    with World() as other:
        other.sign(b"one")
        other.index.catch_up()
        other.sign(b"two")
        tree = other.deployment.shards.active.key.tree_id

        answer = json.loads(get(other).body)
        ready = json.loads(other.transport.request("GET", f"{other.url}/readyz").body)
        metrics = other.transport.request("GET", f"{other.url}/metrics").body.decode()

    state = {"treeId": str(tree), "indexed": 1, "size": 2, "behindSeconds": 0}
    assert answer["index"] == ready["index"] == [state]
    assert ready["status"] == "SERVING"
    assert f'touchplate_index_entries{{tree="{tree}"}} 1\n' in metrics
    assert f'touchplate_index_lag_entries{{tree="{tree}"}} 1\n' in metrics


@pytest.mark.parametrize(
    "query",
    [
        "digest=abc",
        "digest=sha256:xyz",
        "digest=",
        "identity=",
        f"identity={'x' * 3000}",
        "key=00",
        "extension=20",
        "extension=push",
        "extension=0=a",
        "extension=128=a",
        "extension=999999999999=a",
        "extension=nobody=a",
        "kind=Hashed Rekord",
        "since=yesterday",
        "until=2030-13-01",
        "since=2030-01-01&since=2031-01-01",
        "order=random",
        "limit=0",
        "limit=101",
        "limit=ten",
        "proofs=yes",
        "cursor=nonsense",
        "identiy=a",
        "&".join(["identity=a"] * 17),
        "&".join(f"x{number}=1" for number in range(2000)),
    ],
)
def test_refused(world: World, query: str) -> None:
    """A query that is not understood is a problem of the sender, never a wider search."""
    response = world.transport.request("GET", f"{world.url}/api/search?{quote(query, safe='&=:')}")

    assert response.status == 400
    assert json.loads(response.body)["code"] == "REQUEST_MALFORMED"
    assert response.header("content-type") == "application/problem+json"


def test_first_api(world: World) -> None:
    """The first API's search finds entries of both, by its own keys and prefixes."""
    ids = {row["logIndex"]: row["entryId"] for row in found(world)}

    assert v1(world, email="Ann@Example.com") in ([ids[0], ids[1]], [ids[1], ids[0]])
    assert v1(world, hash=sha256(b"one").hexdigest()) == [ids[0]]
    assert v1(world, email=ANN, hash=f"sha256:{sha256(b'two').hexdigest()}", operator="and") == [
        ids[1]
    ]
    assert set(v1(world, email=ANN, hash=sha256(b"three").hexdigest())) == {ids[0], ids[1], ids[2]}
    assert v1(world, email="nobody@example.com") == []
    assert v1(world) == []


def test_first_api_public_key(world: World) -> None:
    """A certificate leads to hashedrekord entries, and not to envelopes: their keys differ."""
    entries = {}
    for index in (1, 3):
        url = f"{world.url}/api/v1/log/entries?logIndex={index}"
        (entry,) = json.loads(world.transport.request("GET", url).body).values()
        entries[index] = json.loads(b64decode(entry["body"]))["spec"]
    of_file = entries[1]["signature"]["publicKey"]["content"]
    of_envelope = entries[3]["signatures"][0]["verifier"]
    ids = {row["logIndex"]: row["entryId"] for row in found(world)}

    assert v1(world, publicKey={"format": "x509", "content": of_file}) == [ids[1]]
    assert v1(world, publicKey={"format": "x509", "content": of_envelope}) == []
