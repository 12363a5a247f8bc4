"""API v1: an entry in, a promise and a proof out, and every way to find it again."""

import json
import logging
from base64 import b64decode, b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tlog.clients import ENTRIES, check_entry, create, fault, opened
from tests.tlog.service import START_MS, Service
from touchplate.entries.admission import Admitted
from touchplate.errors import VerificationError
from touchplate.keys.public import load_public_key_pem
from touchplate.merkle.proof import check_consistency
from touchplate.merkle.tree import RootHash
from touchplate.tilelog.entry import Leaf, Submission

Worked = Callable[[str], bytes]
Requests = Callable[[int], list[bytes]]
KINDS = ["hashedrekord_v001", "dsse_v001", "intoto_v001", "intoto_v002", "rekord_v001"]


def test_small_tree_id(worked: Worked) -> None:
    """In names of entries the tree id has sixteen digits, however small it is."""
    service = Service(tree_id=7)
    try:
        name = create(service, json.loads(worked("hashedrekord_v001/request.json")))
        assert name.startswith(f"{7:016x}")
        assert name in service.get(f"{ENTRIES}/{name}")
        assert service.get("/api/v1/log")["treeID"] == "7"
    finally:
        service.close()


@pytest.mark.parametrize("folder", KINDS)
def test_create(service: Service, worked: Worked, folder: str) -> None:
    """Each kind is taken: 201, one entry, ETag without quotes, Location as a path."""
    response = service.call("POST", ENTRIES, worked(f"{folder}/request.json"))
    assert response.status == 201
    ((name, entry),) = json.loads(response.body).items()
    assert check_entry(service, name, entry) == worked(f"{folder}/body.json")
    assert response.header("etag") == name
    assert response.header("location") == f"{ENTRIES}/{name}"
    assert response.body.endswith(b"}\n")
    assert entry["logIndex"] == 0
    assert entry["integratedTime"] * 1000 - START_MS in range(60_000)


def test_again(service: Service, worked: Worked, requests_v2: Requests) -> None:
    """The same entry again has the same index and time, and a proof in the tree of now."""
    request = worked("hashedrekord_v001/request.json")
    (before,) = json.loads(service.call("POST", ENTRIES, request).body).values()
    service.call("POST", "/api/v2/log/entries", requests_v2(1)[0])
    response = service.call("POST", ENTRIES, request)
    assert response.status == 201
    ((name, after),) = json.loads(response.body).items()
    check_entry(service, name, after)
    assert after["logIndex"] == before["logIndex"]
    assert after["integratedTime"] == before["integratedTime"]
    assert after["verification"]["inclusionProof"]["treeSize"] == 2


def test_counted(service: Service, worked: Worked) -> None:
    """A new entry counts once, and one that is refused not at all."""
    counted: list[str] = []
    service.log.count = counted.append
    for folder in (*KINDS, *KINDS):
        create(service, worked(f"{folder}/request.json"))
    service.call("POST", ENTRIES, b'{"kind":"rpm","apiVersion":"0.0.1","spec":{}}')
    wrong = json.loads(worked("hashedrekord_v001/request.json"))
    wrong["spec"]["data"]["hash"]["value"] = "00" * 32
    assert service.call("POST", ENTRIES, wrong).status == 400
    assert counted == ["rekor_new_entries"] * len(KINDS)


def test_again_strict(strict_service: Service, worked: Worked) -> None:
    """With the option the same entry again is a conflict that says where the entry is."""
    request = worked("hashedrekord_v001/request.json")
    name = create(strict_service, request)
    response = strict_service.call("POST", ENTRIES, request)
    text = f"an equivalent entry already exists in the transparency log with UUID {name}"
    assert fault(response) == (409, 409, text)
    assert response.header("location") == f"{ENTRIES}/{name}"


