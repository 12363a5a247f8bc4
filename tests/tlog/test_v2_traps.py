"""The traps of API v2: what other implementations got wrong, and the test that holds us to it.

Tests named without a file are below. A test reads this table.

| trap | test |
| --- | --- |
| 1: 201 and no other; a conflict says where | test_statuses |
| 2: 64-bit integers are strings, hashes base64 | test_types |
| 3: an Ed25519 key's log id has the origin in it | test_log_ids |
| 4: origin, signature's name and host are one | test_origin |
| 5: key details choose the hash | test_curve_with_another_hash |
| 6: order of the members | test_order |
| 7: DER is not normalised | test_der_as_received |
| 8: generous spelling, unknown members refused | tests/tlog/test_v2_protojson.py::test_accepted |
| 9: answered after publication | test_published_first |
| 10: tiles before the checkpoint | tests/tilelog/test_crash.py::test_every_step |
| 11: partial tiles outlive their checkpoint | test_partial_tiles_stay |
| 12: upper tiles hold only full lower ones | tests/tlog/test_static.py::test_widths |
| 13: one spelling of a path | tests/tlog/test_static.py::test_no_such_file |
| 14: entries is no level | test_entries_is_no_level |
| 15: an entry that no bundle can hold | tests/tlog/test_v2.py::test_large_leaf |
| 16: tiles kept for ever, and another log | tests/server/test_opening.py::test_host_name_stays |
| 17: an index is given once | tests/tilelog/test_processes.py::test_two_processes |
| 18: a frozen log is 405, a wrong method 501 | tests/tlog/test_v2_fault.py::test_frozen |
| 19: a slow witness does not block the log | tests/server/test_witnessing.py::test_slow |
| 20: nothing waits for an interval | test_no_interval |
| 21: Ed25519 keys sign hashes | test_plain_ed25519 |
| 22: a restored backup that is behind | tests/tilelog/test_log.py::test_behind_what_was_published |
| 23: both layouts | tests/tlog/test_v2.py::test_tiles |
| 24: index 0 and no hashes | test_first_entry |
| 25: the log's line first | test_own_line_first |
"""

import ast
import json
import re
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from hashlib import new, sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.entries.worked import certificate
from tests.tlog.service import ORIGIN, Service
from tests.tlog.test_v2 import check_answer
from touchplate.formats.bundle import parse_entry
from touchplate.formats.checkpoint import encode_checkpoint, open_checkpoint
from touchplate.formats.jcs import canonical_json
from touchplate.formats.note import (
    NoteSignature,
    encode_note,
    encode_vkey,
    note_key_id,
    note_verifier,
    parse_note,
)
from touchplate.keys.public import load_public_key
from touchplate.keys.signer import PrivateKeySigner, generate
from touchplate.merkle.tree import EMPTY_ROOT, RootHash, leaf_hash
from touchplate.tlog import log_key

Requests = Callable[[int], list[bytes]]
Worked = Callable[[str], bytes]
ENTRIES = "/api/v2/log/entries"
ROOT = Path(__file__).resolve().parent.parent.parent

LOG2026 = "log2026-1.rekor.example.com"
SEED = sha256(b"rekor dossier example v2 log key").digest()
CHECKPOINTS = {
    0: (
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "JVhjui9pbZRfuCigp9O3FvxHpn/EDZ9InQrTRKfYjNYRR1x/KZV7LFrJr/W4Fy/+bJnJPMSLty4X/hBX600dhVO7Kwc=",
    ),
    1: (
        "RuJqlAyeMWZjYHXOZekzzqDFTew8V0O5/vDGSlzM7jA=",
        "JVhjuhUQV+Y3dq2KiPRU8rBr7oVIcYlhdBAmc5ZPo0w76FyPDuZrxndKOLLgX8rJMnYuQJxiwW235TO9V4KseqnZqwg=",
    ),
    2: (
        "2whfSyq+C0UXUNL2Qwo3hWYCrzMuBu2KLciw0D8k0TI=",
        "JVhjukrpAbg+NwoXLy5v6x/QOTVYbXbfSqbz/SbgBjtf829Rh8w2o6G1ka7odHTfabDF5MF0n6Nym9mYLQ3XfthlkAo=",
    ),
}


def request_by(
    signer: PrivateKeySigner, details: str, artifact: bytes, hash_name: str, **changes: Any
) -> bytes:
    """Make a request for an artifact, signed with this hash."""
    der = changes.get("certificate")
    verifier: dict[str, Any] = {"keyDetails": details}
    if der is None:
        verifier["publicKey"] = {"rawBytes": b64encode(signer.public_key.spki).decode()}
    else:
        verifier["x509Certificate"] = {"rawBytes": b64encode(der).decode()}
    digest = new(hash_name, artifact).digest()
    signature = changes.get("signature") or signer.sign(artifact)
    entry = {
        "digest": b64encode(digest).decode(),
        "signature": {"content": b64encode(signature).decode(), "verifier": verifier},
    }
    return json.dumps({"hashedRekordRequestV002": entry}).encode()


