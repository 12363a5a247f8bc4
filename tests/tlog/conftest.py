"""Logs in memory, and requests to them."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.tlog.service import Service
from touchplate.formats.dsse import pae
from touchplate.keys.pem import encode_pem
from touchplate.keys.signer import PrivateKeySigner, generate
from touchplate.tlog import TlogSettings

VECTORS = Path(__file__).resolve().parent.parent / "vectors" / "entries"


@pytest.fixture
def service() -> Iterator[Service]:
    """An empty log; at the end all of it is read and proven."""
    made = Service()
    yield made
    made.close()


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[Service]:
    """An empty log that outlives the examples of a property, which must leave it empty."""
    made = Service()
    yield made
    assert made.tiles.checkpoint().size == 0
    made.close()


@pytest.fixture
def strict_service() -> Iterator[Service]:
    """A log that answers duplicates with 409, as upstream."""
    made = Service(TlogSettings(duplicate_is_conflict=True))
    yield made
    made.close()


@pytest.fixture
def upstream_service() -> Iterator[Service]:
    """A log that takes only what current upstream logs take."""
    made = Service(TlogSettings(accept_dsse_v002=False))
    yield made
    made.close()


@pytest.fixture(scope="session")
def worked() -> Callable[[str], bytes]:
    """Give a function that reads a worked example: `dsse_v001/request.json`."""
    return lambda name: (VECTORS / name).read_bytes()


@pytest.fixture
def requests_v2() -> Callable[[int], list[bytes]]:
    """Give a function that makes distinct v2 requests by one key."""
    signer = generate("ecdsa-p256")

    def make(number: int) -> list[bytes]:
        return [_v2_request(signer, b"artifact %d" % each) for each in range(number)]

    return make


@pytest.fixture
def envelope_v1() -> dict[str, Any]:
    """A dsse 0.0.1 request by a new key."""
    return _envelope_v1()


@pytest.fixture
def envelopes() -> list[dict[str, Any]]:
    """Ten distinct dsse 0.0.1 requests."""
    return [_envelope_v1() for _ in range(10)]


def _envelope_v1() -> dict[str, Any]:
    signer = generate("ecdsa-p256")
    signature = b64encode(signer.sign(pae("text/plain", b"a payload"))).decode()
    envelope = {
        "payload": b64encode(b"a payload").decode(),
        "payloadType": "text/plain",
        "signatures": [{"keyid": "", "sig": signature}],
    }
    pem = b64encode(encode_pem("PUBLIC KEY", signer.public_key.spki)).decode()
    proposed = {"envelope": json.dumps(envelope), "verifiers": [pem]}
    return {"apiVersion": "0.0.1", "kind": "dsse", "spec": {"proposedContent": proposed}}


def _v2_request(signer: PrivateKeySigner, artifact: bytes) -> bytes:
    verifier = {
        "publicKey": {"rawBytes": b64encode(signer.public_key.spki).decode()},
        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
    }
    entry = {
        "digest": b64encode(sha256(artifact).digest()).decode(),
        "signature": {
            "content": b64encode(signer.sign(artifact)).decode(),
            "verifier": verifier,
        },
    }
    return json.dumps({"hashedRekordRequestV002": entry}).encode()
