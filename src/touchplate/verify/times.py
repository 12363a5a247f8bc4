"""When the signature existed: RFC 3161 timestamps and the promises of v1 logs.

Every time that is returned was signed by a source in the trusted root over something that binds
this very signature. A time that is only written in the bundle is not one.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha1, sha256, sha384, sha512
from typing import Final

from touchplate.errors import MalformedError, VerificationError
from touchplate.formats.bundle import TransparencyLogEntry
from touchplate.formats.certificate import Certificate, parse_certificate
from touchplate.formats.timestamp import GRANTED, TimestampToken
from touchplate.formats.trusted_root import TransparencyLog
from touchplate.keys.public import check_signature
from touchplate.verify.options import Options
from touchplate.verify.trust import Stamper, Trust, is_covered, voice_of
from touchplate.verify.verdict import VerifiedTime
from touchplate.verify.x509_signature import RSA_ENCRYPTION, check_x509_signature

# RFC 3161 tokens are over these; SHA-1 is refused.
_IMPRINTS: Final = {"sha256": sha256, "sha384": sha384, "sha512": sha512}
# SHA-1 may still name the certificate (RFC 2634 §5.4), whose own bytes are compared besides.
_NAMES: Final = {**_IMPRINTS, "sha1": sha1}
_RSA_WITH: Final = {
    "sha256": bytes.fromhex("300d06092a864886f70d01010b0500"),
    "sha384": bytes.fromhex("300d06092a864886f70d01010c0500"),
    "sha512": bytes.fromhex("300d06092a864886f70d01010d0500"),
}
_TST_INFO: Final = bytes.fromhex("060b2a864886f70d0109100104")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_UNIX_TIME: Final = 253_402_300_799  # the end of the year 9999


def timestamp_times(
    stamps: Sequence[bytes], signature: bytes, trust: Trust, options: Options
) -> list[VerifiedTime]:
    """The times of all timestamps over `signature` by authorities of the trusted root.

    Those of unknown authorities are skipped, as long as one is known; one by a known authority
    must hold. Raises TIMESTAMP_INVALID, TIMESTAMP_MALFORMED.
    """
    times: list[VerifiedTime] = []
    for stamp in stamps:
        response = trust.timestamps.read(stamp)
        if response.status != GRANTED or response.token is None:
            raise VerificationError(
                "TIMESTAMP_INVALID", "the timestamp was not granted", found=str(response.status)
            )
        time = _timestamp_time(response.token, signature, trust)
        if time is not None:
            times.append(time)
    if stamps and not times and (trust.stamp_authorities or options.timestamp_authorities):
        raise VerificationError(
            "TIMESTAMP_INVALID",
            "no timestamp is by an authority that the trusted root lists",
            expected=", ".join(a.entry.uri for a in trust.stamp_authorities) or "an authority",
        )
    return times


def promise_time(entry: TransparencyLogEntry, logs: Sequence[TransparencyLog]) -> VerifiedTime:
    """The time at which a v1 log promises to have taken the entry.

    `logs` are the entries of the trusted root with the entry's log id. Raises SET_INVALID and
    LOG_KEY_NOT_VALID_AT_TIME.
    """
    if entry.is_v2:
        raise VerificationError("SET_INVALID", "an entry of a v2 log has no inclusion promise")
    log = logs[0]
    key = log.key
    for algorithm in key.algorithms:
        if algorithm.kind == "ecdsa" and algorithm.hash == "sha256":
            break
    else:
        raise VerificationError(
            "SET_INVALID", "v1 logs promise with ECDSA and SHA-256", found=key.kind
        )
    # RFC 8785 of this object: members in this order, the body as base64, the id in hex.
    signed = b'{"body":"%b","integratedTime":%d,"logID":"%b","logIndex":%d}' % (
        entry.body_base64,
        entry.integrated_time,
        entry.log_id.hex().encode("ascii"),
        entry.log_index,
    )
    try:
        check_signature(key, entry.promise or b"", signed, algorithm)
    except VerificationError as error:
        raise VerificationError(
            "SET_INVALID", f"the inclusion promise of {log.base_url} does not verify"
        ) from error
    if entry.integrated_time > _MAX_UNIX_TIME:
        raise VerificationError("SET_INVALID", "the time of integration is after the year 9999")
    at = _EPOCH + timedelta(seconds=entry.integrated_time)
    check_log_windows(logs, (at,))
    return VerifiedTime(at, "log", log.base_url, voice_of(log))


def check_log_windows(logs: Sequence[TransparencyLog], times: Sequence[datetime]) -> None:
    """Require that one of the times, if there are any, lies in a window of the log's key.

    Raises VerificationError LOG_KEY_NOT_VALID_AT_TIME.
    """
    for at in times:
        if is_covered(at, logs):
            return
    if times:
        raise VerificationError(
            "LOG_KEY_NOT_VALID_AT_TIME",
            f"the key of {logs[0].base_url} was not valid at the time",
            expected=f"{logs[0].valid_from} to {logs[0].valid_until or 'now'}",
            found=", ".join(str(at) for at in times),
        )


def _timestamp_time(token: TimestampToken, signature: bytes, trust: Trust) -> VerifiedTime | None:
    """The token's time if a known authority made it, None if it is by a stranger."""
    problem: VerificationError | None = None
    for number in range(len(trust.stamp_authorities)):
        certificate = _signer(token, trust, number)
        if certificate is None:
            continue
        try:
            stamper = trust.stamper(number, certificate)
            _check_token(token, signature, stamper)
        except VerificationError as error:
            problem = error  # the same authority may stand there again with another window
            continue
        return VerifiedTime(token.at, "tsa", stamper.entry.uri, stamper.voice)
    if problem is not None:
        raise problem
    return None


