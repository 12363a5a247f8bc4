"""Issuing one certificate: request -> identity -> key -> precertificate -> SCT -> certificate."""

from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from touchplate.ca.authority import Authority
from touchplate.ca.fault import NO_AUTHORITY, NO_IDENTITY, NO_LOG, note_refused
from touchplate.ca.profile import Precertificate, certify, precertify
from touchplate.ca.proof import check_possession
from touchplate.ca.request import SigningRequest
from touchplate.ca.settings import IssueSettings
from touchplate.errors import (
    MalformedError,
    RefusedError,
    SettingsError,
    TouchplateError,
    UnavailableError,
)
from touchplate.formats.sct import SignedCertificateTimestamp, signed_input_precert
from touchplate.keys.public import PublicKey, check_signature
from touchplate.oidc.identity import Identity
from touchplate.oidc.issuers import OpenedToken, Prepared
from touchplate.oidc.tokens import parse_token

MAX_LOG_SECONDS: Final = 30.0

Submit = Callable[[tuple[bytes, ...]], "Future[SignedCertificateTimestamp]"]


class Issued(NamedTuple):
    """A certificate and the chain above it, root last (DER)."""

    leaf: bytes
    chain: tuple[bytes, ...]
    # The log's promise, where it is not in the certificate.
    sct: SignedCertificateTimestamp | None = None
    is_embedded: bool = True


class Identified(NamedTuple):
    """A request whose token holds."""

    request: SigningRequest
    identity: Identity
    at: datetime


class Proven(NamedTuple):
    """An identity and the key that its holder has."""

    public_key: PublicKey
    identity: Identity
    at: datetime


class Draft(NamedTuple):
    """What must be in the log before a certificate leaves; signed by `authority`, and no other.

    `chain` is for the log: the precertificate, or the certificate if the promise is detached, then
    the issuing certificate, …, root. It is empty if there is no log.
    """

    authority: Authority
    # None: nothing of the certificate is still to be signed.
    precertificate: Precertificate | None
    chain: tuple[bytes, ...]
    leaf: bytes
    log_key: PublicKey | None = None

    def finish(self, sct: SignedCertificateTimestamp | None) -> Issued:
        """Give the certificate; `sct` is the log's promise for `chain`, None if there is no log.

        Raises UnavailableError: the key store failed, or the promise is not that of the log.
        """
        above = tuple([certificate.der for certificate in self.authority.chain])
        precertificate = self.precertificate
        if precertificate is None:
            return Issued(self.leaf, above, sct, is_embedded=False)
        if sct is None:
            raise AssertionError("a precertificate without a promise becomes no certificate")
        if self.log_key is not None:
            self._check_promise(precertificate, sct, self.log_key)
        try:
            return Issued(precertificate.with_sct(sct), above)
        except (UnavailableError, SettingsError) as error:
            raise UnavailableError("SERVICE_UNAVAILABLE", NO_AUTHORITY) from error

    def _check_promise(
        self, precertificate: Precertificate, sct: SignedCertificateTimestamp, key: PublicKey
    ) -> None:
        signed = signed_input_precert(
            sct.timestamp_ms, sct.extensions, self.authority.issuer_key_hash, precertificate.tbs
        )
        try:
            if sct.log_id != key.key_id:
                raise RefusedError("CHAIN_REFUSED", "the promise is another log's")
            check_signature(key, sct.signature, signed, key.algorithms[0])
        except TouchplateError as error:
            raise UnavailableError("SERVICE_UNAVAILABLE", NO_LOG) from error


class Issuing(NamedTuple):
    """A draft that is on its way into the log."""

    draft: Draft
    # None: there is no log.
    sct: "Future[SignedCertificateTimestamp] | None"

    def finish(self, max_seconds: float = MAX_LOG_SECONDS) -> Issued:
        """Wait for the log's promise and sign the certificate; without a promise there is none."""
        if self.sct is None:
            return self.draft.finish(None)
        try:
            sct = self.sct.result(max_seconds)
        except (TouchplateError, FutureTimeoutError, CancelledError) as error:
            raise UnavailableError("SERVICE_UNAVAILABLE", NO_LOG) from error
        return self.draft.finish(sct)


