"""API v2: an entry in, a proof out, and the same log as tiles."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tlog.service import ORIGIN, Service
from touchplate.formats.bundle import parse_entry
from touchplate.formats.checkpoint import open_checkpoint
from touchplate.formats.note import note_verifier
from touchplate.merkle.proof import check_inclusion
from touchplate.merkle.tree import leaf_hash, root_hash
from touchplate.tilelog.bundle import record_data, split_records

Worked = Callable[[str], bytes]
Requests = Callable[[int], list[bytes]]
ENTRIES = "/api/v2/log/entries"


def encode(value: object) -> bytes:
    """Write JSON."""
    return json.dumps(value).encode()


def check_answer(service: Service, body: bytes) -> dict[str, Any]:
    """Prove an entry as a client does, and give it."""
    answer: dict[str, Any] = json.loads(body)
    entry = parse_entry(body)
    assert entry.proof is not None
    assert entry.log_id == service.key.log_id
    verifier = note_verifier(ORIGIN, service.signer.public_key)
    checkpoint = open_checkpoint(entry.proof.checkpoint, verifier, v1=False)
    assert (checkpoint.size, checkpoint.root) == (entry.proof.tree_size, entry.proof.root_hash)
    assert entry.log_index == entry.proof.log_index
    leaf = leaf_hash(entry.body)
    check_inclusion(entry.log_index, checkpoint.size, leaf, entry.proof.hashes, checkpoint.root)
    return answer


@pytest.mark.parametrize(
    "folder", ["hashedrekord_v002", "hashedrekord_v002_dsse", "hashedrekord_v002_ed25519ph"]
)
def test_worked_example(service: Service, worked: Worked, folder: str) -> None:
    """The first entry of a log: every member as published."""
    response = service.call("POST", ENTRIES, worked(f"{folder}/request.json"))
    assert (response.status, response.header("content-type")) == (201, "application/json")
    answer = check_answer(service, response.body)
    proof = answer.pop("inclusionProof")
    assert answer == {
        "logIndex": "0",
        "logId": {"keyId": b64encode(service.key.log_id).decode()},
        "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
        "integratedTime": "0",
        "inclusionPromise": None,
        "canonicalizedBody": b64encode(worked(f"{folder}/body.json")).decode(),
    }
    assert proof["hashes"] == []
    leaf = bytes.fromhex(worked(f"{folder}/leaf_hash").decode().strip())
    assert b64decode(proof["rootHash"]) == leaf


def test_many(service: Service, requests_v2: Requests) -> None:
    """Every entry of many at once has its own index and a proof for a published checkpoint."""
    responses = service.call_all("POST", ENTRIES, requests_v2(300))
    assert {response.status for response in responses} == {201}
    answers = [check_answer(service, response.body) for response in responses]
    assert sorted(int(answer["logIndex"]) for answer in answers) == list(range(300))


def test_again(service: Service, requests_v2: Requests) -> None:
    """The same entry again is answered with its index and a fresh proof."""
    first, second = requests_v2(2)
    before = check_answer(service, service.call("POST", ENTRIES, first).body)
    service.call("POST", ENTRIES, second)
    response = service.call("POST", ENTRIES, first)
    assert response.status == 201
    after = check_answer(service, response.body)
    assert after["logIndex"] == before["logIndex"]
    assert after["inclusionProof"]["treeSize"] == "2"


def test_again_strict(strict_service: Service, requests_v2: Requests) -> None:
    """With the option the same entry again is a conflict that names its index."""
    (request,) = requests_v2(1)
    assert strict_service.call("POST", ENTRIES, request).status == 201
    response = strict_service.call("POST", ENTRIES, request)
    assert (response.status, response.header("x-log-index")) == (409, "0")
    text = "an equivalent entry already exists in the transparency log with index 0"
    assert json.loads(response.body) == {"code": 6, "message": text, "details": []}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "invalid type, must be either hashedrekord or dsse"),
        (b'{"hashedRekordRequestV002":null}', "invalid type, must be either hashedrekord or dsse"),
        (b'{"dsseRequestV002":{}}', "signatures is not as it should be"),
        (b'{"hashedRekordRequestV002":{"digest":"AA==","more":1}}', "not a known field"),
        (b'{"hashedRekordRequestV002":{}}', "invalid hashedrekord request: digest, signature"),
    ],
)
def test_bad_request(service: Service, body: bytes, message: str) -> None:
    """Bad requests are 400 with the gRPC code for an invalid argument, and nothing is written."""
    response = service.call("POST", ENTRIES, body)
    assert response.status == 400
    answer = json.loads(response.body)
    assert (answer["code"], answer["details"]) == (3, [])
    assert message in answer["message"]
    assert service.tiles.checkpoint().size == 0


def test_envelope(service: Service, worked: Worked) -> None:
    """An envelope is logged as `dsse` 0.0.2, with the published leaf."""
    answer = check_answer(
        service, service.call("POST", ENTRIES, worked("dsse_v002/request.json")).body
    )
    assert answer["kindVersion"] == {"kind": "dsse", "version": "0.0.2"}
    assert b64decode(answer["canonicalizedBody"]) == worked("dsse_v002/body.json")


def test_envelope_not_taken(upstream_service: Service, worked: Worked) -> None:
    """With the setting off an envelope is refused, as upstream does, and nothing is written."""
    response = upstream_service.call("POST", ENTRIES, worked("dsse_v002/request.json"))
    assert response.status == 400
    assert json.loads(response.body)["message"] == "invalid type, must be hashedrekord"
    assert upstream_service.tiles.checkpoint().size == 0


def test_bad_signature(service: Service, requests_v2: Requests) -> None:
    """A signature that does not verify is 400, and nothing is written."""
    request = json.loads(requests_v2(1)[0])
    request["hashedRekordRequestV002"]["digest"] = b64encode(bytes(32)).decode()
    response = service.call("POST", ENTRIES, request)
    assert response.status == 400
    assert json.loads(response.body)["message"].startswith("invalid hashedrekord request")
    assert service.tiles.checkpoint().size == 0


def test_large_leaf(service: Service, requests_v2: Requests) -> None:
    """A leaf above 65,535 bytes is refused before it is queued."""
    request = json.loads(requests_v2(1)[0])
    verifier = request["hashedRekordRequestV002"]["signature"]["verifier"]
    verifier["publicKey"]["rawBytes"] = b64encode(bytes(70_000)).decode()
    assert service.call("POST", ENTRIES, request).status == 400
    assert service.tiles.checkpoint().size == 0


def test_large_body(service: Service) -> None:
    """A body above the limit is refused as upstream does."""
    response = service.call("POST", ENTRIES, b'{"a":"' + b"a" * (4 << 20) + b'"}')
    assert response.status == 400
    assert json.loads(response.body)["message"] == "http: request body too large"


@pytest.mark.parametrize("prefix", ["", "/api/v2"])
def test_tiles(service: Service, requests_v2: Requests, prefix: str) -> None:
    """The tiles and entries of both layouts lead to the checkpoint that names them."""
    service.call_all("POST", ENTRIES, requests_v2(300))
    response = service.call("GET", f"{prefix}/checkpoint")
    assert response.header("content-type") == "text/plain; charset=utf-8"
    assert response.header("cache-control") == "no-cache"
    verifier = note_verifier(ORIGIN, service.signer.public_key)
    checkpoint = open_checkpoint(response.body.decode(), verifier, v1=False)
    bundles = [service.call("GET", f"{prefix}/tile/entries/{name}") for name in ("000", "001.p/44")]
    assert {bundle.header("cache-control") for bundle in bundles} == {
        "public, max-age=604800, immutable"
    }
    records = [record for bundle in bundles for record in split_records(bundle.body)]
    leaves = [leaf_hash(record_data(record)) for record in records]
    assert len(leaves) == checkpoint.size == 300
    assert root_hash(leaves) == checkpoint.root
    hashes = [service.call("GET", f"{prefix}/tile/0/{name}").body for name in ("000", "001.p/44")]
    assert b"".join(hashes) == b"".join(leaves)
    top = service.call("GET", f"{prefix}/tile/1/000.p/1")
    assert top.body == root_hash(leaves[:256])
    assert top.header("content-type") == "application/octet-stream"


@pytest.mark.parametrize(
    "path",
    [
        "0/1",
        "0/001",
        "0/000.p/256",
        "0/000.p/0",
        "0/000.p/301",
        "1/000.p/2",
        "64/000",
        "00/000",
        "entries/001",
        "entries/x001/000",
        "data/000",
        "0/x922/x337/x203/x685/x477/580",
        "0",
        "../../etc/passwd",
        "entries/000.p/1/",
    ],
)
def test_no_such_tile(service: Service, requests_v2: Requests, path: str) -> None:
    """What the checkpoint does not imply, or is spelled another way, is 404."""
    service.call_all("POST", ENTRIES, requests_v2(3))
    assert service.call("GET", f"/tile/{path}").status == 404


def test_earlier_partial_tile(service: Service, requests_v2: Requests) -> None:
    """A partial tile of an earlier checkpoint can still be read."""
    requests = requests_v2(5)
    for request in requests:
        service.call("POST", ENTRIES, request)
    whole = service.call("GET", "/tile/0/000.p/5").body
    assert service.call("GET", "/tile/0/000.p/2").body == whole[:64]


def test_empty_log(service: Service) -> None:
    """A new log has a checkpoint of size 0."""
    text = service.call("GET", "/checkpoint").body.decode()
    root = b64encode(sha256(b"").digest()).decode()
    assert text.startswith(f"{ORIGIN}\n0\n{root}\n\n")


@settings(max_examples=60)
@given(
    body=st.binary(max_size=300)
    | st.text(max_size=60).map(lambda text: f'{{"{text}":{{}}}}'.encode())
)
def test_garbage(fuzzed: Service, body: bytes) -> None:
    """Any body that is no request is 400, never 500, and nothing is written."""
    assert fuzzed.call("POST", ENTRIES, body).status == 400
