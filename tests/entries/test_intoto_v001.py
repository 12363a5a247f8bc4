"""Kind `intoto` 0.0.1: what is refused of it. Its worked example is in test_proposed."""

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest

from tests.entries.worked import PAYLOAD, PAYLOAD_TYPE, Vector
from touchplate.entries.proposed import parse_proposed
from touchplate.errors import TouchplateError
from touchplate.formats.dsse import pae
from touchplate.keys.pem import encode_pem
from touchplate.keys.signer import generate

Worked = Callable[[str], Vector]


def refused(request: object) -> str:
    """Give the code with which a proposed entry is refused."""
    with pytest.raises(TouchplateError) as caught:
        parse_proposed(json.dumps(request).encode()).admit()
    return caught.value.code


def test_hashes_sent_along_are_not_believed(worked: Worked) -> None:
    """The log makes both hashes itself."""
    request: dict[str, Any] = json.loads(worked("intoto_v001").request)
    request["spec"]["content"] |= {"hash": {"algorithm": "sha256", "value": "00" * 32}}
    made = parse_proposed(json.dumps(request).encode()).admit()
    assert made.body == worked("intoto_v001").body
    assert made.attestation == PAYLOAD


def test_one_of_several_signatures(worked: Worked) -> None:
    """The key must have made one of the signatures, not all of them."""
    ours, other = generate(), generate()
    message = pae(PAYLOAD_TYPE, PAYLOAD)
    envelope = {
        "payload": b64encode(PAYLOAD).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"sig": b64encode(each.sign(message)).decode()} for each in (other, ours)],
    }
    pem = b64encode(encode_pem("PUBLIC KEY", ours.public_key.spki)).decode()
    spec = {"content": {"envelope": json.dumps(envelope)}, "publicKey": pem}
    request = {"apiVersion": "0.0.1", "kind": "intoto", "spec": spec}
    assert parse_proposed(json.dumps(request).encode()).admit().attestation == PAYLOAD
    envelope["signatures"] = envelope["signatures"][:1]
    spec["content"] = {"envelope": json.dumps(envelope)}
    assert refused(request) == "SIGNATURE_INVALID"


@pytest.mark.parametrize(
    "envelope", ["", "{}", "[]", '{"payload":"!","signatures":[{"sig":"AA=="}]}']
)
def test_envelopes(worked: Worked, envelope: str) -> None:
    """What is no envelope is refused."""
    request: dict[str, Any] = json.loads(worked("intoto_v001").request)
    request["spec"]["content"]["envelope"] = envelope
    assert refused(request) == "REQUEST_MALFORMED"
