"""gRPC of the authority: `dev.sigstore.fulcio.v2.CA`, and `v1beta.CA` before it.

A call is answered as the same request is over HTTP (`routes`), by the same checks and the same
table of faults. Its thread reads the message, hands the request to the desk in the event loop, and
waits: what is signed there has no other threads to share the interpreter with. Where the key is
elsewhere the thread issues by itself. Imported only where gRPC is to be served.
"""

from base64 import b64encode
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from threading import BoundedSemaphore, Event, Lock
from typing import Any, Final, Generic, TypeVar

import grpc
from google.protobuf.empty_pb2 import Empty

from touchplate.ca.answer import (
    PEM_CHAIN,
    Chain,
    bundle,
    certificates,
    configuration,
    encode_promise,
    root_text,
)
from touchplate.ca.desk import Done, DoorToDesk, KeysAwaitedError
from touchplate.ca.fault import NO_BUNDLE, NO_CONFIGURATION, NO_IDENTITY, fault_of
from touchplate.ca.issue import Issuance, Issued
from touchplate.ca.request import UNPARSEABLE_KEY, SigningRequest
from touchplate.ca.routes import published
from touchplate.errors import MalformedError, TouchplateError
from touchplate.keys.signer import PrivateKeySigner
from touchplate.oidc.issuers import Issuer, Prepared
from touchplate.protobuf import sigstore_fulcio_v1beta_pb2 as v1beta
from touchplate.protobuf import sigstore_fulcio_v2_pb2 as v2
from touchplate.protobuf.google_api_pb2 import HttpBody
from touchplate.transport.fault import CANCELLED, DEADLINE_EXCEEDED, UNAVAILABLE, Fault
from touchplate.transport.grpc import FaultError, Method, TakeRequest, service_handler

Answer = TypeVar("Answer")

SERVICE: Final = "dev.sigstore.fulcio.v2.CA"
SERVICE_V1: Final = "dev.sigstore.fulcio.v1beta.CA"
# Calls that wait for an issuer's keys at a time; the server's threads are four times as many.
MAX_WAITING: Final = 16
# An issuer's keys come within 10 seconds or not at all.
MAX_KEYS_SECONDS: Final = 11.0
# Beside what the log takes: the loop has told by then, or will not.
MAX_DESK_SECONDS: Final = 10.0
# Where the token may stand beside the request; exactly one value.
TOKEN_KEY: Final = "oidcidentitytoken"  # noqa: S105  the name of a field

_GAVE_UP: Final = Fault(CANCELLED, 499, "the caller gave up")
_BUSY: Final = Fault(UNAVAILABLE, 503, NO_IDENTITY, (("retry-after", "1"),))
_NO_KEYS: Final = Fault(DEADLINE_EXCEEDED, 504, NO_IDENTITY)
_TOO_LATE: Final = Fault(
    DEADLINE_EXCEEDED, 504, "the log did not answer in time; nothing was issued"
)


def ca_handlers(
    issuance: Issuance,
    issuers: Callable[[], Iterable[Issuer]],
    others: Callable[[], Iterable[Chain]] = tuple,
    take_request: TakeRequest | None = None,
    door: DoorToDesk | None = None,
) -> dict[str, grpc.GenericRpcHandler]:
    """Give both services by name; any number of threads may run their calls.

    The arguments are those of `routes`; `take_request` counts each call. `door` leads to the desk
    of a loop that runs for as long as calls do; without it each call issues in its thread.
    """
    calls = _Authority(issuance, issuers, others, door)
    services = {
        SERVICE: {
            "CreateSigningCertificate": Method(
                v2.CreateSigningCertificateRequest, calls.create, writes=True
            ),
            "GetTrustBundle": Method(v2.GetTrustBundleRequest, calls.get_trust_bundle),
            "GetConfiguration": Method(v2.GetConfigurationRequest, calls.get_configuration),
        },
        SERVICE_V1: {
            "CreateSigningCertificate": Method(
                v1beta.CreateSigningCertificateRequest, calls.create_v1, writes=True
            ),
            "GetRootCertificate": Method(Empty, calls.get_root_certificate),
        },
    }
    return {
        service: service_handler(service, methods, fault_of, take_request)
        for service, methods in services.items()
    }