@dataclass(frozen=True, slots=True)
class Issuance:
    """What issuing needs; the server hands it in once, at start.

    `authenticate` proves a token at a time (RefusedError, MalformedError). `authority` is asked for
    each certificate, so that it may be exchanged. `submit` gives a chain, what is to be logged
    first, to the CT log; its future has a result once the entry is durable and integrated. The same
    chain again has the same promise. `now` is read once for each request.
    """

    authenticate: Callable[[str | OpenedToken, datetime], Identity]
    authority: Callable[[], Authority]
    submit: Submit
    now: Callable[[], datetime]
    settings: IssueSettings = field(default_factory=IssueSettings)
    # How long a request waits for the log.
    max_log_seconds: float = MAX_LOG_SECONDS
    # Of a log that is not in this process: then its promises are checked.
    log_key: PublicKey | None = None
    # Reads a token for an event loop, and begins what `authenticate` would wait for, such as the
    # keys of its issuer: the loop waits for that, then gives what was read to `draft`.
    prepare: Callable[[str], Prepared] = Prepared

    def issue(self, request: SigningRequest) -> Issued:
        """Issue a certificate, waiting for the log."""
        return self.start(request).finish(self.max_log_seconds)

    def start(self, request: SigningRequest, prepared: Prepared | None = None) -> Issuing:
        """Do all that comes before the log; the caller waits for `sct`, then calls `finish`."""
        draft = self.draft(request, prepared)
        return Issuing(draft, self._submit(draft.chain) if draft.chain else None)

    def draft(self, request: SigningRequest, prepared: Prepared | None = None) -> Draft:
        """Do the same, and leave it to the caller to give the draft's chain to the log.

        `prepared` is what `prepare` gave for the request's token.
        """
        return self.sign(self.prove(self.identify(request, prepared)))

    def identify(self, request: SigningRequest, prepared: Prepared | None = None) -> Identified:
        """Check the token: the first step of `draft`."""
        at = self.now()
        token = request.token if prepared is None else prepared.token
        # One text for all faults of a token; the reason is for the operator's log.
        try:
            return Identified(request, self.authenticate(token, at), at)
        except (MalformedError, RefusedError) as error:
            note_refused(_issuer_of(token), error)
            raise RefusedError("TOKEN_REFUSED", NO_IDENTITY) from error
        except UnavailableError as error:
            note_refused(_issuer_of(token), error)
            raise UnavailableError(
                "SERVICE_UNAVAILABLE", NO_IDENTITY, retry_after=error.retry_after
            ) from error

    def prove(self, asked: Identified) -> Proven:
        """Check that the caller holds the key: the second step."""
        request, identity, at = asked
        key = check_possession(request, identity.challenge, self.settings.algorithms)
        return Proven(key, identity, at)

    def sign(self, proven: Proven) -> Draft:
        """Sign what must be in the log: the third step."""
        try:
            return self._sign(*proven)
        except (UnavailableError, SettingsError) as error:
            # A signer's reason is for the operator's log.
            raise UnavailableError("SERVICE_UNAVAILABLE", NO_AUTHORITY) from error

    def _sign(self, public_key: PublicKey, identity: Identity, at: datetime) -> Draft:
        authority = self.authority()
        if self.settings.sct == "embedded":
            precertificate = precertify(authority, public_key, identity, at)
            chain = precertificate.chain
            return Draft(authority, precertificate, chain, b"", self.log_key)
        leaf = certify(authority, public_key, identity, at)
        above = tuple(certificate.der for certificate in authority.chain)
        return Draft(
            authority, None, (leaf, *above) if self.settings.sct == "detached" else (), leaf
        )

    def _submit(self, chain: tuple[bytes, ...]) -> "Future[SignedCertificateTimestamp]":
        try:
            return self.submit(chain)
        except TouchplateError as error:
            raise UnavailableError("SERVICE_UNAVAILABLE", NO_LOG) from error


def _issuer_of(token: str | OpenedToken) -> str:
    """Name who is said to have issued a token; "" for what is none."""
    try:
        return (parse_token(token) if isinstance(token, str) else token.token).issuer
    except MalformedError:
        return ""
