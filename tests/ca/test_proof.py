"""That the caller holds the key: every kind of key, both forms, and what is refused."""

import hashlib
from base64 import b64decode, b64encode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, padding, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from tests.ca.places import EMAIL, KEY, csr_pem
from touchplate.ca.proof import UNPARSEABLE_CSR, check_possession
from touchplate.ca.request import SigningRequest
from touchplate.errors import MalformedError, RefusedError, TouchplateError
from touchplate.keys.signer import PrivateKeySigner, generate

KINDS = ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "rsa-3072", "ed25519"]
PLAIN_SIZES = {"ecdsa-p256": 32, "ecdsa-p384": 48, "ecdsa-p521": 66}


def by_key(key: bytes, proof: bytes) -> SigningRequest:
    """Ask with a key and a proof."""
    return SigningRequest("", b"", key, proof)


def by_csr(csr: bytes) -> SigningRequest:
    """Ask with a CSR."""
    return SigningRequest("", csr, b"", b"")


def refusal(request: SigningRequest, challenge: str = EMAIL) -> str:
    """Give the words with which a request is refused."""
    with pytest.raises((MalformedError, RefusedError)) as caught:
        check_possession(request, challenge)
    return caught.value.message


def test_worked_example() -> None:
    """The published proof for the published key holds."""
    scalar = int.from_bytes(hashlib.sha256(b"example leaf key").digest(), "big")
    signer = PrivateKeySigner(ec.derive_private_key(scalar, ec.SECP256R1()))
    proof = b64decode(
        "MEUCIDGJLBVGVB7mSqHLoBuE7T5NH+6GNEWu6fc7/dPO9mI/AiEAn6jDYcYvXBwzlN/MHvZ99d9TGLhHh/jlN2bI3bLJ"
        "gHM="
    )

    assert check_possession(by_key(signer.public_key.pem().encode(), proof), EMAIL) == (
        signer.public_key
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["pem", "der"])
def test_each_kind(kind: str, form: str) -> None:
    """Each kind of key is proven with its own hash, given as PEM or DER."""
    signer = generate(kind)
    key = signer.public_key.pem().encode() if form == "pem" else signer.public_key.spki
    request = by_key(key, signer.sign(EMAIL.encode()))

    assert check_possession(request, EMAIL) == signer.public_key
    assert refusal(request, EMAIL + "\n").endswith("could not be verified")


@pytest.mark.parametrize("kind", sorted(PLAIN_SIZES))
def test_plain_signature(kind: str) -> None:
    """An ECDSA proof may be r and s side by side."""
    signer, size = generate(kind), PLAIN_SIZES[kind]
    r, s = decode_dss_signature(signer.sign(EMAIL.encode()))
    plain = r.to_bytes(size, "big") + s.to_bytes(size, "big")
    pem = signer.public_key.pem().encode()

    assert check_possession(by_key(pem, plain), EMAIL) == signer.public_key
    assert refusal(by_key(pem, plain[:-1])).endswith("could not be verified")
    assert refusal(by_key(pem, bytes(2 * size))).endswith("could not be verified")


def test_pkcs1_key() -> None:
    """An RSA key may come as PKCS#1."""
    signer = generate("rsa-2048")
    pem = signer.crypto.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)

    assert check_possession(by_key(pem, signer.sign(EMAIL.encode())), EMAIL) == signer.public_key


def test_pss_proof() -> None:
    """An RSA proof is PKCS#1 v1.5, never PSS."""
    signer = generate("rsa-2048")
    proof = signer.crypto.sign(
        EMAIL.encode(), padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()
    )

    assert refusal(by_key(signer.public_key.spki, proof)).endswith("could not be verified")