def test_get(service: Service, worked: Worked, envelope_v1: object) -> None:
    """An entry is found by index, by UUID in either case, and by entry id."""
    create(service, worked("hashedrekord_v001/request.json"))
    name = create(service, envelope_v1)
    targets = (
        f"{ENTRIES}?logIndex=1",
        f"{ENTRIES}/{name}",
        f"{ENTRIES}/{name[16:].upper()}",
        f"{ENTRIES}/{name}/",
    )
    for target in targets:
        ((found, entry),) = service.get(target).items()
        assert found == name
        check_entry(service, found, entry)
        assert entry["logIndex"] == 1


def test_v2_entries_are_there_too(service: Service, requests_v2: Requests) -> None:
    """One tree serves both APIs."""
    service.call("POST", "/api/v2/log/entries", requests_v2(1)[0])
    ((name, entry),) = service.get(f"{ENTRIES}?logIndex=0").items()
    assert json.loads(check_entry(service, name, entry))["apiVersion"] == "0.0.2"


def test_no_cache(service: Service, worked: Worked) -> None:
    """Reads say that they are not to be kept."""
    create(service, worked("hashedrekord_v001/request.json"))
    for target in (f"{ENTRIES}?logIndex=0", "/api/v1/log", "/api/v1/log/publicKey"):
        response = service.call("GET", target)
        assert "no-store" in (response.header("cache-control") or "")


@pytest.mark.parametrize("target", ["?logIndex=5", "/" + "ab" * 32, f"?logIndex={2**63 - 1}"])
def test_not_there(service: Service, target: str) -> None:
    """What is not in the log is 404 with an empty body and no content type."""
    response = service.call("GET", ENTRIES + target)
    assert (response.status, response.body) == (404, b"")
    assert response.header("content-type") is None


def test_other_tree(service: Service, worked: Worked) -> None:
    """An entry id of another tree is not there, and one of no tree is a mistake."""
    name = create(service, worked("hashedrekord_v001/request.json"))
    assert service.call("GET", f"{ENTRIES}/{1:016x}{name[16:]}").status == 404
    assert service.call("GET", f"{ENTRIES}/{'f' * 16}{name[16:]}").status == 400
    assert service.call("GET", f"{ENTRIES}/{'0' * 16}{name[16:]}").status == 400


@pytest.mark.parametrize(
    ("target", "code"),
    [
        (ENTRIES, 602),
        (f"{ENTRIES}?logIndex=", 602),
        (f"{ENTRIES}?logIndex=x", 601),
        (f"{ENTRIES}?logIndex=1e3", 601),
        (f"{ENTRIES}?logIndex=9223372036854775808", 601),
        (f"{ENTRIES}?logIndex=-1", 609),
        (f"{ENTRIES}/abc", 605),
        (f"{ENTRIES}/{'g' * 64}", 605),
        ("/api/v1/log/proof", 602),
        ("/api/v1/log/proof?lastSize=0", 609),
        ("/api/v1/log/proof?lastSize=1&firstSize=0", 609),
        ("/api/v1/log/proof?lastSize=1&treeID=x", 605),
        ("/api/v1/log/publicKey?treeID=-1", 605),
    ],
)
def test_bad_query(service: Service, target: str, code: int) -> None:
    """What breaks the schema is 422 with go-openapi's code."""
    assert fault(service.call("GET", target))[:2] == (422, code)


def test_info(service: Service, worked: Worked) -> None:
    """Log info is about the newest tree, and its checkpoint is signed."""
    create(service, worked("hashedrekord_v001/request.json"))
    info = service.get("/api/v1/log")
    checkpoint = opened(service, info.pop("signedTreeHead"))
    assert info == {
        "inactiveShards": [],
        "rootHash": checkpoint.root.hex(),
        "treeID": str(service.key.tree_id),
        "treeSize": 1,
    }


def test_empty_log(service: Service) -> None:
    """A new log has size 0 and the root of nothing."""
    info = service.get("/api/v1/log")
    assert (info["treeSize"], info["rootHash"]) == (0, sha256(b"").hexdigest())


def test_public_key(service: Service) -> None:
    """The key is PEM; the tree may be named, another one is a mistake."""
    target = "/api/v1/log/publicKey"
    for query in ("", f"?treeID={service.key.tree_id}"):
        response = service.call("GET", target + query)
        assert response.header("content-type") == "application/x-pem-file"
        assert load_public_key_pem(response.body.decode()) == service.signer.public_key
    assert service.call("GET", f"{target}?treeID=1").status == 400


