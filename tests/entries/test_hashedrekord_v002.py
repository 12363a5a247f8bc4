"""Admission to a v2 log: what it takes, how a request may be spelled, and what it refuses."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from hashlib import new, sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.entries.worked import ARTIFACT, Vector, certificate
from touchplate.entries.admission import ALLOWED
from touchplate.entries.create_entry import admit_request
from touchplate.entries.hashedrekord_v002 import encode_request
from touchplate.errors import TouchplateError
from touchplate.keys.algorithms import by_name, by_registry
from touchplate.keys.signer import PrivateKeySigner, generate

Worked = Callable[[str], Vector]
KEY_KINDS = {
    "ecdsa-sha2-256-nistp256": "ecdsa-p256",
    "ecdsa-sha2-384-nistp384": "ecdsa-p384",
    "ecdsa-sha2-512-nistp521": "ecdsa-p521",
    "ed25519-ph": "ed25519",
    "rsa-sign-pkcs1-2048-sha256": "rsa-2048",
    "rsa-sign-pkcs1-3072-sha256": "rsa-3072",
    "rsa-sign-pkcs1-4096-sha256": "rsa-4096",
}


def request_by(
    signer: PrivateKeySigner, *, details: str | None = None, signature: bytes | None = None
) -> dict[str, Any]:
    """Make a request for the artifact, signed by `signer` unless a signature is given."""
    digest = new(str(signer.algorithm.hash), ARTIFACT).digest()
    verifier = {
        "publicKey": {"rawBytes": b64encode(signer.public_key.spki).decode()},
        "keyDetails": details or signer.algorithm.name,
    }
    content = b64encode(signature or signer.sign_digest(digest)).decode()
    entry = {
        "digest": b64encode(digest).decode(),
        "signature": {"content": content, "verifier": verifier},
    }
    return {"hashedRekordRequestV002": entry}


def refused(request: object) -> str:
    """Give the code with which a request is refused."""
    with pytest.raises(TouchplateError) as caught:
        admit_request(request if isinstance(request, bytes) else json.dumps(request).encode())
    return caught.value.code


@pytest.mark.parametrize(
    "folder", ["hashedrekord_v002", "hashedrekord_v002_dsse", "hashedrekord_v002_ed25519ph"]
)
def test_worked_example(worked: Worked, folder: str) -> None:
    """The request of each worked example gives its leaf, byte for byte."""
    vector = worked(folder)
    admitted = admit_request(vector.request)
    assert (admitted.kind, admitted.version) == ("hashedrekord", "0.0.2")
    assert admitted.body == vector.body
    assert sha256(b"\0" + admitted.body).hexdigest() == vector.leaf_hash


@pytest.mark.parametrize(
    "folder", ["hashedrekord_v002", "hashedrekord_v002_dsse", "hashedrekord_v002_ed25519ph"]
)
def test_request_of_a_claim(worked: Worked, folder: str) -> None:
    """What the signer asks for is what the worked example asks for."""
    vector = worked(folder)
    assert json.loads(encode_request(vector.claim())) == json.loads(vector.request)


@pytest.mark.slow
@pytest.mark.parametrize("registry", sorted(ALLOWED))
def test_allowed_algorithm(registry: str) -> None:
    """Each allowed algorithm is taken, and its hash is the one in the leaf."""
    algorithm = by_registry(registry)
    signer = generate(KEY_KINDS[registry], algorithm)
    body = json.loads(admit_request(json.dumps(request_by(signer)).encode()).body)
    entry = body["spec"]["hashedRekordV002"]
    assert entry["signature"]["verifier"]["keyDetails"] == algorithm.name
    assert entry["data"]["algorithm"] == f"SHA2_{str(algorithm.hash).removeprefix('sha')}"


@pytest.mark.parametrize("curve", ["384", "521"])
def test_sha256_on_a_large_curve(curve: str) -> None:
    """A P-384 or P-521 key with SHA-256 is refused, though old logs hold such entries."""
    algorithm = by_name(f"PKIX_ECDSA_P{curve}_SHA_256")
    assert refused(request_by(generate(f"ecdsa-p{curve}", algorithm))) == "ALGORITHM_REFUSED"


@pytest.mark.parametrize(
    "name", ["PKIX_ED25519", "PKIX_RSA_PSS_2048_SHA256", "PKIX_ECDSA_P384_SHA_384"]
)
def test_details_of_another_key(name: str) -> None:
    """The key details must be an allowed algorithm, and one of the real key."""
    request = request_by(generate("ecdsa-p256"), details=name)
    assert refused(request) == "ALGORITHM_REFUSED"


def test_signature_of_another_digest() -> None:
    """A signature that does not verify is not logged."""
    signer = generate("ecdsa-p256")
    request = request_by(signer, signature=signer.sign(b"something else"))
    assert refused(request) == "SIGNATURE_INVALID"


def test_length_of_digest(worked: Worked) -> None:
    """The digest must have the length of the algorithm's hash."""
    request = json.loads(worked("hashedrekord_v002").request)
    request["hashedRekordRequestV002"]["digest"] = b64encode(bytes(31)).decode()
    assert refused(request) == "DIGEST_UNSUPPORTED"


