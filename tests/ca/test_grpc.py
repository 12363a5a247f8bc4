"""gRPC of the authority, through a real client: the same answers as over HTTP."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import Any

import grpc
import pytest
from cryptography import x509
from google.protobuf import json_format
from google.protobuf.empty_pb2 import Empty

from tests.ca.faults import CTL_TEXT, Client, as_v1, keyed
from tests.ca.places import EMAIL, NOW, TOKEN, Office, as_json, csr_pem, v2_body
from touchplate.ca.grpc import MAX_WAITING, SERVICE, SERVICE_V1
from touchplate.ca.settings import IssueSettings
from touchplate.errors import UnavailableError
from touchplate.formats.certificate import parse_pem_certificates
from touchplate.formats.sct import SignedCertificateTimestamp
from touchplate.keys.signer import generate
from touchplate.oidc import Authenticator, Issuer, OwnIssuer
from touchplate.oidc.keys import IssuerKeys
from touchplate.protobuf import sigstore_fulcio_v1beta_pb2 as v1beta
from touchplate.protobuf import sigstore_fulcio_v2_pb2 as v2
from touchplate.protobuf.google_api_pb2 import HttpBody
from touchplate.server.grpc import THREADS

CREATE = f"{SERVICE}/CreateSigningCertificate"
CREATE_V1 = f"{SERVICE_V1}/CreateSigningCertificate"
METADATA = (("oidcidentitytoken", TOKEN),)


@pytest.fixture(params=["desk", "thread"])
def client(office: Office, request: pytest.FixtureRequest) -> Iterator[Client]:
    """Give a client of the office, which issues at a desk, or in the threads of calls."""
    found = Client(office, with_desk=request.param == "desk")
    yield found
    found.close()


def asked(body: dict[str, Any]) -> Any:
    """Give the message of a request's JSON."""
    return json_format.ParseDict(body, v2.CreateSigningCertificateRequest())


def serial_of(answer: Any) -> int:
    """Read the certificate of an answer."""
    chain = answer.signed_certificate_embedded_sct.chain.certificates
    assert len(chain) == 3
    assert not any(pem.endswith("\n") for pem in chain)
    return x509.load_pem_x509_certificate(chain[0].encode()).serial_number


def test_by_key(office: Office, client: Client) -> None:
    """A key with its proof gets a certificate, logged; the token is in the message."""
    answer, _ = client.call(CREATE, asked(v2_body()), v2.SigningCertificate)
    (certificate,) = parse_pem_certificates(
        answer.signed_certificate_embedded_sct.chain.certificates[0]
    )

    assert [name.value for name in certificate.alternative_names] == [EMAIL]
    assert office.place.log.tree_head().size == 1


def test_token_in_metadata(client: Client) -> None:
    """The token may be metadata, once; one in the message wins."""
    message = asked(keyed())
    assert serial_of(client.call(CREATE, message, v2.SigningCertificate, METADATA)[0])
    wrong = (("oidcidentitytoken", "nonsense"),)
    assert serial_of(client.call(CREATE, asked(v2_body()), v2.SigningCertificate, wrong)[0])
    for metadata in ((), wrong, METADATA * 2):
        with pytest.raises(grpc.RpcError) as caught:
            client.call(CREATE, message, v2.SigningCertificate, metadata)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_by_csr(client: Client) -> None:
    """A CSR is PEM in the message, not base64 of it."""
    message = v2.CreateSigningCertificateRequest(certificate_signing_request=csr_pem())
    assert serial_of(client.call(CREATE, message, v2.SigningCertificate, METADATA)[0])


@pytest.mark.parametrize("form", ["key", "csr"])
def test_v1(client: Client, form: str) -> None:
    """Version 1 gives the chain as PEM, with the status of HTTP as metadata."""
    message = v1beta.CreateSigningCertificateRequest(certificateSigningRequest=csr_pem())
    if form == "key":
        message = json_format.ParseDict(as_v1(keyed()), v1beta.CreateSigningCertificateRequest())
    answer, call = client.call(CREATE_V1, message, HttpBody, METADATA)

    assert answer.content_type == "application/pem-certificate-chain"
    assert len(x509.load_pem_x509_certificates(answer.data)) == 3
    assert dict(call.initial_metadata())["x-http-code"] == "201"
    assert "sct" not in dict(call.initial_metadata())


def test_detached(office: Office) -> None:
    """A detached promise is the JSON of the log's answer; in version 1 it is metadata."""
    office.issuance = replace(
        office.issuance,
        submit=partial(office.place.log.submit, precertificate=False),
        settings=IssueSettings(sct="detached"),
    )
    client = Client(office)
    try:
        answer, _ = client.call(CREATE, asked(v2_body()), v2.SigningCertificate)
        message = v1beta.CreateSigningCertificateRequest(certificateSigningRequest=csr_pem())
        _, call = client.call(CREATE_V1, message, HttpBody, METADATA)
    finally:
        client.close()

    promise = json.loads(answer.signed_certificate_detached_sct.signed_certificate_timestamp)
    assert promise["sct_version"] == 0
    assert len(answer.signed_certificate_detached_sct.chain.certificates) == 3
    assert dict(call.initial_metadata())["sct"]
    assert office.place.log.tree_head().size == 2


