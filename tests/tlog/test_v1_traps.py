"""The twenty-four traps of log-v1: what a log of this API gets wrong first, each with its test.

`TRAPS` says where the test of each stands: here, or beside what it is about.
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.tlog.clients import ENTRIES, check_entry, create, fault
from tests.tlog.service import START_MS, Service
from touchplate.entries.proposed import parse_proposed
from touchplate.errors import RefusedError
from touchplate.formats.dsse import pae
from touchplate.keys.algorithms import by_name
from touchplate.keys.pem import encode_pem
from touchplate.keys.public import check_signature, load_public_key_pem
from touchplate.keys.signer import generate
from touchplate.merkle.proof import check_inclusion
from touchplate.merkle.tree import RootHash, leaf_hash
from touchplate.tlog import TlogSettings

Worked = Callable[[str], bytes]
TESTS = Path(__file__).resolve().parent.parent
VECTORS = TESTS / "vectors" / "log_entry_v1"

HERE = "tlog/test_v1_traps.py"
TRAPS = {
    1: ("the virtual index and the tree's own", "tlog/test_shards.py::test_virtual_index"),
    2: ("three spellings of a tree id", "tlog/test_v1.py::test_small_tree_id"),
    3: ("an ETag without quotes", "tlog/test_v1.py::test_create"),
    4: ("Location on 201 and on 409", "tlog/test_v1_http.py::test_location_of_conflict"),
    5: ("canonical JSON, not sorted JSON", f"{HERE}::test_canonical_json"),
    6: ("canonical PEM, but not in intoto 0.0.2", f"{HERE}::test_canonical_pem"),
    7: ("the envelope's hash is of the text as sent", f"{HERE}::test_envelope_as_sent"),
    8: ("base64 of base64, and a hash that nobody checks", f"{HERE}::test_intoto_oddities"),
    9: ("null is absent", "entries/test_proposed.py::test_nulls_and_more"),
    10: ("duplicates in the active tree alone", f"{HERE}::test_duplicates_of_frozen_trees"),
    11: ("signed anew, the same entry", f"{HERE}::test_signed_anew"),
    12: ("the checkpoint's name and hint", "tlog/test_key.py::test_v1_checkpoint"),
    13: ("a P-256 key", "tlog/test_key.py::test_other_keys"),
    14: ("Ed25519ph, or Ed25519", "entries/test_proposed.py::test_dsse_of_other_schemes"),
    15: ("a chain is stored whole", "entries/test_proposed.py::test_chain"),
    16: ("malformed JSON is 400", "tlog/test_v1.py::test_bad_entry"),
    17: ("404 without a body", "tlog/test_v1.py::test_not_there"),
    18: ("entries of a frozen tree", f"{HERE}::test_frozen_tree_stays"),
    19: ("the root of the newest tree", "tlog/test_v1.py::test_proof"),
    20: ("limits of retrieve", "tlog/test_v1.py::test_bad_retrieve"),
    21: ("prefixes of index keys", "tlog/test_search.py::test_public_key"),
    22: ("integers are numbers", f"{HERE}::test_integers"),
    23: ("entries that a tile log cannot hold", "tlog/test_v1.py::test_large_leaf"),
    24: ("whole seconds", f"{HERE}::test_whole_seconds"),
}


def test_every_trap() -> None:
    """Each trap has its test."""
    assert list(TRAPS) == list(range(1, 25))
    for _, place in TRAPS.values():
        file, _, name = place.partition("::")
        assert re.search(rf"^def {name}\(", (TESTS / file).read_text(), re.MULTILINE), place


def test_canonical_json(service: Service, worked: Worked) -> None:
    """What is not ASCII is written as it is, `/` too; control characters as RFC 8785 has them."""
    request = json.loads(worked("intoto_v002/request.json"))
    signer = generate()
    envelope = request["spec"]["content"]["envelope"]
    envelope["payloadType"] = "a/\N{LATIN SMALL LETTER E WITH ACUTE}\x1f\b"
    payload = b64decode(b64decode(envelope["payload"]))
    signature = b64encode(signer.sign(pae(envelope["payloadType"], payload)))
    pem = encode_pem("PUBLIC KEY", signer.public_key.spki)
    envelope["signatures"] = [
        {"sig": b64encode(signature).decode(), "publicKey": b64encode(pem).decode()}
    ]
    name = create(service, request)
    body = check_entry(service, name, service.get(f"{ENTRIES}/{name}")[name])
    assert b'"payloadType":"a/\xc3\xa9\\u001f\\b"' in body


def test_canonical_pem(service: Service, worked: Worked) -> None:
    """Spellings of one key make one entry; intoto 0.0.2 keeps what was sent."""
    plain, odd = (json.loads(worked("hashedrekord_v001/request.json")) for _ in range(2))
    key = odd["spec"]["signature"]["publicKey"]
    key["content"] = respelled(key["content"])
    assert create(service, plain) == create(service, odd)
    plain, odd = (json.loads(worked("intoto_v002/request.json")) for _ in range(2))
    (signature,) = odd["spec"]["content"]["envelope"]["signatures"]
    signature["publicKey"] = respelled(signature["publicKey"])
    assert create(service, plain) != create(service, odd)


def respelled(content: str) -> str:
    """Write a PEM with other line ends, text before it and none of its last newline."""
    text = b64decode(content).replace(b"\n", b"\r\n").strip()
    return b64encode(b"my key:\n" + text).decode()


def test_envelope_as_sent(service: Service, worked: Worked) -> None:
    """A space more in the envelope's JSON is another entry, with the same payload hash."""
    request = json.loads(worked("dsse_v001/request.json"))
    proposed = request["spec"]["proposedContent"]
    first = create(service, request)
    proposed["envelope"] = proposed["envelope"].replace(":", ": ", 1)
    second = create(service, request)
    specs = [
        json.loads(b64decode(service.get(f"{ENTRIES}/{name}")[name]["body"]))["spec"]
        for name in (first, second)
    ]
    assert specs[0]["payloadHash"] == specs[1]["payloadHash"]
    assert specs[1]["envelopeHash"]["value"] == sha256(proposed["envelope"].encode()).hexdigest()


