"""Every way in which issuing fails, row by row: status, code and words, in the order of checks."""

import base64
import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime
from itertools import product
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf import json_format

from tests.ca.places import EMAIL, KEY, TOKEN, Office, as_json, csr_pem, open_office, v2_body
from touchplate.ca.grpc import SERVICE, SERVICE_V1, ca_handlers
from touchplate.ca.settings import IssueSettings
from touchplate.errors import SettingsError, UnavailableError
from touchplate.formats.sct import SignedCertificateTimestamp
from touchplate.keys.signer import PrivateKeySigner, generate
from touchplate.oidc import base64url
from touchplate.oidc.identity import Identity, SubjectName
from touchplate.protobuf import sigstore_fulcio_v1beta_pb2 as v1beta
from touchplate.protobuf import sigstore_fulcio_v2_pb2 as v2
from touchplate.server.grpc import Service, serve_grpc
from touchplate.transport.asgi import TooOftenError

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


def fault(status: int, body: bytes) -> Row:
    """Give status, code and words of an error."""
    found = json.loads(body)
    assert found.keys() == {"code", "message", "details"}
    assert found["details"] == []
    return status, found["code"], found["message"]


each_row = pytest.mark.parametrize(
    ("body", "header", "broken", "expected"), [row[1:] for row in ROWS], ids=[r[0] for r in ROWS]
)


@pytest.mark.parametrize("path", [V1, V2])
@each_row
def test_http(
    office: Office,
    path: str,
    body: dict[str, Any],
    header: str,
    broken: Callable[[Office], None],
    expected: Row,
) -> None:
    """Each fault has its status, code and words, the same in both versions; nothing is told more.

    What failed before the log left nothing there.
    """
    broken(office)
    found = office.call("POST", path, as_json(as_v1(body) if path == V1 else body), header)

    assert fault(found.status, found.body) == expected
    assert b"secret" not in found.body
    assert found.status >= 500 or "retry-after" not in dict(found.headers)
    assert found.status != 503 or dict(found.headers)["retry-after"] == "1"
    assert office.place.log.tree_head().size == (1 if broken is ROWS[-1][3] else 0)


class Client:
    """A real gRPC client of an office."""

    def __init__(self, office: Office, **options: Any) -> None:
        handlers = ca_handlers(office.issuance, lambda: office.authenticator.issuers, **options)
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


@pytest.fixture
def client(office: Office) -> Iterator[Client]:
    """Give a client of the office as it is when this is asked for."""
    found = Client(office)
    yield found
    found.close()


@pytest.mark.parametrize("version", [V1, V2])
@each_row
def test_grpc(
    office: Office,
    version: str,
    body: dict[str, Any],
    header: str,
    broken: Callable[[Office], None],
    expected: Row,
) -> None:
    """By gRPC the same code and words."""
    broken(office)
    client = Client(office)
    token = header.removeprefix("Bearer ")
    metadata = (("oidcidentitytoken", token),) if token else ()
    message: Any = v2.CreateSigningCertificateRequest()
    service: str = SERVICE
    answer: Any = v2.SigningCertificate
    if version == V1:
        message, service = v1beta.CreateSigningCertificateRequest(), SERVICE_V1
        answer = v1beta.PublicKey
        body = as_v1(body)
        if not body:
            expected = BAD(KEY_TEXT)
    json_format.ParseDict(body, message)
    try:
        with pytest.raises(grpc.RpcError) as caught:
            client.call(f"{service}/CreateSigningCertificate", message, answer, metadata)
    finally:
        client.close()

    assert (caught.value.code().value[0], caught.value.details()) == expected[1:]


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What the authority tells its operator."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]  # as documented
    logger = logging.getLogger("touchplate.ca")
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


def forged(**claims: object) -> str:
    """Give a token with these claims, of nobody."""
    head, body = (
        base64url.encode(json.dumps(part).encode()) for part in ({"alg": "ES256"}, claims)
    )
    return f"{head}.{body}.AAAA"


@pytest.mark.parametrize(
    ("token", "issuer", "reason"),
    [
        ("", "''", "TOKEN_MALFORMED: identity token: not three parts between two dots"),
        (
            forged(iss="https://evil\nFAKE"),
            "'https://evil\\nFAKE'",
            "its issuer is not known here",
        ),
        (forged(iss="x" * 9000), f"'{'x' * 200}'", "its issuer is not known here"),
        (
            TOKEN[:-6] + "AAAAAA",
            "'https://idp.example.com'",
            "no key of its issuer made the signature",
        ),
    ],
)
@pytest.mark.parametrize("by", ["http", "grpc"])
def test_reason_is_logged(
    office: Office, client: Client, told: list[str], token: str, issuer: str, reason: str, by: str
) -> None:
    """The operator reads why a token was refused, and of what issuer; never the token."""
    if by == "http":
        office.call("POST", V2, as_json(keyed()), f"Bearer {token}")
    else:
        message = json_format.ParseDict(keyed(), v2.CreateSigningCertificateRequest())
        message.credentials.oidc_identity_token = token
        with pytest.raises(grpc.RpcError):
            client.call(f"{SERVICE}/CreateSigningCertificate", message, v2.SigningCertificate)

    (line,) = told
    assert line.startswith(f"token of {issuer}: ")
    assert reason in line
    assert len(line) < 600
    assert "\n" not in line
    assert not any(part in line for part in token.split(".") if len(part) > 3)


