"""Sign: token -> key -> certificate -> signature -> timestamp -> log entry -> bundle -> verdict.

One `Signer` is one identity: it holds one key, in memory only, and one certificate, and signs any
number of artifacts with them while the certificate lasts. Nothing is returned that did not pass the
whole verification of `touchplate.verify`, read back from the bytes that will be written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import new
from typing import Final

from touchplate.clients.tsa import Timestamp, TsaClient
from touchplate.entries.claim import Claim
from touchplate.errors import MalformedError, TouchplateError
from touchplate.formats.bundle import (
    Bundle,
    CertificateMaterial,
    Envelope,
    EnvelopeSignature,
    MessageSignature,
    encode_bundle,
    parse_bundle,
)
from touchplate.formats.certificate import Certificate
from touchplate.formats.dsse import pae
from touchplate.formats.statement import parse_statement
from touchplate.keys.algorithms import HASH_SIZES, HashName
from touchplate.keys.signer import PrivateKeySigner, generate
from touchplate.sign.checks import check_certificate, check_timestamp
from touchplate.sign.services import Services
from touchplate.sign.token import Expected, check_names, read_token
from touchplate.verify import Artifact, Verdict, Verifier, identity
from touchplate.verify.trust import Trust

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
MAX_STATEMENT_BYTES: Final = 16 * 1024 * 1024

# A timestamp and a log entry must fit into what is left of the certificate.
MIN_REMAINING: Final = timedelta(seconds=60)


# ENTRY_EXISTS: an earlier try had landed and its answer was lost; signatures are randomised, so a
# new one is a new entry. CERT_NOT_VALID_AT_TIME: the certificate ended while a service let us wait.
ONCE_MORE: Final = frozenset({"ENTRY_EXISTS", "CERT_NOT_VALID_AT_TIME"})


@dataclass(frozen=True, slots=True)
class Signed:
    """A bundle, the bytes of it that were verified, and what they prove."""

    bundle: Bundle
    encoded: bytes
    verdict: Verdict
    # What went wrong and did not matter: an optional timestamp authority that was away.
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Credential:
    key: PrivateKeySigner
    leaf: Certificate
    identity: str


MakeContent = Callable[[_Credential], tuple[MessageSignature | Envelope, Claim]]


class Signer:
    """Signs as the identity of one token. Use it from one thread."""

    def __init__(
        self,
        services: Services,
        token: str,
        now: Callable[[], datetime],
        *,
        key_kind: str = "ecdsa-p256",
    ) -> None:
        """Hold the token (TOKEN_MALFORMED, TOKEN_REFUSED); nothing is sent before the first use."""
        self._services = services
        self._trust = Trust(services.trusted_root)
        self._verifier = Verifier(services.trusted_root)
        self._token = token
        self._now = now
        self._key_kind = key_kind
        self._expected: Expected = read_token(token, now())
        self._credential: _Credential | None = None

    def __repr__(self) -> str:
        """Name the issuer, never the token or the key."""
        return f"Signer(issuer={self._expected.issuer!r})"

    def sign(self, artifact: Artifact) -> Signed:
        """Sign the artifact itself, through its digest; only the digest and signature leave.

        Raises what the services' clients raise and what `verify` raises of our own bundle.
        """

        def make(credential: _Credential) -> tuple[MessageSignature, Claim]:
            name = credential.key.algorithm.hash
            if name is None:
                signature, digest = credential.key.sign(artifact.content()), None
            else:
                digest = artifact.digest(name)
                signature = credential.key.sign_digest(digest)
            content = MessageSignature(name, digest, signature)
            return content, _claim(content, signature, credential, artifact.digest)

        return self._sign(make, artifact)

    def sign_statement(self, payload: bytes) -> Signed:
        """Sign these exact bytes, which must be an in-toto statement, in a DSSE envelope.

        Raises STATEMENT_INVALID (no statement, or no subject with a digest that can be verified),
        LIMIT_EXCEEDED and what `sign` raises.
        """
        if len(payload) > MAX_STATEMENT_BYTES:
            raise MalformedError(
                "LIMIT_EXCEEDED", f"a statement has at most {MAX_STATEMENT_BYTES} bytes"
            )
        artifact = _subject_of(payload)
        message = pae(PAYLOAD_TYPE, payload)

        def digest(name: HashName) -> bytes:
            return new(name, message).digest()

        def make(credential: _Credential) -> tuple[Envelope, Claim]:
            signature = credential.key.sign(message)
            content = Envelope(payload, PAYLOAD_TYPE, (EnvelopeSignature(signature),))
            return content, _claim(content, signature, credential, digest)

        return self._sign(make, artifact)

    def _sign(self, make: MakeContent, artifact: Artifact) -> Signed:
        """Sign, and once more from the start if what went wrong will not go wrong again."""
        try:
            return self._sign_once(make, artifact)
        except TouchplateError as error:
            if error.code not in ONCE_MORE:
                raise
            if error.code == "CERT_NOT_VALID_AT_TIME":
                self._credential = None
        return self._sign_once(make, artifact)

    def _sign_once(self, make: MakeContent, artifact: Artifact) -> Signed:
        """Certificate -> signature -> timestamp -> log entry -> bundle -> verdict."""
        credential = self._certified()
        content, claim = make(credential)
        stamps, warnings = self._stamp(claim.signature)
        entries = self._services.tlogs.ask(lambda tlog: tlog.add(claim))
        bundle = Bundle(
            version="0.3",
            material=CertificateMaterial(credential.leaf),
            entries=entries,
            timestamps=tuple(stamp.response for stamp in stamps),
            content=content,
        )
        encoded = encode_bundle(bundle)
        wanted = identity(credential.identity, self._expected.issuer)
        verdict = self._verifier.verify(parse_bundle(encoded), artifact, wanted)
        return Signed(bundle, encoded, verdict, warnings)

    def _certified(self) -> _Credential:
        """Give the key and its certificate, with enough of its life left; make both if need be."""
        at = self._now()
        held = self._credential
        if held is not None and at + MIN_REMAINING <= held.leaf.not_after:
            return held
        self._expected = read_token(self._token, at)
        key = generate(self._key_kind)
        issued = self._services.ca.issue(self._token, key)
        check_certificate(issued.leaf, self._trust, self._now())
        name = check_names(issued.leaf, self._expected)
        self._credential = _Credential(key, issued.leaf, name)
        return self._credential

    def _stamp(self, signature: bytes) -> tuple[tuple[Timestamp, ...], tuple[str, ...]]:
        """Give timestamps over the signature, and warnings if they were not needed and failed."""
        tsas = self._services.tsas
        if tsas is None:
            return (), ()

        def ask(tsa: TsaClient) -> Timestamp:
            stamp = tsa.stamp(signature)
            check_timestamp(stamp.response, signature, self._trust)
            return stamp

        try:
            return tsas.ask(ask), ()
        except TouchplateError as error:
            if self._services.timestamp_required:
                raise
            return (), (f"signed without a timestamp: {error}",)


def _claim(
    content: MessageSignature | Envelope,
    signature: bytes,
    credential: _Credential,
    digest: Callable[[HashName], bytes],
) -> Claim:
    return Claim(content, signature, credential.key.public_key, credential.leaf, digest)


def _subject_of(payload: bytes) -> Artifact:
    """Give a subject of the statement to verify our own bundle with."""
    for subject in parse_statement(payload).subjects:
        for name in HASH_SIZES:
            if name in subject.digests:
                return Artifact.from_digest(f"{name}:{subject.digests[name]}")
    raise MalformedError(
        "STATEMENT_INVALID",
        "no subject of the statement has a digest that can be verified",
        expected=" or ".join(HASH_SIZES),
    )
