"""A trusted root made ready for many verifications: found by id, paths checked, answers kept.

What is kept depends on the trusted root and on bytes alone, never on a bundle's claims, so one
`Trust` serves any number of threads; two that compute the same answer at once store it twice.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final, NamedTuple

from touchplate.errors import MalformedError, VerificationError
from touchplate.formats.certificate import (
    CODE_SIGNING,
    EXTENDED_KEY_USAGE,
    TIME_STAMPING,
    Certificate,
)
from touchplate.formats.checkpoint import Checkpoint, open_checkpoint
from touchplate.formats.note import NoteVerifier
from touchplate.formats.timestamp import TimestampReader
from touchplate.formats.trusted_root import CertificateAuthority, TransparencyLog, TrustedRoot
from touchplate.verify.path import Anchored, check_extensions, check_issued_by
from touchplate.verify.verdict import Voice

# How many answers are kept; with more they are all forgotten. A checkpoint is at most 64 KiB of
# lines that anyone may add to, a certificate 64 KiB of anyone's making.
MAX_CHECKPOINTS: Final = 256
MAX_STAMPERS: Final = 32


class Authority(NamedTuple):
    """A certificate authority of the trusted root, and the issuers below its anchor."""

    entry: CertificateAuthority
    anchored: Anchored
    leaf: Certificate | None = None
    """The certificate that signs, if the entry begins with it and not with an authority's."""


class Stamper(NamedTuple):
    """A certificate that may sign timestamps, proven up to its anchor at every rule but time."""

    entry: CertificateAuthority
    certificate: Certificate
    not_before: datetime
    not_after: datetime
    """The window in which the whole path is valid, both ends inside."""
    voice: Voice
    """What it counts as."""


class Trust:
    """The parts of a trusted root by what names them in a bundle."""

    __slots__ = (
        "_checkpoints",
        "_note_verifiers",
        "_stampers",
        "authorities",
        "certificate_logs",
        "certificate_voices",
        "logs",
        "root",
        "stamp_authorities",
        "timestamps",
    )

    def __init__(self, root: TrustedRoot) -> None:
        """Make a trusted root ready. Logs are by id; the same one may have several windows."""
        self.root: Final = root
        self.logs: Final = _by_id(root.tlogs)
        self.certificate_logs: Final = _by_id(root.ctlogs)
        self.certificate_voices: Final = {
            log_id: voice_of(logs[0]) for log_id, logs in self.certificate_logs.items()
        }
        self.authorities: Final = tuple(
            Authority(entry, Anchored(entry.chain, CODE_SIGNING))
            for entry in root.certificate_authorities
        )
        self.stamp_authorities: Final = tuple(
            Authority(entry, Anchored(entry.chain, TIME_STAMPING), _listed_leaf(entry))
            for entry in root.timestamp_authorities
        )
        self.timestamps: Final = TimestampReader()
        self._checkpoints: Final[dict[tuple[bytes, bool, str], Checkpoint]] = {}
        self._note_verifiers: Final[dict[tuple[bytes, bool], NoteVerifier]] = {}
        self._stampers: Final[dict[tuple[int, bytes], Stamper | VerificationError]] = {}

    def checkpoint(self, log: TransparencyLog, envelope: str, *, v1: bool) -> Checkpoint:
        """The checkpoint, proven to be signed by the log. Raises CHECKPOINT_… as it is."""
        name = (log.log_id, v1, envelope)
        found = self._checkpoints.get(name)
        if found is None:
            verifier = self._note_verifiers.get(name[:2])
            if verifier is None:
                verifier = self._note_verifiers[name[:2]] = log.note_verifier(v1=v1)
            found = open_checkpoint(envelope, verifier, v1=v1)
            if len(self._checkpoints) >= MAX_CHECKPOINTS:
                self._checkpoints.clear()
            self._checkpoints[name] = found
        return found

    def stamper(self, number: int, certificate: Certificate) -> Stamper:
        """The certificate as signer under the timestamp authority of this number.

        It must be the leaf that the authority lists or, if it lists none, be issued below its
        anchor. Raises VerificationError TIMESTAMP_INVALID.
        """
        name = (number, certificate.der)
        found = self._stampers.get(name)
        if found is None:
            try:
                found = _stamper(self.stamp_authorities[number], certificate)
            except (VerificationError, MalformedError) as error:
                found = VerificationError("TIMESTAMP_INVALID", error.message)
            if len(self._stampers) >= MAX_STAMPERS:
                self._stampers.clear()
            self._stampers[name] = found
        if isinstance(found, VerificationError):
            raise VerificationError("TIMESTAMP_INVALID", found.message)
        return found