class _Authority:
    """The calls."""

    def __init__(
        self,
        issuance: Issuance,
        issuers: Callable[[], Iterable[Issuer]],
        others: Callable[[], Iterable[Chain]],
        door: DoorToDesk | None,
    ) -> None:
        self._issuance = issuance
        self._door = door
        self._issuers = issuers
        self._others = others
        self._waiting = BoundedSemaphore(MAX_WAITING)

    def create(
        self, message: v2.CreateSigningCertificateRequest, context: grpc.ServicerContext
    ) -> bytes:
        """Issue: what POST /api/v2/signingCert does; gives a `SigningCertificate`, encoded."""
        asked = message.public_key_request
        request = SigningRequest(
            message.credentials.oidc_identity_token or _token(context),
            message.certificate_signing_request,
            asked.public_key.content.encode(),
            asked.proof_of_possession,
        )
        return self._issue(request, context, _encode)

    def create_v1(
        self, message: v1beta.CreateSigningCertificateRequest, context: grpc.ServicerContext
    ) -> HttpBody:
        """Issue: what POST /api/v1/signingCert does; a detached promise is metadata `sct`."""
        csr = message.certificateSigningRequest
        if not csr and not message.HasField("publicKey"):
            raise MalformedError("REQUEST_MALFORMED", UNPARSEABLE_KEY)
        proof = message.signedEmailAddress
        request = SigningRequest(_token(context), csr, message.publicKey.content, proof)
        issued = self._issue(request, context, _as_it_is)
        metadata = [("x-http-code", "201")]
        if promise := encode_promise(issued):
            metadata.append(("sct", b64encode(promise).decode()))
        context.send_initial_metadata(metadata)
        return HttpBody(content_type=PEM_CHAIN, data="\n".join(certificates(issued)).encode())

    def get_trust_bundle(
        self, _: v2.GetTrustBundleRequest, _context: grpc.ServicerContext
    ) -> v2.TrustBundle:
        """Give the chains: what GET /api/v2/trustBundle does."""
        chains = bundle(self._published())
        return v2.TrustBundle(chains=[v2.CertificateChain(certificates=each) for each in chains])

    def get_root_certificate(self, _: Empty, _context: grpc.ServicerContext) -> HttpBody:
        """Give the chains: what GET /api/v1/rootCert does."""
        return HttpBody(content_type=PEM_CHAIN, data=root_text(self._published()).encode())

    def get_configuration(
        self, _: v2.GetConfigurationRequest, _context: grpc.ServicerContext
    ) -> v2.Configuration:
        """Give the issuers: what GET /api/v2/configuration does."""
        try:
            rows = configuration(self._issuers())
        except TouchplateError as error:
            raise FaultError(fault_of(error, NO_CONFIGURATION)) from error
        return v2.Configuration(issuers=[_issuer(row) for row in rows])

    def _published(self) -> tuple[Chain, ...]:
        try:
            return published(self._issuance, self._others)
        except TouchplateError as error:
            raise FaultError(fault_of(error, NO_BUNDLE)) from error

    def _issue(
        self,
        request: SigningRequest,
        context: grpc.ServicerContext,
        answer: Callable[[Issued], Answer],
    ) -> Answer:
        """Issue, and wait no longer than the caller does; without a promise nothing is issued."""
        door = self._door
        if door is None or not self._signs_here():
            prepared = self._issuance.prepare(request.token)
            if prepared.fetching is not None:
                self._wait_for_keys(prepared.fetching, context)
            return answer(self._issue_here(request, prepared, context))
        try:
            return self._wait(_Awaited(partial(door.issue, request), answer), context)
        except KeysAwaitedError as error:
            self._wait_for_keys(error.fetching, context)
            begin = partial(door.issue_prepared, request, error.prepared)
            return self._wait(_Awaited(begin, answer), context)

    def _wait(self, awaited: "_Awaited[Answer]", context: grpc.ServicerContext) -> Answer:
        left, longest = context.time_remaining(), self._issuance.max_log_seconds + MAX_DESK_SECONDS
        if not awaited.wait(longest if left is None else min(left, longest)):
            raise FaultError(_TOO_LATE if context.is_active() else _GAVE_UP)
        return awaited.result()

    def _signs_here(self) -> bool:
        try:
            return isinstance(self._issuance.authority().signer, PrivateKeySigner)
        except TouchplateError:
            return False  # said again where it is the call's turn to fail

    def _issue_here(
        self, request: SigningRequest, prepared: Prepared, context: grpc.ServicerContext
    ) -> Issued:
        issuing = self._issuance.start(request, prepared)
        if issuing.sct is None:
            return issuing.finish()
        left, longest = context.time_remaining(), self._issuance.max_log_seconds
        if left is None or left > longest:
            return issuing.finish(longest)
        try:
            issuing.sct.exception(left)
        except FutureTimeoutError as error:
            raise FaultError(_TOO_LATE if context.is_active() else _GAVE_UP) from error
        except CancelledError as error:
            raise FaultError(_GAVE_UP) from error
        return issuing.finish(0)

    def _wait_for_keys(self, fetching: "Future[None]", context: grpc.ServicerContext) -> None:
        """Wait for an issuer's keys; few calls may at a time.

        So an issuer that hangs takes no thread from the tokens of others.
        """
        if not self._waiting.acquire(blocking=False):
            raise FaultError(_BUSY)
        try:
            ended = Event()
            fetching.add_done_callback(lambda _: ended.set())
            # Told, too, when the caller gives up, or when its time is over.
            is_there = context.add_callback(ended.set) and ended.wait(MAX_KEYS_SECONDS)
            if not is_there or not fetching.done():
                raise FaultError(_NO_KEYS if context.is_active() else _GAVE_UP)
        finally:
            self._waiting.release()