def test_same_as_http(office: Office, client: Client) -> None:
    """Bundle, configuration and root certificates are what HTTP gives."""
    bundle, _ = client.call(f"{SERVICE}/GetTrustBundle", v2.GetTrustBundleRequest(), v2.TrustBundle)
    configuration, _ = client.call(
        f"{SERVICE}/GetConfiguration", v2.GetConfigurationRequest(), v2.Configuration
    )
    root, _ = client.call(f"{SERVICE_V1}/GetRootCertificate", Empty(), HttpBody)

    shown = partial(json_format.MessageToDict, always_print_fields_with_no_presence=True)
    assert shown(bundle) == json.loads(office.call("GET", "/api/v2/trustBundle").body)
    assert shown(configuration) == json.loads(office.call("GET", "/api/v2/configuration").body)
    assert root.data == office.call("GET", "/api/v1/rootCert").body


def test_no_message(client: Client) -> None:
    """Bytes that are no message are the caller's fault."""
    with pytest.raises(grpc.RpcError) as caught:
        client.channel.unary_unary(f"/{CREATE}")(b"\xff\xff", timeout=20)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.slow
def test_too_large(client: Client) -> None:
    """A message above 4 MiB is refused before it is read."""
    message = v2.CreateSigningCertificateRequest(certificate_signing_request=bytes(5 << 20))
    with pytest.raises(grpc.RpcError) as caught:
        client.call(CREATE, message, v2.SigningCertificate)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def waiting(_: tuple[bytes, ...]) -> "Future[SignedCertificateTimestamp]":
    """Never answer."""
    return Future()


@pytest.mark.slow
@pytest.mark.parametrize("with_desk", [True, False])
def test_deadline(office: Office, *, with_desk: bool) -> None:
    """Who waits for a time gets nothing after it; who waits for ever gets the log's fault."""
    office.issuance = replace(office.issuance, submit=waiting, max_log_seconds=0.2)
    client = Client(office, with_desk=with_desk)
    try:
        for seconds, code in ((0.1, "DEADLINE_EXCEEDED"), (5.0, "INTERNAL")):
            with pytest.raises(grpc.RpcError) as caught:
                client.call(CREATE, asked(v2_body()), v2.SigningCertificate, timeout=seconds)
            assert caught.value.code().name == code
            assert seconds < 1 or caught.value.details() == CTL_TEXT
    finally:
        client.close()


class Hanging:
    """An issuer's keys that never come, until they are let go."""

    def __init__(self) -> None:
        self.ended: Future[None] = Future()
        self.waiting = 0
        self._lock = Lock()

    def prepare(self, _key_id: str | None) -> "Future[None]":
        """Begin to fetch."""
        return self.ended

    def find(self, _key_id: str | None) -> IssuerKeys:
        """Wait for the keys."""
        with self._lock:
            self.waiting += 1
        self.ended.result(60)
        raise UnavailableError("SERVICE_UNAVAILABLE", "no keys came")


@pytest.mark.slow
def test_hanging_issuer(office: Office) -> None:
    """Calls that wait for an issuer's keys are few, end in time, and delay no others."""
    hanging, own = Hanging(), OwnIssuer("https://other.example.com", generate())
    table = Authenticator(
        [*office.authenticator.issuers, Issuer(own.url, hanging)], discover=lambda _: hanging
    )
    office.issuance = replace(
        office.issuance, authenticate=table.authenticate, prepare=table.prepare
    )
    late = asked(v2_body(credentials={"oidcIdentityToken": own.mint(EMAIL, NOW)}))
    client = Client(office)
    try:
        method = client.channel.unary_unary(
            f"/{CREATE}", request_serializer=lambda message: message.SerializeToString()
        )
        # More than the server has threads.
        calls = [method.future(late, timeout=120) for _ in range(THREADS + 8)]
        until(lambda: sum(call.done() for call in calls) == len(calls) - MAX_WAITING)
        assert {call.code() for call in calls if call.done()} == {grpc.StatusCode.UNAVAILABLE}
        assert serial_of(client.call(CREATE, asked(v2_body()), v2.SigningCertificate)[0])
        # A call that gives up gives its place back.
        for call in calls:
            call.cancel()

        def waits() -> bool:
            call = method.future(late, timeout=1)
            return call.code() is grpc.StatusCode.DEADLINE_EXCEEDED

        until(waits)
        assert hanging.waiting == 0
    finally:
        hanging.ended.set_result(None)
        client.close()


def until(holds: Callable[[], bool]) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_bug_is_not_shown(office: Office) -> None:
    """A bug costs one call, and its text stays here."""

    def broken(*_: object) -> Any:
        raise ZeroDivisionError("secret")

    office.issuance = replace(office.issuance, authenticate=broken)
    client = Client(office)
    try:
        with pytest.raises(grpc.RpcError) as caught:
            client.call(CREATE, asked(v2_body()), v2.SigningCertificate)
    finally:
        client.close()
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in (caught.value.details() or "")


def test_many_at_once(office: Office, client: Client) -> None:
    """Calls at once get a certificate each."""
    with ThreadPoolExecutor(8) as pool:
        calls = [
            pool.submit(client.call, CREATE, asked(v2_body()), v2.SigningCertificate)
            for _ in range(32)
        ]
        serials = {serial_of(call.result()[0]) for call in calls}
    assert len(serials) == 32
    assert office.place.log.tree_head().size == 32


def test_as_http_json(office: Office, client: Client) -> None:
    """The message as protobuf's own library writes it in JSON is a request over HTTP."""
    text = json_format.MessageToJson(asked(v2_body()))
    assert office.call("POST", "/api/v2/signingCert", text.encode()).status == 200
    assert office.call("POST", "/api/v2/signingCert", as_json(v2_body())).status == 200
    assert serial_of(client.call(CREATE, asked(json.loads(text)), v2.SigningCertificate)[0])