@pytest.mark.parametrize(
    ("kind", "digest"),
    [
        ("ecdsa-p256", hashes.SHA256()),
        ("ecdsa-p384", hashes.SHA384()),
        ("ecdsa-p521", hashes.SHA512()),
        ("rsa-2048", hashes.SHA256()),
        ("ed25519", None),
    ],
)
def test_csr(kind: str, digest: hashes.HashAlgorithm | None) -> None:
    """A CSR proves its key by its own signature; its label may be that of old programs."""
    signer = generate(kind)
    csr = csr_pem(signer, digest)

    assert check_possession(by_csr(csr), EMAIL) == signer.public_key
    renamed = csr.replace(b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST")
    assert check_possession(by_csr(renamed), EMAIL) == signer.public_key


@pytest.mark.parametrize(
    ("kind", "digest", "message"),
    [
        (
            "ecdsa-p384",
            hashes.SHA256(),
            "signing algorithm not permitted: *ecdsa.PublicKey, SHA-256",
        ),
        (
            "rsa-2048",
            hashes.SHA512(),
            "signing algorithm not permitted: *rsa.PublicKey, SHA-512",
        ),
    ],
)
def test_csr_with_another_hash(kind: str, digest: hashes.HashAlgorithm, message: str) -> None:
    """The hash of a CSR is that of the key's permitted algorithm."""
    assert refusal(by_csr(csr_pem(generate(kind), digest))) == message


def test_csr_with_pss() -> None:
    """A CSR that is signed with PSS is told by name."""
    key = rsa.generate_private_key(65537, 2048)
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    csr = builder.sign(key, hashes.SHA256(), rsa_padding=pss).public_bytes(Encoding.PEM)

    assert refusal(by_csr(csr)) == "unrecognized signature algorithm: SHA256-RSAPSS"


def test_csr_of_another_version() -> None:
    """A request of a version that does not exist is malformed, and no fault of ours."""
    raw = b64decode(b"".join(csr_pem().split(b"\n")[1:-2]))
    version = raw.index(b"\x02\x01\x00")
    raw = raw[:version] + b"\x02\x01\x01" + raw[version + 3 :]
    csr = b"-----BEGIN CERTIFICATE REQUEST-----\n%s\n-----END CERTIFICATE REQUEST-----\n"
    assert refusal(by_csr(csr % b64encode(raw))) == UNPARSEABLE_CSR


def test_csr_of_another_key() -> None:
    """A CSR whose signature is not by its own key proves nothing."""
    raw = bytearray(b64decode(b"".join(csr_pem().split(b"\n")[1:-2])))
    raw[-1] ^= 1
    csr = b"-----BEGIN CERTIFICATE REQUEST-----\n%s\n-----END CERTIFICATE REQUEST-----\n"

    assert refusal(by_csr(csr % b64encode(bytes(raw)))).endswith("could not be verified")


def insecure_keys() -> list[object]:
    """Make public keys that are not for signing artifacts, or too weak."""
    return [
        rsa.generate_private_key(65537, 1024).public_key(),  # noqa: S505 - refused below
        rsa.generate_private_key(65537, 2056).public_key(),
        rsa.generate_private_key(3, 2048).public_key(),
        ec.generate_private_key(ec.SECP224R1()).public_key(),
        ec.generate_private_key(ec.SECP256K1()).public_key(),
        dsa.generate_private_key(1024).public_key(),  # noqa: S505 - refused below
        ed448.Ed448PrivateKey.generate().public_key(),
        x25519.X25519PrivateKey.generate().public_key(),
        generate("ml-dsa-44").crypto.public_key(),
    ]


@pytest.mark.parametrize("key", insecure_keys(), ids=lambda key: type(key).__name__)
def test_insecure(key: rsa.RSAPublicKey) -> None:
    """Weak keys and other kinds of key are refused before any proof is looked at."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    assert refusal(by_key(der, b"")) == "The public key supplied in the request is insecure"


def test_point_off_the_curve() -> None:
    """A point that is not on its curve is no key."""
    der = bytearray(KEY.public_key.spki)
    der[-1] ^= 1

    assert refusal(by_key(bytes(der), b"")).endswith("could not be parsed")


def test_setting() -> None:
    """An operator may permit fewer algorithms."""
    request = by_key(KEY.public_key.spki, KEY.sign(EMAIL.encode()))
    with pytest.raises(RefusedError) as caught:
        check_possession(request, EMAIL, ("ed25519",))

    assert caught.value.code == "ALGORITHM_REFUSED"


@given(st.binary(max_size=150), st.binary(max_size=80))
def test_any_bytes(key: bytes, proof: bytes) -> None:
    """Any bytes for key, proof and CSR end in an error of ours."""
    pem = b"-----BEGIN PUBLIC KEY-----\n" + key
    for request in (
        by_key(key, proof),
        by_key(pem, proof),
        by_key(KEY.public_key.spki, proof),
        by_csr(key or b"x"),
    ):
        with pytest.raises(TouchplateError):
            check_possession(request, EMAIL)