def _signer(token: TimestampToken, trust: Trust, number: int) -> Certificate | None:
    """The certificate that says it signed: the authority's own leaf, or one that came along.

    A certificate in the token counts for nothing by itself: `Trust.stamper` decides. It is asked
    only if the entry lists no leaf, and then must be named by the signer and lead to the entry.
    """
    authority = trust.stamp_authorities[number]
    leaf = authority.leaf
    if leaf is not None:
        return leaf if _names(token, leaf) else None
    for der in token.certificates:
        try:
            certificate = parse_certificate(der)
        except MalformedError:
            continue
        if _names(token, certificate) and certificate.issuer_der in (
            listed.subject_der for listed in authority.entry.chain
        ):
            return certificate
    return None


def _names(token: TimestampToken, certificate: Certificate) -> bool:
    signer = token.signer
    if signer.subject_key_id:
        extension = certificate.extensions.get(_SUBJECT_KEY_ID)
        return extension is not None and extension.value[2:] == signer.subject_key_id
    return (
        signer.serial_bytes == certificate.serial_bytes
        and signer.issuer_der == certificate.issuer_der
    )


def _check_token(token: TimestampToken, signature: bytes, stamper: Stamper) -> None:
    """Prove that the stamper made this token over this signature, while it was valid."""
    signer = token.signer
    certificate = stamper.certificate
    imprint, digest = (
        _IMPRINTS.get(token.imprint_algorithm),
        _IMPRINTS.get(signer.digest_algorithm),
    )
    if imprint is None or digest is None:
        raise _invalid("the timestamp uses a hash that is not allowed", token.imprint_algorithm)
    if imprint(signature).digest() != token.imprint:
        raise _invalid("the timestamp is of another signature", token.imprint.hex())
    if signer.content_type != _TST_INFO:
        raise _invalid("the signed attributes are of another type of content", "")
    if digest(token.tst_info).digest() != signer.message_digest:
        raise _invalid("the signed attributes are of another content", "")
    # RFC 5816 §2.2.1: the certificate that signed is named inside what was signed.
    if signer.certificate_hash_algorithm == "sha256":
        name = certificate.fingerprint
    else:
        name = _NAMES[signer.certificate_hash_algorithm](certificate.der).digest()
    if name != signer.certificate_hash:
        raise _invalid("the timestamp names another certificate than the authority's", "")
    algorithm = signer.signature_algorithm
    if algorithm in RSA_ENCRYPTION:
        algorithm = _RSA_WITH[signer.digest_algorithm]
    check_x509_signature(
        certificate.public_key, signer.signature, signer.signed, algorithm, code="TIMESTAMP_INVALID"
    )
    if not stamper.not_before <= token.at <= stamper.not_after:
        raise _invalid("the authority's certificates were not valid at that time", str(token.at))
    if not stamper.entry.covers(token.at):
        raise _invalid("the trusted root does not list the authority at that time", str(token.at))


def _invalid(reason: str, found: str) -> VerificationError:
    return VerificationError("TIMESTAMP_INVALID", reason, found=found or None)


_SUBJECT_KEY_ID: Final = bytes.fromhex("551d0e")