def test_proof(service: Service, requests_v2: Requests) -> None:
    """The consistency proof connects any two trees; the root is that of the newest."""
    infos = []
    for request in requests_v2(5):
        service.call("POST", "/api/v2/log/entries", request)
        infos.append(service.get("/api/v1/log"))
    roots = [RootHash(bytes.fromhex(info["rootHash"])) for info in infos]
    for old in range(1, 6):
        for new in range(old, 6):
            found = service.get(f"/api/v1/log/proof?firstSize={old}&lastSize={new}")
            assert found["rootHash"] == roots[-1].hex()
            hashes = [bytes.fromhex(node) for node in found["hashes"]]
            check_consistency(old, new, hashes, roots[old - 1], roots[new - 1])
    assert service.get("/api/v1/log/proof?lastSize=5") == service.get(
        f"/api/v1/log/proof?firstSize=1&lastSize=5&treeID={service.key.tree_id}"
    )


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("firstSize=2&lastSize=1", "firstSize(2) must be less than lastSize(1)"),
        (
            "lastSize=7",
            "the tree size requested(7) was greater than what is currently observable(0)",
        ),
        ("lastSize=1&treeID=5", "no log range found for tree ID 5"),
    ],
)
def test_bad_proof(service: Service, query: str, message: str) -> None:
    """Trees that are not there are 400."""
    response = service.call("GET", f"/api/v1/log/proof?{query}")
    assert fault(response) == (400, 400, message)


def test_retrieve(service: Service, worked: Worked, envelope_v1: object) -> None:
    """Entries are found by id, by content and by index; the others are left out."""
    message = create(service, worked("hashedrekord_v001/request.json"))
    envelope = create(service, envelope_v1)
    query = {
        "entryUUIDs": [message[16:], envelope, "ab" * 32],
        "entries": [envelope_v1, json.loads(worked("dsse_v001/request.json"))],
        "logIndexes": [1, 7],
    }
    # sigstore-python writes a slash at the end.
    for target in ("retrieve", "retrieve/"):
        response = service.call("POST", f"{ENTRIES}/{target}", query)
        assert response.status == 200
        found = json.loads(response.body)
        names = [name for entry in found for name in entry]
        assert names == [envelope, message, envelope, envelope]
        for entry in found:
            ((name, value),) = entry.items()
            check_entry(service, name, value)


def test_retrieve_several_kinds(service: Service, worked: Worked) -> None:
    """An envelope is looked for as dsse and as intoto 0.0.1 at once, as cosign does."""
    request = json.loads(worked("dsse_v001/request.json"))
    name = create(service, request)
    proposed = request["spec"]["proposedContent"]
    as_intoto = {
        "content": {"envelope": proposed["envelope"]},
        "publicKey": proposed["verifiers"][0],
    }
    entries = [request, {"apiVersion": "0.0.1", "kind": "intoto", "spec": as_intoto}]
    response = service.call("POST", f"{ENTRIES}/retrieve", {"entries": entries})
    assert [list(entry) for entry in json.loads(response.body)] == [[name]]
    other = create(service, entries[1])
    response = service.call("POST", f"{ENTRIES}/retrieve", {"entries": entries})
    assert [list(entry) for entry in json.loads(response.body)] == [[name], [other]]


@pytest.mark.parametrize("folder", KINDS)
def test_retrieve_by_content(service: Service, worked: Worked, folder: str) -> None:
    """An entry of each kind that is taken is found by the request that made it."""
    request = json.loads(worked(f"{folder}/request.json"))
    name = create(service, request)
    response = service.call("POST", f"{ENTRIES}/retrieve", {"entries": [request]})
    assert [list(entry) for entry in json.loads(response.body)] == [[name]]


