"""TUF metadata bytes, held to the specification's example and to python-tuf."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.formats import encode_canonical
from tuf.api.metadata import Metadata as OracleMetadata

from touchplate.errors import MalformedError, RefusedError, VerificationError
from touchplate.keys.signer import PrivateKeySigner, generate
from touchplate.tuf.metadata import Metadata, canonical_json, decode, encode, key_entry, key_id

EXPIRES = datetime(2030, 1, 8, tzinfo=UTC)
TIMESTAMP = Metadata("timestamp", 7, EXPIRES, {"meta": {"snapshot.json": {"version": 3}}})

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=20,
)


def worked_example_signer() -> PrivateKeySigner:
    """Make the key of the worked example."""
    return PrivateKeySigner(Ed25519PrivateKey.from_private_bytes(bytes(range(0x20, 0x40))))


def test_canonical_form() -> None:
    """Only the quote and the backslash are escaped; a newline stays as it is."""
    value = {"b": [1, True, None], "a": 'é"\\\n'}
    assert canonical_json(value) == '{"a":"é\\"\\\\\n","b":[1,true,null]}'.encode()


@given(json_values)
def test_canonical_form_is_the_oracles(
    value: str | int | list[Any] | dict[Any, Any] | None,
) -> None:
    """Our canonical JSON is securesystemslib's for every value without floats."""
    expected = encode_canonical(value)
    assert expected is not None
    assert canonical_json(value) == expected.encode()


def test_worked_example() -> None:
    """The key id, the signed bytes and the Ed25519 signature are those of the worked example."""
    signer = worked_example_signer()
    envelope = json.loads(encode(TIMESTAMP, signer))
    canonical = (
        b'{"_type":"timestamp","expires":"2030-01-08T00:00:00Z",'
        b'"meta":{"snapshot.json":{"version":3}},"spec_version":"1.0.31","version":7}'
    )

    assert canonical_json(envelope["signed"]) == canonical
    assert envelope["signatures"] == [
        {
            "keyid": "75ae790ee58e915231032b31c22a4065135d9e6fde9ab754f20c477df74e0ae2",
            "sig": "d350199ef269cb577b03f65e0ff425c35494890596b58732c39daa592e81425b"
            "e80807d9b82d8e40e93eac951352c0f669b13b28a86090f17d35b6e4c936da08",
        }
    ]


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ed25519"])
def test_decode_what_was_encoded(kind: str) -> None:
    """What was encoded reads back the same, and python-tuf reads it too."""
    signer = generate(kind)
    data = encode(TIMESTAMP, signer)

    assert decode(data, "timestamp", signer.public_key) == TIMESTAMP
    assert OracleMetadata.from_bytes(data).to_dict() == json.loads(data)


def test_another_key() -> None:
    """Metadata that another key signed is not ours."""
    data = encode(TIMESTAMP, generate("ecdsa-p256"))
    with pytest.raises(MalformedError):
        decode(data, "timestamp", generate("ecdsa-p256").public_key)


def test_changed_content() -> None:
    """Metadata changed after it was signed is refused."""
    signer = generate("ecdsa-p256")
    data = encode(TIMESTAMP, signer).replace(b'"version":3', b'"version":4')
    with pytest.raises(VerificationError) as caught:
        decode(data, "timestamp", signer.public_key)
    assert caught.value.code == "SIGNATURE_INVALID"


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Bytes that are no metadata are refused as malformed."""
    with pytest.raises(MalformedError):
        decode(data, "root", worked_example_signer().public_key)


def test_unknown_kind_of_key() -> None:
    """A kind of key that TUF clients do not know cannot be used."""
    with pytest.raises(RefusedError) as caught:
        key_entry(generate("ecdsa-p384").public_key)
    assert caught.value.code == "ALGORITHM_REFUSED"


def test_key_id() -> None:
    """A key's id does not depend on what it signs."""
    signer = generate("ecdsa-p256")
    assert key_id(signer.public_key) == key_id(signer.public_key)