def test_statuses(strict_service: Service, requests_v2: Requests) -> None:
    """A new entry is 201, exactly; a conflict is 409 and has the index in its header."""
    first, second = requests_v2(2)
    assert [strict_service.call("POST", ENTRIES, each).status for each in (first, second)] == [
        201,
        201,
    ]
    conflict = strict_service.call("POST", ENTRIES, second)
    assert (conflict.status, conflict.header("x-log-index")) == (409, "1")


def test_types(service: Service, requests_v2: Requests) -> None:
    """Each member has the type that protobuf JSON gives it."""
    first, second, third = requests_v2(3)
    service.call("POST", ENTRIES, first)
    service.call("POST", ENTRIES, second)
    answer = json.loads(service.call("POST", ENTRIES, third).body)
    proof = answer["inclusionProof"]
    assert (answer["integratedTime"], answer["inclusionPromise"]) == ("0", None)
    assert (answer["logIndex"], proof["logIndex"], proof["treeSize"]) == ("2", "2", "3")
    assert [len(b64decode(each, validate=True)) for each in proof["hashes"]] == [32]
    assert len(b64decode(proof["rootHash"], validate=True)) == 32


def test_log_ids(service: Service) -> None:
    """The id of an Ed25519 key is its whole note key hash, of an ECDSA key its own hash."""
    seed_key = Ed25519PrivateKey.from_private_bytes(SEED)
    key = load_public_key(
        seed_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    whole = sha256(f"{LOG2026}\n\x01".encode() + key.spki[-32:]).digest()
    assert b64encode(whole) == b"JVhjug0NFHNERMrc2EjoDunQ56hTpWHiW5telJKl99M="
    assert note_key_id(LOG2026, key) == whole
    assert whole != sha256(key.spki).digest()
    assert encode_vkey(LOG2026, key) == (
        f"{LOG2026}+255863ba+AZZYxAFIyKY08rDUavOOt4KVXgtlWkxTHGcHGVj6Gvrf"
    )
    ours = service.signer.public_key
    assert service.key.log_id == sha256(ours.spki).digest()
    assert note_key_id(ORIGIN, ours) == service.key.log_id


@pytest.mark.parametrize("size", CHECKPOINTS)
def test_published_checkpoints(size: int) -> None:
    """Ed25519 has one signature for a text, so the published notes are ours, byte for byte."""
    private = Ed25519PrivateKey.from_private_bytes(SEED)
    root, line = CHECKPOINTS[size]
    text = encode_checkpoint(LOG2026, size, RootHash(b64decode(root)))
    hint = bytes.fromhex("255863ba")
    note = encode_note(text, (NoteSignature(LOG2026, hint, private.sign(text.encode())),))
    assert note == f"{LOG2026}\n{size}\n{root}\n\n— {LOG2026} {line}\n"
    key = load_public_key(
        private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    opened = open_checkpoint(note, note_verifier(LOG2026, key), v1=False)
    assert (opened.size, opened.root) == (size, b64decode(root))
    assert (opened.root == EMPTY_ROOT) == (size == 0)


def test_origin(service: Service) -> None:
    """The origin is the signature's name and has no port, path or tree id."""
    note = parse_note(service.call("GET", "/checkpoint").body.decode())
    first = note.text.splitlines()[0]
    assert first == note.signatures[0].name == ORIGIN
    assert not re.search(r" - [0-9]+$", first)
    assert log_key(LOG2026, service.signer).origin == LOG2026


def test_curve_with_another_hash(service: Service) -> None:
    """P-384 with SHA-384 is taken; with SHA-256 it is refused, by whichever name."""
    signer = generate("ecdsa-p384")
    good = request_by(signer, "PKIX_ECDSA_P384_SHA_384", b"a", "sha384")
    answer = check_answer(service, service.call("POST", ENTRIES, good).body)
    body = json.loads(b64decode(answer["canonicalizedBody"]))
    assert body["spec"]["hashedRekordV002"]["data"]["algorithm"] == "SHA2_384"
    for details in ("PKIX_ECDSA_P384_SHA_256", "PKIX_ECDSA_P256_SHA_256"):
        bad = request_by(signer, details, b"a", "sha256")
        assert service.call("POST", ENTRIES, bad).status == 400


@pytest.mark.parametrize("kind", ["key", "certificate"])
def test_order(service: Service, kind: str) -> None:
    """The body is canonical JSON, so its members stand in the order of their names."""
    signer = generate("ecdsa-p256")
    der = certificate(signer) if kind == "certificate" else None
    request = request_by(signer, "PKIX_ECDSA_P256_SHA_256", b"a", "sha256", certificate=der)
    answer = json.loads(service.call("POST", ENTRIES, request).body)
    body = b64decode(answer["canonicalizedBody"])
    assert body == canonical_json(json.loads(body))
    names = re.findall(rb'"(\w+)":', body)
    raw = b"x509Certificate" if der else b"publicKey"
    assert names[4:] == [
        *(b"data", b"algorithm", b"digest", b"signature", b"content", b"verifier"),
        *(b"keyDetails", raw, b"rawBytes"),
    ]


def test_der_as_received(service: Service) -> None:
    """What was sent is what is logged: the same bytes, and no PEM."""
    signer = generate("ecdsa-p256")
    der = certificate(signer)
    request = request_by(signer, "PKIX_ECDSA_P256_SHA_256", b"a", "sha256", certificate=der)
    answer = json.loads(service.call("POST", ENTRIES, request).body)
    body = json.loads(b64decode(answer["canonicalizedBody"]))
    asked = json.loads(request)["hashedRekordRequestV002"]
    assert body["spec"]["hashedRekordV002"]["signature"] == asked["signature"]


def test_published_first(service: Service, requests_v2: Requests) -> None:
    """The checkpoint of an answer is one that can be fetched, and never a later one."""
    for request in requests_v2(5):
        entry = parse_entry(service.call("POST", ENTRIES, request).body)
        assert entry.proof is not None
        published = service.call("GET", "/checkpoint").body.decode()
        assert entry.proof.checkpoint == published
        assert entry.proof.tree_size == entry.log_index + 1


def test_partial_tiles_stay(service: Service, requests_v2: Requests) -> None:
    """A partial tile that a checkpoint named is there when the full one is."""
    requests = requests_v2(257)
    service.call_all("POST", ENTRIES, requests[:3])
    before = service.call("GET", "/tile/entries/000.p/3").body
    service.call_all("POST", ENTRIES, requests[3:])
    service.tiles.check()
    assert service.call("GET", "/tile/entries/000").body.startswith(before)
    assert service.call("GET", "/tile/entries/000.p/3").body == before


def test_entries_is_no_level(service: Service, requests_v2: Requests) -> None:
    """Below `entries` are the entries, also where levels are asked for."""
    service.call("POST", ENTRIES, requests_v2(1)[0])
    for prefix in ("", "/api/v2"):
        bundle = service.call("GET", f"{prefix}/tile/entries/000.p/1").body
        tile = service.call("GET", f"{prefix}/tile/0/000.p/1").body
        assert leaf_hash(bundle[2:]) == tile


def test_no_interval(service: Service, requests_v2: Requests) -> None:
    """An idle log answers at once: twenty entries, one after the other, within a second or so."""
    begun = time.monotonic()
    for request in requests_v2(20):
        assert service.call("POST", ENTRIES, request).status == 201
    assert time.monotonic() - begun < 10


def test_plain_ed25519(service: Service) -> None:
    """A plain Ed25519 signature, of the digest or of the artifact, is refused by either name."""
    signer = generate("ed25519")
    artifact = b"an artifact"
    digest = sha256(artifact).digest()
    for name, signed, hash_name in (
        ("PKIX_ED25519", artifact, "sha512"),
        ("PKIX_ED25519", artifact, "sha256"),
        ("PKIX_ED25519_PH", artifact, "sha512"),
        ("PKIX_ED25519_PH", digest, "sha512"),
    ):
        request = request_by(signer, name, artifact, hash_name, signature=signer.sign(signed))
        assert service.call("POST", ENTRIES, request).status == 400
    assert service.tiles.checkpoint().size == 0


def test_first_entry(service: Service, requests_v2: Requests) -> None:
    """The first entry has index "0" and an empty list, and both are there."""
    answer = check_answer(service, service.call("POST", ENTRIES, requests_v2(1)[0]).body)
    assert answer["logIndex"] == answer["inclusionProof"]["logIndex"] == "0"
    assert answer["inclusionProof"]["hashes"] == []


def test_own_line_first(service: Service, requests_v2: Requests) -> None:
    """The first signature line is by the log's own key."""
    service.call("POST", ENTRIES, requests_v2(1)[0])
    note = parse_note(service.call("GET", "/checkpoint").body.decode())
    assert note.signatures[0].key_hint == service.key.log_id[:4]


@pytest.mark.parametrize("folder", ["hashedrekord_v002", "hashedrekord_v002_ed25519ph"])
def test_identity(worked: Worked, folder: str) -> None:
    """The published leaf hash, and for the first the identity without the prefix."""
    body = worked(f"{folder}/body.json")
    assert leaf_hash(body).hex() == worked(f"{folder}/leaf_hash").decode().strip()
    if folder == "hashedrekord_v002":
        assert len(body) == 489
        assert sha256(body).hexdigest() == (
            "0e62d657e052c0dabcc993983aabfb4cd8e6562a1a0c43d01cdb596213b88459"
        )


def test_table() -> None:
    """Each of the 25 traps has a test, and it is there."""
    rows = re.findall(r"^\| (\d+): .* \| (\S+) \|$", __doc__ or "", flags=re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 26))
    for _, name in rows:
        path, _, test = name.rpartition("::")
        tree = ast.parse((ROOT / path if path else Path(__file__)).read_text("utf-8"))
        assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name