def voice_of(log: TransparencyLog) -> Voice:
    """What a log counts as."""
    key_id = log.key.key_id
    return Voice(log.operator or log.log_id.hex(), key_id)


def is_covered(at: datetime, logs: Iterable[TransparencyLog]) -> bool:
    """Whether the time lies in the window of one of the entries of a log."""
    for log in logs:  # noqa: SIM110 - with `any` it takes twice as long
        if log.covers(at):
            return True
    return False


def count_voices(voices: Collection[Voice]) -> int:
    """How many distinct voices there are: by operator and by key, whichever is fewer."""
    if len(voices) < 2:
        return len(voices)
    return min(len({voice.operator for voice in voices}), len({voice.key_id for voice in voices}))


def _listed_leaf(entry: CertificateAuthority) -> Certificate | None:
    try:
        constraints = entry.chain[0].basic_constraints
    except MalformedError:
        return entry.chain[0]  # which is refused when somebody signs with it
    return entry.chain[0] if constraints is None or not constraints.is_ca else None


def _by_id(logs: Iterable[TransparencyLog]) -> dict[bytes, tuple[TransparencyLog, ...]]:
    found: dict[bytes, tuple[TransparencyLog, ...]] = {}
    for log in logs:
        same = found.get(log.log_id, ())
        if same and same[0].key != log.key:
            continue  # an id is a hash of the key: the second is not what it says
        found[log.log_id] = (*same, log)
    return found


def _stamper(authority: Authority, certificate: Certificate) -> Stamper:
    """Prove the profile (RFC 3161 §2.3) and the path of a timestamp signer."""
    entry = authority.entry
    constraints = certificate.basic_constraints
    usage = certificate.key_usage
    if constraints is not None and constraints.is_ca:
        raise VerificationError("TIMESTAMP_INVALID", "an authority cannot sign timestamps")
    if certificate.extended_key_usage != (TIME_STAMPING,) or not _is_critical(certificate):
        raise VerificationError(
            "TIMESTAMP_INVALID", "the signer's certificate is not for timestamps alone, critically"
        )
    if usage is not None and not usage & {"digitalSignature", "nonRepudiation"}:
        raise VerificationError("TIMESTAMP_INVALID", "the signer's key is not for signing")
    check_extensions(certificate)
    key_id = certificate.public_key.key_id
    voice = Voice(entry.operator or entry.uri or key_id.hex(), key_id)
    if len(entry.chain) == 1 and authority.leaf is not None:  # the leaf itself is the anchor
        return Stamper(entry, certificate, certificate.not_before, certificate.not_after, voice)
    problem = VerificationError("TIMESTAMP_INVALID", "no authority listed issued the signer")
    for issuer in authority.anchored.issuers(certificate.issuer_der):
        try:
            if isinstance(issuer, VerificationError):
                raise issuer
            check_issued_by(certificate, issuer.certificate)
        except VerificationError as error:
            problem = error
            continue
        return Stamper(
            entry,
            certificate,
            max(certificate.not_before, issuer.not_before),
            min(certificate.not_after, issuer.not_after),
            voice,
        )
    raise problem


def _is_critical(certificate: Certificate) -> bool:
    return certificate.extensions[EXTENDED_KEY_USAGE].critical
