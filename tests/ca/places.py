"""An authority with an issuer, a log and HTTP: the whole of issuing, in memory."""

import asyncio
import base64
import json
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.ctlog.places import Place, open_place
from touchplate.ca.issue import Issuance
from touchplate.ca.routes import routes
from touchplate.formats.sct import SignedCertificateTimestamp
from touchplate.keys.signer import PrivateKeySigner, generate
from touchplate.oidc import Authenticator, OwnIssuer
from touchplate.transport.asgi import Request, Response

EMAIL = "dev@example.com"
NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
ISSUER = OwnIssuer("https://idp.example.com", generate())
TOKEN = ISSUER.mint(EMAIL, NOW)
KEY = generate()


@dataclass
class Office:
    """Everything that issuing needs; `issuance` may be exchanged by a test."""

    place: Place
    authenticator: Authenticator
    issuance: Issuance

    def call(
        self, method: str, path: str, body: bytes = b"", authorization: str | None = None
    ) -> Response:
        """Ask the handler of a path."""
        headers = {} if authorization is None else {"authorization": authorization}
        for route in routes(self.issuance, lambda: self.authenticator.issuers):
            if (route.method, route.pattern) == (method, path):
                request = Request(method, path, headers=headers, body=body)

                async def ask() -> Response:
                    return await route.handler(request)  # noqa: B023 - awaited in this turn

                return asyncio.run(ask())
        raise AssertionError(f"no route for {method} {path}")

    def submit(self, chain: tuple[bytes, ...]) -> Future[SignedCertificateTimestamp]:
        """Give a precertificate to the log."""
        return self.place.log.submit_own(chain)


def open_office() -> Office:
    """Open an authority under a new root, with an empty log."""
    place = open_place()
    authenticator = Authenticator([ISSUER.as_issuer()])
    issuance = Issuance(
        authenticator.authenticate,
        lambda: place.authority,
        place.log.submit_own,
        lambda: NOW,
    )
    return Office(place, authenticator, issuance)


def public_pem(signer: PrivateKeySigner = KEY) -> str:
    """Give a key as PEM."""
    return signer.public_key.pem()


def v2_body(signer: PrivateKeySigner = KEY, **changes: object) -> dict[str, Any]:
    """Ask by key and proof, as most clients do."""
    proof = base64.b64encode(signer.sign(EMAIL.encode())).decode()
    return {
        "credentials": {"oidcIdentityToken": TOKEN},
        "publicKeyRequest": {
            "publicKey": {"algorithm": "ECDSA", "content": public_pem(signer)},
            "proofOfPossession": proof,
        },
        **changes,
    }


def csr_pem(signer: PrivateKeySigner = KEY, digest: hashes.HashAlgorithm | None = None) -> bytes:
    """Sign a request with an empty subject, as sigstore-python does."""
    family = signer.public_key.kind.partition("-")[0]
    chosen = None if family == "ed25519" else digest or hashes.SHA256()
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    return builder.sign(signer.crypto, chosen).public_bytes(Encoding.PEM)  # type: ignore[arg-type]  # None for Ed25519


def spki(signer: PrivateKeySigner) -> bytes:
    """Give a key as DER."""
    found: bytes = signer.crypto.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    return found


def as_json(value: object) -> bytes:
    """Encode."""
    return json.dumps(value).encode()