class _Awaited(Generic[Answer]):
    """What one thread waits for. The answer is put together in the loop, beside others."""

    __slots__ = ("_answer", "_found", "_lock")

    def __init__(self, begin: Callable[[Done], None], answer: Callable[[Issued], Answer]) -> None:
        """Begin; `answer` is made of what is issued."""
        self._answer = answer
        self._found: tuple[Answer] | Exception | None = None
        self._lock = Lock()
        self._lock.acquire()
        begin(self._done)

    def _done(self, outcome: Issued | Exception) -> None:
        if self._found is not None:
            return
        try:
            self._found = outcome if isinstance(outcome, Exception) else (self._answer(outcome),)
        except Exception as error:  # noqa: BLE001  the call says what a bug is answered with
            self._found = error
        self._lock.release()

    def wait(self, seconds: float) -> bool:
        """Wait for the outcome; say whether it has come."""
        return self._lock.acquire(timeout=seconds)

    def result(self) -> Answer:
        """Give the answer, or raise what went wrong; it has come."""
        if isinstance(self._found, Exception):
            raise self._found
        if self._found is None:
            raise AssertionError("asked for before it has come")
        return self._found[0]


def _encode(issued: Issued) -> bytes:
    answer = v2.SigningCertificate()
    if issued.is_embedded:
        answer.signed_certificate_embedded_sct.chain.certificates.extend(certificates(issued))
    else:
        detached = answer.signed_certificate_detached_sct
        detached.chain.certificates.extend(certificates(issued))
        detached.signed_certificate_timestamp = encode_promise(issued)
    data: bytes = answer.SerializeToString()
    return data


def _as_it_is(issued: Issued) -> Issued:
    return issued


def _token(context: grpc.ServicerContext) -> str:
    """Give the token in the metadata, "" if it is not there exactly once."""
    found = [value for key, value in context.invocation_metadata() if key == TOKEN_KEY]
    return found[0] if len(found) == 1 else ""


def _issuer(row: dict[str, Any]) -> v2.OIDCIssuer:
    """Give a row of the configuration; its names are those of the message in JSON."""
    names = {name: "".join(f"_{c.lower()}" if c.isupper() else c for c in name) for name in row}
    return v2.OIDCIssuer(**{names[name]: value for name, value in row.items()})
