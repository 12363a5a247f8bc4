"""Admission of envelopes to a v2 log: who signed, how it is spelled, and what is refused."""

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.entries.worked import PAYLOAD, PAYLOAD_TYPE, Vector
from touchplate.entries.create_entry import admit_request
from touchplate.errors import TouchplateError
from touchplate.formats.dsse import pae
from touchplate.keys.signer import PrivateKeySigner, generate

Worked = Callable[[str], Vector]
MESSAGE = pae(PAYLOAD_TYPE, PAYLOAD)
SIGNERS = (generate("ecdsa-p256"), generate("ecdsa-p256"))


def request_by(*signers: PrivateKeySigner) -> dict[str, Any]:
    """Make a request for the payload, signed by each signer."""
    envelope = {
        "payload": b64encode(PAYLOAD).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [
            {"sig": b64encode(signer.sign(MESSAGE)).decode(), "keyid": ""} for signer in signers
        ],
    }
    verifiers = [
        {
            "publicKey": {"rawBytes": b64encode(signer.public_key.spki).decode()},
            "keyDetails": signer.algorithm.name,
        }
        for signer in signers
    ]
    return {"dsseRequestV002": {"envelope": envelope, "verifiers": verifiers}}


def admit(request: object) -> dict[str, Any]:
    """Admit a request and give the body."""
    data = request if isinstance(request, bytes) else json.dumps(request).encode()
    body: dict[str, Any] = json.loads(admit_request(data, accept_dsse=True).body)
    return body


def refused(request: object) -> str:
    """Give the code with which a request is refused."""
    with pytest.raises(TouchplateError) as caught:
        admit(request)
    return caught.value.code


def test_worked_example(worked: Worked) -> None:
    """The published request gives the published leaf, byte for byte."""
    vector = worked("dsse_v002")
    assert admit_request(vector.request, accept_dsse=True).body == vector.body


def test_two_signatures() -> None:
    """Every signature finds its key, and they stand in the order of their bytes."""
    request = request_by(*SIGNERS)
    logged = admit(request)["spec"]["dsseV002"]["signatures"]
    request["dsseRequestV002"]["envelope"]["signatures"].reverse()
    assert admit(request)["spec"]["dsseV002"]["signatures"] == logged
    keys = {entry["verifier"]["publicKey"]["rawBytes"] for entry in logged}
    assert keys == {b64encode(signer.public_key.spki).decode() for signer in SIGNERS}


def test_signature_by_nobody() -> None:
    """One signature without its key spoils the request."""
    request = request_by(*SIGNERS)
    del request["dsseRequestV002"]["verifiers"][1]
    assert refused(request) == "SIGNATURE_INVALID"


def test_other_payload() -> None:
    """A signature of another payload is refused."""
    request = request_by(SIGNERS[0])
    request["dsseRequestV002"]["envelope"]["payload"] = b64encode(b"{}").decode()
    assert refused(request) == "SIGNATURE_INVALID"


def test_wrong_algorithm_name() -> None:
    """A key cannot be called by another algorithm's name."""
    request = request_by(SIGNERS[0])
    request["dsseRequestV002"]["verifiers"][0]["keyDetails"] = "PKIX_ECDSA_P384_SHA_384"
    assert refused(request) == "ALGORITHM_REFUSED"


@pytest.mark.parametrize("name", ["signatures", "verifiers"])
@pytest.mark.parametrize("count", [0, 11])
def test_count(name: str, count: int) -> None:
    """No signature, or more than ten of them or of keys, is refused before any is checked."""
    request = request_by(SIGNERS[0])["dsseRequestV002"]
    holder = request["envelope"] if name == "signatures" else request
    holder[name] = holder[name] * count
    assert refused({"dsseRequestV002": request}) == "REQUEST_MALFORMED"


@given(st.data())
def test_changed_anywhere(worked: Worked, data: st.DataObject) -> None:
    """A request with bytes changed is admitted for what was signed or refused with our errors."""
    vector = worked("dsse_v002")
    request = bytearray(vector.request)
    start = data.draw(st.integers(0, len(request) - 1))
    request[start : start + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=4))
    try:
        admitted = admit_request(bytes(request), accept_dsse=True)
    except TouchplateError:
        return
    assert admitted.body == vector.body