def test_intoto_oddities(service: Service, worked: Worked) -> None:
    """Payload and signature are encoded twice; the client's hash is stored as it came."""
    request = json.loads(worked("intoto_v002/request.json"))
    content = request["spec"]["content"]
    content["hash"]["value"] = "ab" * 32
    name = create(service, request)
    body = json.loads(b64decode(service.get(f"{ENTRIES}/{name}")[name]["body"]))
    assert body["spec"]["content"]["hash"]["value"] == "ab" * 32
    (signature,) = content["envelope"]["signatures"]
    signature["sig"] = b64decode(signature["sig"]).decode()
    assert service.call("POST", ENTRIES, request).status == 400


def test_duplicates_of_frozen_trees(worked: Worked) -> None:
    """What a frozen tree holds is taken again, once: then it is a duplicate of the active one."""
    older, service = Service(), Service(TlogSettings(duplicate_is_conflict=True))
    request = json.loads(worked("dsse_v001/request.json"))
    before = create(older, request)
    older.tiles.freeze("Log frozen")
    service.restart(older.log)
    name = create_in(service, request)
    assert (name[16:], name[:16]) == (before[16:], f"{service.key.tree_id:016x}")
    response = service.call("POST", ENTRIES, request)
    assert fault(response)[0] == 409
    assert response.header("location") == f"{ENTRIES}/{name}"
    older.close()
    service.close()


def create_in(service: Service, request: object) -> str:
    """Enter something in a log with several trees."""
    response = service.call("POST", ENTRIES, request)
    assert response.status == 201
    (name,) = json.loads(response.body)
    return str(name)


def test_signed_anew(service: Service, worked: Worked, envelope_v1: object) -> None:
    """Promise and checkpoint may differ each time; index, time and body never do."""
    name = create(service, worked("hashedrekord_v001/request.json"))
    seen = []
    for request in (None, envelope_v1):
        if request is not None:
            create(service, request)
        entry: dict[str, Any] = service.get(f"{ENTRIES}/{name}")[name]
        check_entry(service, name, entry)
        seen.append((entry.pop("verification")["signedEntryTimestamp"], entry))
    assert seen[0][1] == seen[1][1]
    assert seen[0][0] != seen[1][0]