def test_reason_when_an_issuer_is_away(office: Office, told: list[str]) -> None:
    """So is that its keys cannot be had; once, and not as a fault of the authority's own."""
    with_(authenticate=failing(DOWN))(office)
    office.call("POST", V2, as_json(keyed()), BEARER)

    assert told == ["token of 'https://idp.example.com': SERVICE_UNAVAILABLE: secret host"]


ORDER = [
    TOKEN_TEXT,
    (KEY_TEXT, INSECURE_TEXT),
    PROOF_TEXT,
    "signing algorithm not permitted: *ecdsa.PublicKey, SHA-256",
    NAME_TEXT,
    CTL_TEXT,
]


@pytest.mark.parametrize("wrong", list(product((0, 1), (0, 1, 2), (0, 1), (0, 1), (0, 1), (0, 1))))
def test_order(wrong: tuple[int, ...]) -> None:
    """Of several faults the first in the order of checks is told."""
    token, key, proof, permitted, name, log = wrong
    office = open_office()
    body = keyed()
    if key:
        body["publicKeyRequest"]["publicKey"]["content"] = "x" if key == 1 else WEAK_PEM
    if proof:
        body["publicKeyRequest"]["proofOfPossession"] = "AAAA"
    if permitted:
        with_(settings=IssueSettings(algorithms=frozenset({"ed25519"})))(office)
    if name:
        with_(authenticate=unnamable)(office)
    if token:
        with_(authenticate=failing(DOWN))(office)
    if log:
        with_(submit=failing(DOWN))(office)
    found = office.call("POST", V2, as_json(body), BEARER)
    office.place.log.log.close()

    if not any(wrong):
        assert found.status == 200
        return
    first = next(place for place, flag in enumerate(wrong) if flag)
    words = ORDER[first]
    expected = words[key - 1] if isinstance(words, tuple) else words
    assert fault(found.status, found.body)[2] == expected


CSRS: dict[str, Callable[[], bytes]] = {
    CSR_TEXT: lambda: b"x",
    INSECURE_TEXT: weak_csr,
    PROOF_TEXT: lambda: flipped(pss_csr(hashes.SHA256())),
    "unrecognized signature algorithm: SHA256-RSAPSS": lambda: pss_csr(hashes.SHA256()),
    "signing algorithm not permitted: *ecdsa.PublicKey, SHA-256": csr_pem,
}


@pytest.mark.parametrize("words", CSRS)
@pytest.mark.parametrize(("token", "later"), [(0, 0), (0, 1), (1, 1)])
def test_order_of_csr(words: str, token: int, later: int) -> None:
    """The same for requests by CSR; a proof beside it is not looked at."""
    office = open_office()
    with_(settings=IssueSettings(algorithms=frozenset({"ed25519"})))(office)
    if later:
        with_(authenticate=unnamable, submit=failing(DOWN))(office)
    if token:
        with_(authenticate=failing(DOWN))(office)
    found = office.call("POST", V2, as_json(requested(CSRS[words]())), BEARER)
    office.place.log.log.close()

    assert fault(found.status, found.body)[2] == (TOKEN_TEXT if token else words)


def test_v1_asks_for_the_key_first(office: Office, client: Client) -> None:
    """In version 1 a request without key and CSR is told so before its token is looked at."""
    found = office.call("POST", V1, b"{}", "Bearer x")
    assert fault(found.status, found.body) == BAD(KEY_TEXT)
    with pytest.raises(grpc.RpcError) as caught:
        client.call(
            f"{SERVICE_V1}/CreateSigningCertificate",
            v1beta.CreateSigningCertificateRequest(),
            v1beta.PublicKey,
        )
    assert (caught.value.code().value[0], caught.value.details()) == (3, KEY_TEXT)


def test_bundle_and_configuration(office: Office) -> None:
    """What the authority publishes fails with words of its own."""
    error = SettingsError("SETTINGS_INVALID", "secret path")
    with_(authority=failing(error))(office)
    for path in ("/api/v2/trustBundle", "/api/v1/rootCert"):
        found = office.call("GET", path)
        assert fault(found.status, found.body) == OUR(
            "error retrieving trust bundle from CA backend"
        )


def test_too_often(office: Office) -> None:
    """Who calls too often is told when to come again."""

    def take(method: str, address: str) -> tuple[tuple[str, str], ...]:
        assert (method, address) == ("POST", "127.0.0.1")
        raise TooOftenError(7, (("retry-after", "7"),))

    client = Client(office, take_request=take)
    try:
        with pytest.raises(grpc.RpcError) as caught:
            client.call(
                f"{SERVICE}/CreateSigningCertificate",
                v2.CreateSigningCertificateRequest(),
                v2.SigningCertificate,
            )
    finally:
        client.close()
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert dict(caught.value.trailing_metadata())["grpc-retry-pushback-ms"] == "7000"
