"""What clients of API v1 check of an answer."""

import json
from base64 import b64decode
from typing import Any

from tests.tlog.service import ORIGIN, Service
from touchplate.formats.checkpoint import Checkpoint, open_checkpoint
from touchplate.formats.note import rekor_v1_verifier
from touchplate.keys.algorithms import by_name
from touchplate.keys.public import check_signature
from touchplate.merkle.proof import check_inclusion
from touchplate.merkle.tree import leaf_hash
from touchplate.transport.http import Response

ENTRIES = "/api/v1/log/entries"


def opened(service: Service, envelope: str) -> Checkpoint:
    """Check a v1 checkpoint as a client does."""
    verifier = rekor_v1_verifier(service.signer.public_key)
    checkpoint = open_checkpoint(envelope, verifier, v1=True)
    assert checkpoint.origin == f"{ORIGIN} - {service.key.tree_id}"
    assert f"\N{EM DASH} {ORIGIN} " in envelope
    return checkpoint


def check_entry(service: Service, name: str, entry: dict[str, Any]) -> bytes:
    """Prove an entry as a client does, and give its body."""
    body = b64decode(entry["body"])
    leaf = leaf_hash(body)
    assert name == f"{service.key.tree_id:016x}{leaf.hex()}"
    assert entry["logID"] == service.key.log_id.hex()
    proof = entry["verification"]["inclusionProof"]
    checkpoint = opened(service, proof["checkpoint"])
    assert (checkpoint.size, checkpoint.root.hex()) == (proof["treeSize"], proof["rootHash"])
    hashes = [bytes.fromhex(node) for node in proof["hashes"]]
    check_inclusion(proof["logIndex"], checkpoint.size, leaf, hashes, checkpoint.root)
    payload = {each: entry[each] for each in ("body", "integratedTime", "logID", "logIndex")}
    check_signature(
        service.signer.public_key,
        b64decode(entry["verification"]["signedEntryTimestamp"]),
        json.dumps(payload, separators=(",", ":")).encode(),
        by_name("PKIX_ECDSA_P256_SHA_256"),
    )
    return body


def create(service: Service, request: object) -> str:
    """Enter something and give its entry id."""
    response = service.call("POST", ENTRIES, request)
    assert response.status == 201, response.body
    ((name, entry),) = json.loads(response.body).items()
    check_entry(service, name, entry)
    return str(name)


def fault(response: Response) -> tuple[int, int, str]:
    """Give status, code and message."""
    answer = json.loads(response.body)
    return response.status, answer["code"], answer["message"]