@pytest.mark.parametrize("folder", ["hashedrekord_v001", "dsse_v001", "intoto_v001"])
def test_retrieve_by_body(service: Service, worked: Worked, folder: str) -> None:
    """Some kinds are also found by the body that the log holds."""
    name = create(service, worked(f"{folder}/request.json"))
    body = json.loads(worked(f"{folder}/body.json"))
    response = service.call("POST", f"{ENTRIES}/retrieve", {"entries": [body]})
    assert [list(entry) for entry in json.loads(response.body)] == [[name]]
    assert service.call("POST", ENTRIES, body).status in {201, 400}
    assert service.tiles.checkpoint().size == 1


@pytest.mark.parametrize("kind", ["alpine", "cose", "helm", "jar", "rfc3161", "rpm", "tuf"])
def test_retrieve_historic_kinds(service: Service, kind: str) -> None:
    """A kind whose leaf cannot be made here is said to be so, and not said to be absent."""
    entry = {"apiVersion": "0.0.1", "kind": kind, "spec": {}}
    response = service.call("POST", f"{ENTRIES}/retrieve", {"entries": [entry]})
    status, _, message = fault(response)
    assert (status, "cannot be found by their content" in message) == (400, True)


def test_retrieve_nothing(service: Service) -> None:
    """Nothing found is an empty array, never null."""
    for query in ({"logIndexes": [3]}, {}, {"entryUUIDs": None}):
        response = service.call("POST", f"{ENTRIES}/retrieve", query)
        assert (response.status, response.body) == (200, b"[]\n")


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"logIndexes": list(range(11))}, 422, 611),
        ({"logIndexes": [1] * 6, "entryUUIDs": ["ab" * 32] * 6}, 422, 422),
        ({"entryUUIDs": ["xyz"]}, 422, 605),
        ({"logIndexes": ["1"]}, 400, 400),
        ({"logIndexes": [-1]}, 422, 609),
        ({"logIndexes": []}, 422, 612),
        ({"entries": []}, 422, 612),
        ({"logIndexes": [None]}, 400, 400),
        ({"logIndexes": [True]}, 400, 400),
        ({"logIndexes": [10**20]}, 400, 400),
        ({"logIndexes": {}}, 400, 400),
        ({"entries": [1]}, 400, 400),
        ({"entries": [{"kind": "dsse"}]}, 400, 400),
        (b"{", 400, 400),
        (b" ", 422, 602),
    ],
)
def test_bad_retrieve(service: Service, query: object, status: int, code: int) -> None:
    """At most ten queries in all, each of the right form."""
    response = service.call("POST", f"{ENTRIES}/retrieve", query)
    assert fault(response)[:2] == (status, code)


@pytest.mark.parametrize(
    ("body", "status", "code", "message"),
    [
        (b"{", 400, 400, "not JSON"),
        (b"[]", 400, 400, "not a JSON object"),
        (b" ", 422, 602, "required"),
        (b"{}", 422, 422, 'invalid kind value: ""'),
        (b'{"kind":"x"}', 422, 422, 'invalid kind value: "x"'),
        (b'{"kind":"dsse"}', 422, 602, "apiVersion in body is required"),
        (b'{"kind":"dsse","apiVersion":"0.0.1"}', 422, 602, "spec in body is required"),
        (b'{"kind":"rpm","apiVersion":"0.0.1","spec":{}}', 400, 400, "entry kind 'rpm'"),
        (b'{"kind":5,"apiVersion":"0.0.1","spec":{}}', 422, 601, "kind in body must be"),
        (b'{"kind":"dsse","apiVersion":1,"spec":{}}', 422, 601, "apiVersion in body must be"),
        (b'{"kind":"dsse","apiVersion":"0.0.1","spec":[]}', 422, 601, "spec in body must be"),
        (b'{"kind":"dsse","apiVersion":"9","spec":{}}', 422, 605, "should match"),
        (b'{"kind":"dsse","apiVersion":"0.0.9","spec":{}}', 400, 400, "version '0.0.9'"),
        (b'{"kind":"dsse","apiVersion":"0.0.1","spec":{}}', 400, 400, "error processing entry"),
    ],
)
def test_bad_entry(service: Service, body: bytes, status: int, code: int, message: str) -> None:
    """Each stage of admission has its own status, and nothing is written."""
    found = fault(service.call("POST", ENTRIES, body))
    assert found[:2] == (status, code)
    assert message in found[2]
    assert service.tiles.checkpoint().size == 0