def test_spelled_another_way(worked: Worked) -> None:
    """Protobuf JSON: snake case, enum numbers, base64 without padding or URL-safe, nulls."""
    vector = worked("hashedrekord_v002")
    entry = json.loads(vector.request)["hashedRekordRequestV002"]
    raw = entry["signature"]["verifier"]["publicKey"]["rawBytes"]
    request = {
        "hashed_rekord_request_v002": {
            "digest": entry["digest"].rstrip("="),
            "signature": {
                "content": entry["signature"]["content"].replace("+", "-").replace("/", "_"),
                "verifier": {
                    "public_key": {"raw_bytes": raw},
                    "x509Certificate": None,
                    "key_details": 5,
                },
            },
        },
        "dsseRequestV002": None,
    }
    assert admit_request(json.dumps(request, indent=1).encode()).body == vector.body


def test_urlsafe_alphabet() -> None:
    """Both alphabets mean the same bytes, and the leaf has the standard one."""
    signer = generate("ecdsa-p256")
    request = request_by(signer)
    entry = request["hashedRekordRequestV002"]
    spki = urlsafe_b64encode(signer.public_key.spki).decode().rstrip("=")
    plain = admit_request(json.dumps(request).encode()).body
    entry["signature"]["verifier"]["publicKey"]["rawBytes"] = spki
    assert admit_request(json.dumps(request).encode()).body == plain


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'{"hashed', b'{"extra":1,"hashed'),
        (b'"digest":', b'"digest":"","digest":'),
        (b'"rawBytes":', b'"raw_bytes":"","rawBytes":'),
        (b'"keyDetails"', b'"x509Certificate":{"rawBytes":"AA=="},"keyDetails"'),
        (b'"PKIX_ECDSA_P256_SHA_256"', b'"ecdsa"'),
        (b'"PKIX_ECDSA_P256_SHA_256"', b"5.5"),
        (b'"PKIX_ECDSA_P256_SHA_256"', b"true"),
        (b'"PKIX_ECDSA_P256_SHA_256"', b'""'),
        (b"hashedRekordRequestV002", b"dsseRequestV002"),
        (b'"content":"MEY', b'"content":"M*Y'),
        (b"}}}}", b"}}}} x"),
        (b"}}}}", b"}}}"),
        (b'"digest":"61TK', b'"digest":"\xff'),
    ],
)
def test_malformed(worked: Worked, old: bytes, new: bytes) -> None:
    """Unknown, repeated or contradicting members and wrong types are the sender's mistake."""
    request = worked("hashedrekord_v002").request
    assert old in request
    assert refused(request.replace(old, new, 1)) == "REQUEST_MALFORMED"


@pytest.mark.parametrize("member", ["digest", "signature"])
def test_missing(worked: Worked, member: str) -> None:
    """Digest and signature are required."""
    request = json.loads(worked("hashedrekord_v002").request)
    del request["hashedRekordRequestV002"][member]
    assert refused(request) == "REQUEST_MALFORMED"


def test_bytes_after_the_key() -> None:
    """The DER of a key ends where the key ends."""
    signer = generate("ecdsa-p256")
    request = request_by(signer)
    verifier = request["hashedRekordRequestV002"]["signature"]["verifier"]
    verifier["publicKey"]["rawBytes"] = b64encode(signer.public_key.spki + b"\0").decode()
    assert refused(request) == "KEY_UNREADABLE"


def test_deep_nesting() -> None:
    """Nesting is refused, not followed."""
    assert refused(b'{"a":' * 100_000) in {"LIMIT_EXCEEDED", "REQUEST_MALFORMED"}


@given(st.binary(max_size=200))
def test_garbage_certificate(der: bytes) -> None:
    """A certificate of any bytes gives one of our errors."""
    request = request_by(generate("ecdsa-p256"))
    verifier = request["hashedRekordRequestV002"]["signature"]["verifier"]
    del verifier["publicKey"]
    verifier["x509Certificate"] = {"rawBytes": b64encode(der).decode()}
    assert refused(request) in {"REQUEST_MALFORMED", "KEY_UNREADABLE"}


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@given(data=st.data())
def test_changed_certificate(data: st.DataObject) -> None:
    """A certificate with any bytes changed is read or refused with one of our errors."""
    signer = generate("ecdsa-p256")
    der = bytearray(certificate(signer))
    for _ in range(data.draw(st.integers(1, 3))):
        # The signature at the end, whose length varies, is not read.
        der[data.draw(st.integers(0, 240))] = data.draw(st.integers(0, 255))
    request = request_by(signer)
    verifier = request["hashedRekordRequestV002"]["signature"]["verifier"]
    del verifier["publicKey"]
    verifier["x509Certificate"] = {"rawBytes": b64encode(der).decode()}
    try:
        admit_request(json.dumps(request).encode())
    except TouchplateError:
        return


@pytest.mark.parametrize("version", [1, 3, 255])
def test_version_of_certificate(version: int) -> None:
    """A certificate is of version 1 or 3."""
    signer = generate("ecdsa-p256")
    first = bytes.fromhex("a0030201")
    der = certificate(signer).replace(first + b"\2", first + bytes([version]), 1)
    request = request_by(signer)
    verifier = request["hashedRekordRequestV002"]["signature"]["verifier"]
    del verifier["publicKey"]
    verifier["x509Certificate"] = {"rawBytes": b64encode(der).decode()}
    assert refused(request) == "REQUEST_MALFORMED"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["hashedRekordRequestV002", "digest", "signature", "content", "verifier"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_garbage(request_value: object) -> None:
    """Any JSON that is no request gives one of our errors."""
    assert refused(json.dumps(request_value).encode()) == "REQUEST_MALFORMED"
