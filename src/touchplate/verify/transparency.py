"""Certificate transparency: a trusted log has seen the signer's certificate (RFC 6962 §3)."""

from datetime import UTC, datetime, timedelta
from typing import Final

from touchplate.errors import VerificationError
from touchplate.formats.certificate import SCT_LIST, Certificate
from touchplate.formats.sct import (
    ECDSA,
    RSA,
    SHA256,
    SignedCertificateTimestamp,
    parse_sct_list,
    signed_input_precert,
)
from touchplate.formats.trusted_root import TransparencyLog
from touchplate.keys.public import check_signature
from touchplate.verify.trust import Trust, count_voices, is_covered
from touchplate.verify.verdict import Voice

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS: Final = {ECDSA: "ecdsa", RSA: "rsa-pkcs1"}
_MAX_MILLISECONDS: Final = 253_402_300_799_999  # the end of the year 9999


def check_scts(leaf: Certificate, issuer: Certificate, trust: Trust, threshold: int) -> list[str]:
    """Prove that enough distinct trusted logs promised to log the certificate; name them.

    `issuer` is the certificate that signed the leaf on the verified path. Promises of unknown
    logs are skipped; one of a known log must hold. Raises SCT_INVALID, SCT_MALFORMED.
    """
    listed = leaf.value(SCT_LIST)
    vouching: set[Voice] = set()
    if listed is not None:
        tbs = leaf.tbs_without(SCT_LIST)
        issuer_key_hash = issuer.public_key.key_id
        for sct in parse_sct_list(listed):
            logs = trust.certificate_logs.get(sct.log_id)
            if logs is not None:
                _check(sct, logs, issuer_key_hash, tbs)
                vouching.add(trust.certificate_voices[sct.log_id])
    if len(vouching) < threshold or (threshold > 1 and count_voices(vouching) < threshold):
        raise VerificationError(
            "SCT_INVALID",
            "too few certificate transparency logs vouch for the certificate",
            expected=f"{threshold} that the trusted root lists",
            found=str(count_voices(vouching)),
        )
    return sorted(voice.operator for voice in vouching)


def _check(
    sct: SignedCertificateTimestamp,
    logs: tuple[TransparencyLog, ...],
    issuer_key_hash: bytes,
    tbs: bytes,
) -> None:
    key = logs[0].key
    kind = _KINDS.get(sct.signature_algorithm) if sct.hash_algorithm == SHA256 else None
    for algorithm in key.algorithms:
        if (algorithm.kind, algorithm.hash) == (kind, "sha256"):
            break
    else:
        raise VerificationError(
            "SCT_INVALID",
            f"the promise of {logs[0].base_url} is of an algorithm that its key has not",
            found=f"{sct.hash_algorithm}, {sct.signature_algorithm}",
        )
    signed = signed_input_precert(sct.timestamp_ms, sct.extensions, issuer_key_hash, tbs)
    try:
        check_signature(key, sct.signature, signed, algorithm)
    except VerificationError as error:
        raise VerificationError(
            "SCT_INVALID", f"the promise of {logs[0].base_url} does not verify"
        ) from error
    if sct.timestamp_ms > _MAX_MILLISECONDS:
        raise VerificationError("SCT_INVALID", "the promise is of a time after the year 9999")
    at = _EPOCH + timedelta(milliseconds=sct.timestamp_ms)
    if not is_covered(at, logs):
        raise VerificationError(
            "SCT_INVALID",
            f"the key of {logs[0].base_url} was not valid at the time of its promise",
            found=str(at),
        )