def test_bad_signature(service: Service, worked: Worked) -> None:
    """A signature that does not verify is 400, and nothing is written."""
    request = json.loads(worked("hashedrekord_v001/request.json"))
    request["spec"]["data"]["hash"]["value"] = "00" * 32
    status, _, message = fault(service.call("POST", ENTRIES, request))
    assert (status, message[:24]) == (400, "error processing entry: ")
    assert service.tiles.checkpoint().size == 0


def test_own_proof_fails(
    worked: Worked, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An entry whose own proof does not hold is a fault of the log, and counted."""
    service = Service()
    counted: list[str] = []
    service.log.count = counted.append
    submission = service.log.submission

    def broken(admitted: Admitted) -> Submission:
        def build(index: int, time_ms: int) -> Leaf:
            raise VerificationError("INCLUSION_PROOF_INVALID", "the proof does not hold")

        return submission(admitted)._replace(build=build)

    monkeypatch.setattr(service.log, "submission", broken)
    with caplog.at_level(logging.ERROR):
        response = service.call("POST", ENTRIES, worked("hashedrekord_v001/request.json"))
    assert fault(response) == (500, 500, "unexpected result from transparency log")
    assert counted == ["rekor_v2_inclusion_proof_failure_total"]
    assert "an entry was not integrated" in caplog.text
    service.close()


def test_content_type(service: Service, worked: Worked) -> None:
    """Only JSON is taken; parameters of the type do not matter."""
    request = worked("hashedrekord_v001/request.json")
    assert service.call("POST", ENTRIES, request, content_type="text/plain").status == 415
    typed = "Application/JSON; charset=utf-8"
    assert service.call("POST", ENTRIES, request, content_type=typed).status == 201


def test_large_envelope(service: Service, envelope_v1: dict[str, Any]) -> None:
    """An envelope may be large: the log keeps only its hash."""
    proposed = envelope_v1["spec"]["proposedContent"]
    envelope = json.loads(proposed["envelope"])
    envelope["padding"] = "x" * 1_000_000
    proposed["envelope"] = json.dumps(envelope)
    create(service, envelope_v1)


@pytest.mark.parametrize("padding", [60_000, 70_000])
def test_large_leaf(service: Service, worked: Worked, padding: int) -> None:
    """A leaf above 65,535 bytes is refused before it is queued (intoto keeps the PEM as sent)."""
    request = json.loads(worked("intoto_v002/request.json"))
    (signature,) = request["spec"]["content"]["envelope"]["signatures"]
    pem = b"." * padding + b64decode(signature["publicKey"])
    signature["publicKey"] = b64encode(pem).decode()
    assert service.call("POST", ENTRIES, request).status == 400
    assert service.tiles.checkpoint().size == 0


@settings(max_examples=60)
@given(st.binary(max_size=300))
def test_garbage(fuzzed: Service, body: bytes) -> None:
    """Any body that is no entry is a 4xx, and nothing is written."""
    assert fuzzed.call("POST", ENTRIES, b" " + body).status in {400, 422}
    # An object without any query finds nothing.
    assert fuzzed.call("POST", f"{ENTRIES}/retrieve", b" " + body).status in {200, 400, 422}


@settings(max_examples=60)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=90))
def test_garbage_in_paths(fuzzed: Service, text: str) -> None:
    """Any id, index or tile that is not there is a 4xx."""
    path = text.replace("/", "").replace("?", "").replace("#", "")
    assert 400 <= fuzzed.call("GET", f"{ENTRIES}/{path}x").status < 500
    assert 400 <= fuzzed.call("GET", f"/tile/{text}").status < 500
    value = path.replace("&", "").replace(";", "")
    assert 400 <= fuzzed.call("GET", f"{ENTRIES}?logIndex={value}").status < 500
    assert 400 <= fuzzed.call("GET", f"/api/v1/log/proof?lastSize={value}").status < 500
