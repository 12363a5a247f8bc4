"""HTTP of the log: what monitors and submitters read is what the tree holds."""

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.ctlog.places import ORIGIN, Place, sha256
from touchplate.formats import ct
from touchplate.formats.certificate import PRECERT_POISON, parse_certificate
from touchplate.keys.public import check_signature
from touchplate.merkle.proof import check_consistency, check_inclusion
from touchplate.merkle.tree import EMPTY_ROOT, LeafHash, RootHash, leaf_hash, root_hash
from touchplate.transport.asgi import Response


def b64(text: str) -> bytes:
    """Decode."""
    return base64.b64decode(text, validate=True)


def get(place: Place, path: str, query: str = "") -> Any:
    """Get JSON."""
    response = place.call("GET", f"/ct/v1/{path}", query)
    assert response.status == 200, response.body
    return json.loads(response.body)


def post(place: Place, path: str, chain: tuple[bytes, ...]) -> Response:
    """Submit a chain."""
    return place.call("POST", f"/ct/v1/{path}", body=ct.encode_add_chain(chain))


def fill(place: Place, count: int) -> list[bytes]:
    """Put precertificates into the log; give their leaves, read back."""
    futures = [place.log.submit_own(place.precertificate(number).chain) for number in range(count)]
    for future in futures:
        future.result(30)
    found: list[bytes] = []
    while len(found) < count:
        page = get(place, "get-entries", f"start={len(found)}&end={count - 1}")["entries"]
        found += [b64(entry["leaf_input"]) for entry in page]
    return found


def test_add_pre_chain(place: Place) -> None:
    """The answer has the form that submitters read, and its signature holds."""
    precertificate = place.precertificate()
    response = post(place, "add-pre-chain", precertificate.chain)
    answer = json.loads(response.body)
    leaf = get(place, "get-entries", "start=0&end=0")["entries"][0]["leaf_input"]

    assert response.status == 200
    assert list(answer) == ["sct_version", "id", "timestamp", "extensions", "signature"]
    assert answer["sct_version"] == 0
    assert b64(answer["id"]) == place.signer.public_key.key_id
    assert answer["timestamp"] == place.clock.now_ms
    assert answer["extensions"] == "AAAFAAAAAAA="
    signature = ct.parse_digitally_signed(b64(answer["signature"]))
    check_signature(place.signer.public_key, signature, b64(leaf), place.signer.algorithm)


def test_entry_is_the_submission(place: Place) -> None:
    """get-entries gives the precertificate and its whole chain back, the root too."""
    precertificate = place.precertificate()
    post(place, "add-pre-chain", precertificate.chain[:2])
    entry = get(place, "get-entries", "start=0&end=9")["entries"][0]
    leaf = ct.parse_leaf(b64(entry["leaf_input"]))

    assert leaf.certificate == parse_certificate(precertificate.der).tbs_without(PRECERT_POISON)
    assert leaf.issuer_key_hash == place.authority.issuer_key_hash
    chain = b"".join(len(der).to_bytes(3, "big") + der for der in precertificate.chain[1:])
    assert b64(entry["extra_data"]) == (
        len(precertificate.der).to_bytes(3, "big")
        + precertificate.der
        + len(chain).to_bytes(3, "big")
        + chain
    )


def test_tree_heads_and_proofs(place: Place) -> None:
    """Across tile borders the tree head's root is that of the leaves, and each proof holds."""
    leaves = fill(place, 300)
    hashes = [leaf_hash(leaf) for leaf in leaves]
    sth = get(place, "get-sth")
    root = RootHash(b64(sth["sha256_root_hash"]))

    assert sth["tree_size"] == 300
    assert root == root_hash(hashes)
    head = ct.TreeHead(300, sth["timestamp"], root, b64(sth["tree_head_signature"]))
    check_signature(
        place.signer.public_key,
        ct.parse_digitally_signed(head.signature),
        head.signed_input(),
        place.signer.algorithm,
    )
    for index, size in ((0, 1), (0, 300), (255, 256), (256, 257), (299, 300), (17, 200)):
        query = f"hash={quote(base64.b64encode(hashes[index]).decode(), safe='')}&tree_size={size}"
        answer = get(place, "get-proof-by-hash", query)
        assert answer["leaf_index"] == index
        proof = [b64(item) for item in answer["audit_path"]]
        check_inclusion(index, size, hashes[index], proof, root_hash(hashes[:size]))
        both = get(place, "get-entry-and-proof", f"leaf_index={index}&tree_size={size}")
        assert [b64(item) for item in both["audit_path"]] == proof
        assert b64(both["leaf_input"]) == leaves[index]
    for old, new in ((1, 300), (200, 256), (256, 300), (299, 300)):
        answer = get(place, "get-sth-consistency", f"first={old}&second={new}")
        proof = [b64(item) for item in answer["consistency"]]
        check_consistency(old, new, proof, root_hash(hashes[:old]), root_hash(hashes[:new]))


def test_hash_that_was_not_quoted(place: Place) -> None:
    """A plus sign in a hash may come as it is, which in a query means a space."""
    hashes = [leaf_hash(leaf) for leaf in fill(place, 40)]
    texts = [base64.b64encode(leaf).decode() for leaf in hashes]
    index = next(index for index, text in enumerate(texts) if "+" in text)

    answer = get(place, "get-proof-by-hash", f"hash={texts[index]}&tree_size=40")

    assert answer["leaf_index"] == index


