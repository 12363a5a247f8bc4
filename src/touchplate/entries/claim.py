"""What a bundle claims, in the form in which a log entry is compared with it."""

from binascii import b2a_base64
from collections.abc import Callable
from typing import NamedTuple

from touchplate.formats.bundle import Envelope, MessageSignature
from touchplate.formats.certificate import Certificate
from touchplate.keys.algorithms import HashName
from touchplate.keys.pem import encode_pem
from touchplate.keys.public import PublicKey


class Claim(NamedTuple):
    """One signature, by one key, over one content.

    `digest` gives the hash that a `hashedrekord` entry holds: of the artifact for a message
    signature, of the pre-authentication encoding for an envelope. It may raise DIGEST_UNSUPPORTED
    if that hash is not known.
    """

    content: MessageSignature | Envelope
    signature: bytes
    key: PublicKey
    certificate: Certificate | None
    digest: Callable[[HashName], bytes]

    @property
    def verifier(self) -> bytes:
        """Give the DER of what verifies the signature: the certificate, else the public key."""
        return self.key.spki if self.certificate is None else self.certificate.der

    @property
    def verifier_pem(self) -> bytes:
        """Give `verifier` as canonical PEM."""
        if self.certificate is None:
            return encode_pem("PUBLIC KEY", self.key.spki)
        return encode_pem("CERTIFICATE", self.certificate.der)

    @property
    def verifier_pem_base64(self) -> bytes:
        """Give `verifier_pem` as base64: so v1 entries hold it."""
        if self.certificate is None:
            return b2a_base64(self.verifier_pem, newline=False)
        return self.certificate.pem_base64
