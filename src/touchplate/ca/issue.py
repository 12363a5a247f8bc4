"""Issuing one certificate: request -> identity -> key -> precertificate -> SCT -> certificate."""

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from touchplate.ca.authority import Authority
from touchplate.ca.profile import Precertificate, precertify
from touchplate.ca.proof import DEFAULT_ALGORITHMS, check_possession
from touchplate.ca.request import SigningRequest
from touchplate.errors import MalformedError, RefusedError, TouchplateError, UnavailableError
from touchplate.formats.sct import SignedCertificateTimestamp
from touchplate.oidc.identity import Identity

MAX_LOG_SECONDS: Final = 30.0
NO_IDENTITY: Final = "There was an error processing the identity token"
NO_LOG: Final = "Error entering certificate in CTL"

Submit = Callable[[tuple[bytes, ...]], "Future[SignedCertificateTimestamp]"]


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and the chain above it, root last (DER)."""

    leaf: bytes
    chain: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Issuing:
    """A precertificate that is on its way into the log."""

    precertificate: Precertificate
    sct: "Future[SignedCertificateTimestamp]"

    def finish(self, max_seconds: float = MAX_LOG_SECONDS) -> Issued:
        """Wait for the log's promise and sign the certificate; without a promise there is none."""
        try:
            sct = self.sct.result(max_seconds)
        except (TouchplateError, FutureTimeoutError) as error:
            raise UnavailableError("SERVICE_UNAVAILABLE", NO_LOG) from error
        return Issued(self.precertificate.with_sct(sct), self.precertificate.chain[1:])


@dataclass(frozen=True, slots=True)
class Issuance:
    """What issuing needs; the server hands it in once, at start.

    `authenticate` proves a token at a time (RefusedError, MalformedError). `authority` is asked for
    each certificate, so that it may be exchanged. `submit` gives a chain, precertificate first, to
    the CT log; its future has a result once the entry is durable and integrated. `now` is read
    once for each request.
    """

    authenticate: Callable[[str, datetime], Identity]
    authority: Callable[[], Authority]
    submit: Submit
    now: Callable[[], datetime]
    # Registry names of the client keys that get certificates.
    algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS
    # What `authenticate` would wait for, such as an issuer's keys that must be fetched; None if it
    # would not wait. An event loop waits for the future, which has no error, before `start`.
    prepare: Callable[[str], "Future[None] | None"] = lambda _: None

    def issue(self, request: SigningRequest) -> Issued:
        """Issue a certificate, waiting for the log."""
        return self.start(request).finish()

    def start(self, request: SigningRequest) -> Issuing:
        """Do all that comes before the log; the caller waits for `sct`, then calls `finish`."""
        at = self.now()
        identity = self._identify(request.token, at)
        public_key = check_possession(request, identity.challenge, self.algorithms)
        precertificate = precertify(self.authority(), public_key, identity, at)
        return Issuing(precertificate, self._submit(precertificate))

    def _identify(self, token: str, at: datetime) -> Identity:
        try:
            return self.authenticate(token, at)
        except (MalformedError, RefusedError) as error:
            # One text for all faults of a token; the reason is for the operator's log.
            raise RefusedError("TOKEN_REFUSED", NO_IDENTITY) from error

    def _submit(self, precertificate: Precertificate) -> "Future[SignedCertificateTimestamp]":
        try:
            return self.submit(precertificate.chain)
        except TouchplateError as error:
            raise UnavailableError("SERVICE_UNAVAILABLE", NO_LOG) from error
