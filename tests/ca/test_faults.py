"""Every way in which issuing fails, row by row: status, code and words, in the order of checks."""

import json
import logging
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives import hashes
from google.protobuf import json_format

from tests.ca.faults import (
    BAD,
    BEARER,
    CSR_TEXT,
    CTL_TEXT,
    DOWN,
    INSECURE_TEXT,
    KEY_TEXT,
    NAME_TEXT,
    OUR,
    PROOF_TEXT,
    ROWS,
    TOKEN_TEXT,
    V1,
    V2,
    WEAK_PEM,
    Client,
    Row,
    as_v1,
    failing,
    flipped,
    keyed,
    pss_csr,
    requested,
    unnamable,
    weak_csr,
    with_,
)
from tests.ca.places import TOKEN, Office, as_json, csr_pem, open_office
from touchplate.ca.grpc import SERVICE, SERVICE_V1
from touchplate.ca.settings import IssueSettings
from touchplate.errors import SettingsError
from touchplate.oidc import base64url
from touchplate.protobuf import sigstore_fulcio_v1beta_pb2 as v1beta
from touchplate.protobuf import sigstore_fulcio_v2_pb2 as v2
from touchplate.transport.asgi import TooOftenError


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


@pytest.fixture
def client(office: Office) -> Iterator[Client]:
    """Give a client of the office as it is when this is asked for."""
    found = Client(office)
    yield found
    found.close()


@pytest.mark.slow
@pytest.mark.parametrize("with_desk", [True, False])
@pytest.mark.parametrize("version", [V1, V2])
@each_row
def test_grpc(
    office: Office,
    *,
    with_desk: bool,
    version: str,
    body: dict[str, Any],
    header: str,
    broken: Callable[[Office], None],
    expected: Row,
) -> None:
    """By gRPC the same code and words."""
    broken(office)
    client = Client(office, with_desk=with_desk)
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


@pytest.mark.slow
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
