"""Every way in which issuing fails: how to bring it about, and what is answered."""

import asyncio
import base64
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime
from threading import Thread
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.ca.places import EMAIL, KEY, TOKEN, Office, csr_pem, v2_body
from touchplate.ca.desk import Desk, DoorToDesk
from touchplate.ca.grpc import ca_handlers
from touchplate.ca.settings import IssueSettings
from touchplate.errors import SettingsError, UnavailableError
from touchplate.formats.sct import SignedCertificateTimestamp
from touchplate.keys.signer import PrivateKeySigner, generate
from touchplate.oidc.identity import Identity, SubjectName
from touchplate.server.grpc import Service, serve_grpc

V1, V2 = "/api/v1/signingCert", "/api/v2/signingCert"
BEARER = f"Bearer {TOKEN}"
TOKEN_TEXT = "There was an error processing the identity token"
KEY_TEXT = "The public key supplied in the request could not be parsed"
CSR_TEXT = "The certificate signing request could not be parsed"
INSECURE_TEXT = "The public key supplied in the request is insecure"
PROOF_TEXT = "The signature supplied in the request could not be verified"
CTL_TEXT = "Error entering certificate in CTL"
CA_TEXT = "error communicating with CA backend"
NAME_TEXT = "x509: 'ü@example.com' cannot be encoded as an IA5String"
P384 = generate("ecdsa-p384")
RSA = rsa.generate_private_key(65537, 2048)
WEAK = ec.generate_private_key(ec.SECP256K1())
WEAK_PEM = WEAK.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
Row = tuple[int, int, str]
BAD: Callable[[str], Row] = lambda text: (400, 3, text)  # noqa: E731  reads as a table
OUR: Callable[[str], Row] = lambda text: (500, 13, text)  # noqa: E731


def failing(error: Exception) -> Callable[..., Any]:
    """Give a function that fails."""

    def fail(*_: object) -> Any:
        raise error

    return fail


def failing_later(*_: object) -> "Future[SignedCertificateTimestamp]":
    """Give a future that has failed."""
    future: Future[SignedCertificateTimestamp] = Future()
    future.set_exception(UnavailableError("STORAGE_UNAVAILABLE", "secret path"))
    return future


def unnamable(_: str, __: datetime) -> Identity:
    """Give an identity that no certificate can hold."""
    return Identity("https://i", "s", SubjectName("email", "ü@example.com"), EMAIL)


def without_issuer(_: str, __: datetime) -> Identity:
    """Give an identity that nobody vouches for."""
    return Identity("", "s", SubjectName("email", EMAIL), EMAIL)


class BrokenSigner(PrivateKeySigner):
    """A key store that fails at the signature of this number."""

    left = 0

    def sign(self, message: bytes) -> bytes:
        """Sign, or fail."""
        if self.left == 0:
            raise UnavailableError("SERVICE_UNAVAILABLE", "secret slot")
        self.left -= 1
        return super().sign(message)


def break_signer(office: Office, after: int) -> None:
    """Have the authority's key fail after so many signatures."""
    authority = office.place.authority
    signer = BrokenSigner(authority.signer.crypto)  # type: ignore[attr-defined]  # in memory
    signer.left = after
    office.issuance = replace(office.issuance, authority=lambda: replace(authority, signer=signer))


def keyed(**changes: Any) -> dict[str, Any]:
    """Ask by key, with changes of the inner fields."""
    asked: dict[str, Any] = {"publicKeyRequest": v2_body()["publicKeyRequest"]}
    inner = asked["publicKeyRequest"]
    if "content" in changes:
        inner["publicKey"]["content"] = changes["content"]
    if "proof" in changes:
        inner["proofOfPossession"] = changes["proof"]
    return asked


def requested(csr: bytes) -> dict[str, Any]:
    """Ask by CSR."""
    return {"certificateSigningRequest": base64.b64encode(csr).decode()}


def pss_csr(hasher: hashes.SHA256 | hashes.SHA384 | hashes.SHA512) -> bytes:
    """Sign a CSR with PSS."""
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    pss = padding.PSS(padding.MGF1(hasher), hasher.digest_size)
    return builder.sign(RSA, hasher, rsa_padding=pss).public_bytes(Encoding.PEM)


def flipped(pem: bytes) -> bytes:
    """Spoil the signature of a CSR."""
    raw = bytearray(base64.b64decode(b"".join(pem.split(b"\n")[1:-2])))
    raw[-1] ^= 1
    body = base64.b64encode(bytes(raw))
    return b"-----BEGIN CERTIFICATE REQUEST-----\n%s\n-----END CERTIFICATE REQUEST-----\n" % body


def weak_csr() -> bytes:
    """Sign a CSR with a key that is not taken."""
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    return builder.sign(WEAK, hashes.SHA256()).public_bytes(Encoding.PEM)


def by_p384(hasher: hashes.HashAlgorithm) -> bytes:
    """Sign a CSR with P-384 and this hash."""
    return csr_pem(P384, hasher)


def nothing(_: Office) -> None:
    """Leave the office as it is."""


def with_(**changes: Any) -> Callable[[Office], None]:
    """Change what issuing needs."""

    def change(office: Office) -> None:
        office.issuance = replace(office.issuance, **changes)

    return change


DOWN = UnavailableError("SERVICE_UNAVAILABLE", "secret host")


