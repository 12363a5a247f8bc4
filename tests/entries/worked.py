"""The worked examples of each kind, read, and the claims that they are about."""

import json
from base64 import b64decode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import new
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from touchplate.entries import Claim
from touchplate.formats.bundle import (
    Envelope,
    EnvelopeSignature,
    MessageSignature,
    TransparencyLogEntry,
)
from touchplate.formats.dsse import pae
from touchplate.keys.public import load_public_key
from touchplate.keys.signer import PrivateKeySigner

VECTORS = Path(__file__).resolve().parent.parent / "vectors" / "entries"
ARTIFACT = b"hello, transparency log\n"
PAYLOAD = (VECTORS / "payload.json").read_bytes()
PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True)
class Vector:
    """One worked example."""

    folder: str
    request: bytes
    body: bytes
    leaf_hash: str

    @property
    def kind(self) -> str:
        """The kind that the body names."""
        return str(json.loads(self.body)["kind"])

    @property
    def version(self) -> str:
        """The version that the body names."""
        return str(json.loads(self.body)["apiVersion"])

    def entry(self, body: bytes | None = None) -> TransparencyLogEntry:
        """The entry as a bundle holds it, with another body if one is given."""
        logged = self.body if body is None else body
        return TransparencyLogEntry(0, b"", self.kind, self.version, 0, None, None, logged)

    def claim(self) -> Claim:
        """The claim of a good bundle with this entry."""
        members = json.loads((VECTORS / "hashedrekord_v002" / "body.json").read_bytes())
        if "dsse" in self.folder or "intoto" in self.folder:
            members = json.loads((VECTORS / "hashedrekord_v002_dsse" / "body.json").read_bytes())
        if self.kind == "hashedrekord" and self.version == "0.0.2":
            members = json.loads(self.body)
        logged = members["spec"]["hashedRekordV002"]["signature"]
        signature = b64decode(logged["content"])
        key = load_public_key(b64decode(logged["verifier"]["publicKey"]["rawBytes"]))
        content: Envelope | MessageSignature = MessageSignature(None, None, signature)
        signed = ARTIFACT
        if "dsse" in self.folder or "intoto" in self.folder:
            content = Envelope(PAYLOAD, PAYLOAD_TYPE, (EnvelopeSignature(signature),))
            signed = pae(PAYLOAD_TYPE, PAYLOAD)
        return Claim(content, signature, key, None, lambda name: new(name, signed).digest())


def load(folder: str) -> Vector:
    """Read one worked example."""
    path = VECTORS / folder
    return Vector(
        folder,
        (path / "request.json").read_bytes(),
        (path / "body.json").read_bytes(),
        (path / "leaf_hash").read_text().strip(),
    )


def certificate(
    signer: PrivateKeySigner, issuer: PrivateKeySigner | None = None, days: int = 0
) -> bytes:
    """Make a certificate, self-signed or by an issuer, that begins so many days after 2030 did."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a name")])
    begin = datetime(2030, 1, 1, tzinfo=UTC) + timedelta(days=days)
    end = begin + timedelta(days=10)
    builder = x509.CertificateBuilder(name, name, signer.crypto.public_key(), 1, begin, end)
    made = builder.sign((issuer or signer).crypto, hashes.SHA256())
    return made.public_bytes(Encoding.DER)