def test_frozen_tree_stays(service: Service, worked: Worked, envelopes: list[object]) -> None:
    """An entry of a frozen tree has that tree's key, size and root, however the log grows."""
    older = Service()
    name = create(older, worked("hashedrekord_v001/request.json"))
    create(older, envelopes[0])
    older.tiles.freeze("Log frozen")
    service.restart(older.log)
    before = service.get(f"{ENTRIES}/{name}")[name]
    for request in envelopes[1:5]:
        assert service.call("POST", ENTRIES, request).status == 201
    after = service.get(f"{ENTRIES}/{name}")[name]
    check_entry(older, name, after)
    proofs = [entry["verification"]["inclusionProof"] for entry in (before, after)]
    checkpoints = [proof.pop("checkpoint").split("\n") for proof in proofs]
    assert checkpoints[0][:3] == [
        f"log.example.test - {older.key.tree_id}",
        "2",
        b64encode(older.tiles.checkpoint().root).decode(),
    ]
    assert proofs[0] == proofs[1]
    assert after["logID"] == older.key.log_id.hex() != service.key.log_id.hex()
    older.close()


def test_integers(service: Service, worked: Worked) -> None:
    """Indexes, sizes and times are JSON numbers, the tree's id is a string."""
    name = create(service, worked("hashedrekord_v001/request.json"))
    entry = service.get(f"{ENTRIES}/{name}")[name]
    proof = entry["verification"]["inclusionProof"]
    info = service.get("/api/v1/log")
    numbers = entry["logIndex"], entry["integratedTime"], proof["logIndex"], proof["treeSize"]
    assert {type(number) for number in (*numbers, info["treeSize"])} == {int}
    assert type(info["treeID"]) is str


def test_whole_seconds(service: Service, requests_v2: Callable[[int], list[bytes]]) -> None:
    """The time is that of integration in whole seconds, and the promise is over it."""
    service.call("POST", "/api/v2/log/entries", requests_v2(1)[0])
    ((name, entry),) = service.get(f"{ENTRIES}?logIndex=0").items()
    check_entry(service, name, entry)
    assert START_MS // 1000 <= entry["integratedTime"] < START_MS // 1000 + 60
    receipt = service.log.read(0)
    assert receipt is not None
    assert entry["integratedTime"] == receipt.time_ms // 1000


def test_production_entry() -> None:
    """A real entry of the public log: both indexes, its promise, its proof, its old algorithm."""
    ((name, entry),) = json.loads((VECTORS / "production.json").read_bytes()).items()
    key = load_public_key_pem((VECTORS / "log_key.pem").read_text())
    assert key.key_id.hex() == entry["logID"]
    body = b64decode(entry["body"])
    leaf = leaf_hash(body)
    assert (len(body), leaf.hex()) == (1785, name[16:])
    payload = {each: entry[each] for each in ("body", "integratedTime", "logID", "logIndex")}
    signed = json.dumps(payload, separators=(",", ":")).encode()
    published = "5c1a70debe7bbac4e3e72016c19b0e5c24b45c441542ed6370c8d5365382631f"
    assert (len(signed), sha256(signed).hexdigest()) == (2515, published)
    promise = b64decode(entry["verification"]["signedEntryTimestamp"])
    check_signature(key, promise, signed, by_name("PKIX_ECDSA_P256_SHA_256"))
    proof = entry["verification"]["inclusionProof"]
    assert entry["logIndex"] - proof["logIndex"] == 4_163_431
    hashes = [bytes.fromhex(node) for node in proof["hashes"]]
    root = RootHash(bytes.fromhex(proof["rootHash"]))
    check_inclusion(proof["logIndex"], proof["treeSize"], leaf, hashes, root)
    proposed = parse_proposed(body)
    assert proposed.locate() == body
    with pytest.raises(RefusedError) as caught:
        proposed.admit()
    assert caught.value.code == "ALGORITHM_REFUSED"
