from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from touchplate.clients.request import certificate_request, certificate_request_pem
from touchplate.errors import VerificationError
from touchplate.keys.signer import generate


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ed25519", "rsa-2048"])
def test_request(kind: str) -> None:
    """The library reads our request: signed by its key, no subject, and no authority."""
    key = generate(kind)

    read = x509.load_der_x509_csr(certificate_request(key))

    assert read.is_signature_valid
    assert len(list(read.subject)) == 0
    spki = read.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert spki == key.public_key.spki
    constraints = read.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=False, path_length=None)


def test_pem() -> None:
    """The PEM form holds the same request."""
    read = x509.load_pem_x509_csr(certificate_request_pem(generate()).encode())
    assert read.is_signature_valid


def test_unsupported() -> None:
    """A kind of key that authorities do not certify is refused by name."""
    with pytest.raises(VerificationError, match="ML_DSA_44"):
        certificate_request(generate("ml-dsa-44"))