def test_static_files(place: Place) -> None:
    """Checkpoint, tiles, data tiles and issuers of static-ct agree with one another."""
    leaves = fill(place, 260)
    checkpoint = place.call("GET", "/ct/checkpoint")
    head = ct.parse_checkpoint(checkpoint.body.decode(), ORIGIN, place.log.log_id)

    assert head.encode_json() == place.call("GET", "/ct/v1/get-sth").body
    assert checkpoint.content_type == "text/plain; charset=utf-8"
    hashes: list[LeafHash] = []
    records: list[bytes] = []
    for path in ("000", "001.p/4"):
        level = place.call("GET", f"/ct/tile/0/{path}").body
        data = ct.split_data_tile(place.call("GET", f"/ct/tile/data/{path}").body)
        assert level == b"".join(leaf_hash(ct.leaf_of_record(record)) for record in data)
        records += data
        hashes += [LeafHash(level[at : at + 32]) for at in range(0, len(level), 32)]
    assert root_hash(hashes) == head.root
    assert hashes == [leaf_hash(leaf) for leaf in leaves]
    for index in (0, 259):
        assert ct.parse_leaf_index(ct.parse_leaf(leaves[index]).extensions) == index
    for fingerprint in ct.parse_tile_leaf(records[0]).issuers:
        issuer = place.call("GET", f"/ct/issuer/{fingerprint.hex()}")
        assert sha256(issuer.body) == fingerprint
        assert issuer.content_type == "application/pkix-cert"


def test_empty_log(place: Place) -> None:
    """A log without entries has a tree head, roots, and no entries."""
    sth = get(place, "get-sth")

    assert (sth["tree_size"], b64(sth["sha256_root_hash"])) == (0, EMPTY_ROOT)
    assert get(place, "get-roots") == {
        "certificates": [base64.b64encode(place.authority.chain[-1].der).decode()]
    }
    assert get(place, "get-sth-consistency", "first=0&second=0") == {"consistency": []}
    assert place.call("GET", "/ct/v1/get-entries", "start=0&end=0").status == 400


def test_one_entry(place: Place) -> None:
    """In a tree of one the audit path is an empty list, not null."""
    (leaf,) = fill(place, 1)
    query = f"hash={base64.b64encode(leaf_hash(leaf)).decode()}&tree_size=1"

    assert get(place, "get-proof-by-hash", query) == {"leaf_index": 0, "audit_path": []}
    assert get(place, "get-sth-consistency", "first=1&second=1") == {"consistency": []}
    assert get(place, "get-sth-consistency", "first=0&second=1") == {"consistency": []}


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("v1/get-entries", "start=1&end=0", 400),
        ("v1/get-entries", "start=3&end=9", 400),
        ("v1/get-entries", "start=-1&end=0", 400),
        ("v1/get-entries", "start=0", 400),
        ("v1/get-entries", "start=0&end=0&end=1", 400),
        ("v1/get-entries", "start=0&end=99999999999999999999999", 400),
        ("v1/get-entries", "start=٣&end=9", 400),
        ("v1/get-sth-consistency", "first=2&second=1", 400),
        ("v1/get-sth-consistency", "first=1&second=4", 400),
        ("v1/get-sth-consistency", "first=1", 400),
        ("v1/get-proof-by-hash", "hash=AA&tree_size=1", 400),
        ("v1/get-proof-by-hash", "hash=" + "A" * 43 + "%3D&tree_size=0", 400),
        ("v1/get-proof-by-hash", "hash=" + "A" * 43 + "%3D&tree_size=3", 404),
        ("v1/get-proof-by-hash", "hash=" + "A" * 43 + "%3D&tree_size=4", 404),
        ("v1/get-entry-and-proof", "leaf_index=3&tree_size=3", 400),
        ("v1/get-entry-and-proof", "leaf_index=0&tree_size=4", 400),
        ("tile/0/000", "", 404),
        ("tile/0/000.p/4", "", 404),
        ("tile/0/000.p/0", "", 404),
        ("tile/0/0", "", 404),
        ("tile/00/000", "", 404),
        ("tile/6/000", "", 404),
        ("tile/x/000", "", 404),
        ("tile/data/../../etc/passwd", "", 404),
        ("tile/entries/000.p/1", "", 404),
        ("issuer/" + "0" * 64, "", 404),
        ("issuer/" + "A" * 64, "", 404),
        ("issuer/..", "", 404),
    ],
)
def test_refused(place: Place, path: str, query: str, status: int) -> None:
    """What is asked wrongly, or is not there, is answered with its status and text."""
    fill(place, 3)
    response = place.call("GET", f"/ct/{path}", query)

    assert response.status == status
    assert response.content_type == "text/plain; charset=utf-8"
    assert response.body.startswith(b"Bad Request\n" if status == 400 else b"Not Found\n")


@pytest.mark.parametrize("path", ["add-chain", "add-pre-chain"])
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"chain":["AA=="]}', b'{"chain":["MAA="]}'])
def test_bad_submissions(place: Place, path: str, body: bytes) -> None:
    """A submission that is no chain is refused in text, and nothing is logged."""
    response = place.call("POST", f"/ct/v1/{path}", body=body)

    assert response.status == 400
    assert response.body.startswith(b"Bad Request\n")
    assert place.log.tree_head().size == 0


def test_mismatch_text(place: Place) -> None:
    """A precertificate at add-chain is told apart in the words of other logs."""
    response = post(place, "add-chain", place.precertificate().chain)

    assert response.status == 400
    assert b"failed to verify add-chain contents: cert / precert mismatch: true" in response.body


def test_spaces_are_plus_signs(place: Place) -> None:
    """A hash whose plus signs were not escaped is found all the same."""
    for leaf in fill(place, 20):
        text = base64.b64encode(leaf_hash(leaf)).decode()
        answer = get(place, "get-proof-by-hash", f"hash={text}&tree_size=20")
        assert answer["leaf_index"] < 20