# Row of the specification: request, header, what is broken, answer.
ROWS: list[tuple[str, dict[str, Any], str, Callable[[Office], None], Row]] = [
    ("1 no token", keyed(), "", nothing, BAD(TOKEN_TEXT)),
    ("1 no JWT", keyed(), "Bearer x", nothing, BAD(TOKEN_TEXT)),
    ("1 signature", keyed(), BEARER[:-6] + "AAAAAA", nothing, BAD(TOKEN_TEXT)),
    ("1 dots", keyed(), "Bearer " + "." * 10_000, nothing, BAD(TOKEN_TEXT)),
    ("1 issuer down", keyed(), BEARER, with_(authenticate=failing(DOWN)), (503, 14, TOKEN_TEXT)),
    ("2a", requested(b"x"), BEARER, nothing, BAD(CSR_TEXT)),
    (
        "2a DER",
        requested(x509.load_pem_x509_csr(csr_pem()).public_bytes(Encoding.DER)),
        BEARER,
        nothing,
        BAD(CSR_TEXT),
    ),
    ("3a", requested(weak_csr()), BEARER, nothing, BAD(INSECURE_TEXT)),
    ("4a", requested(flipped(csr_pem())), BEARER, nothing, BAD(PROOF_TEXT)),
    *(
        (
            f"5a {name}",
            requested(pss_csr(hasher)),
            BEARER,
            nothing,
            BAD(f"unrecognized signature algorithm: {name}"),
        )
        for name, hasher in (
            ("SHA256-RSAPSS", hashes.SHA256()),
            ("SHA384-RSAPSS", hashes.SHA384()),
            ("SHA512-RSAPSS", hashes.SHA512()),
        )
    ),
    ("2b nothing", {}, BEARER, nothing, BAD(KEY_TEXT)),
    ("2b", keyed(content="x"), BEARER, nothing, BAD(KEY_TEXT)),
    ("3b", keyed(content=WEAK_PEM), BEARER, nothing, BAD(INSECURE_TEXT)),
    ("4b none", keyed(proof=""), BEARER, nothing, BAD(PROOF_TEXT)),
    (
        "4b other",
        keyed(proof=base64.b64encode(KEY.sign(b"other@example.com")).decode()),
        BEARER,
        nothing,
        BAD(PROOF_TEXT),
    ),
    (
        "6 P-384",
        requested(by_p384(hashes.SHA256())),
        BEARER,
        nothing,
        BAD("signing algorithm not permitted: *ecdsa.PublicKey, SHA-256"),
    ),
    (
        "6 RSA",
        requested(csr_pem(PrivateKeySigner(RSA), hashes.SHA384())),
        BEARER,
        nothing,
        BAD("signing algorithm not permitted: *rsa.PublicKey, SHA-384"),
    ),
    (
        "6 key",
        keyed(),
        BEARER,
        with_(settings=IssueSettings(algorithms=frozenset({"ed25519"}))),
        BAD("signing algorithm not permitted: *ecdsa.PublicKey, SHA-256"),
    ),
    ("7 name", keyed(), BEARER, with_(authenticate=unnamable), BAD(NAME_TEXT)),
    (
        "7 issuer",
        keyed(),
        BEARER,
        with_(authenticate=without_issuer),
        BAD("extensions must have a non-empty issuer url"),
    ),
    ("7 signer", keyed(), BEARER, lambda office: break_signer(office, 0), OUR(CA_TEXT)),
    (
        "7 chain",
        keyed(),
        BEARER,
        with_(authority=failing(SettingsError("SETTINGS_INVALID", "secret path"))),
        OUR(CA_TEXT),
    ),
    ("8 refused", keyed(), BEARER, with_(submit=failing(DOWN)), OUR(CTL_TEXT)),
    ("8 later", keyed(), BEARER, with_(submit=failing_later), OUR(CTL_TEXT)),
    ("9 signer", keyed(), BEARER, lambda office: break_signer(office, 1), OUR(CA_TEXT)),
]


def as_v1(body: dict[str, Any]) -> dict[str, Any]:
    """Give a request in the form of version 1."""
    asked = body.get("publicKeyRequest")
    if asked is None:
        return body
    content = base64.b64encode(asked["publicKey"]["content"].encode()).decode()
    return {
        "publicKey": {"algorithm": "ecdsa", "content": content},
        "signedEmailAddress": asked["proofOfPossession"],
    }


class Client:
    """A real gRPC client of an office, whose desk is in a loop of its own, unless told not to."""

    def __init__(self, office: Office, *, with_desk: bool = True, **options: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = Thread(target=self.loop.run_forever)
        self._thread.start()
        door = DoorToDesk(Desk(office.issuance), self.loop) if with_desk else None
        handlers = ca_handlers(
            office.issuance, lambda: office.authenticator.issuers, door=door, **options
        )
        services = [Service(name, handler) for name, handler in handlers.items()]
        self.server = serve_grpc(services, ("127.0.0.1", 0))
        self.channel = grpc.insecure_channel(
            f"127.0.0.1:{self.server.port}", options=[("grpc.enable_retries", 0)]
        )

    def call(
        self,
        name: str,
        request: Any,
        answer: Any,
        metadata: tuple[tuple[str, str], ...] = (),
        timeout: float = 20,
    ) -> Any:
        """Call a method by its full name; give its answer and the call."""
        method = self.channel.unary_unary(
            f"/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        return method.with_call(request, timeout=timeout, metadata=metadata)

    def close(self) -> None:
        """End both sides."""
        self.channel.close()
        self.server.stop(5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
