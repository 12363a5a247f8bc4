"""The signer's certificate: issued by a trusted authority, valid at every time, for signing code.

RFC 5280 §6 for the path, the client specification's §4 for the rest.
"""

from collections.abc import Sequence
from datetime import datetime

from touchplate.errors import VerificationError
from touchplate.formats.certificate import CODE_SIGNING, Certificate
from touchplate.formats.trusted_root import CertificateAuthority
from touchplate.verify.path import Issuer, check_extensions, check_issued_by
from touchplate.verify.trust import Trust
from touchplate.verify.verdict import VerifiedTime


def build_chain(leaf: Certificate, times: Sequence[VerifiedTime], trust: Trust) -> Issuer:
    """Prove that a trusted authority issued `leaf`, and that all were valid at every time.

    Gives the issuer with its path. Raises CERT_CHAIN, CA_NOT_VALID_AT_TIME,
    CERT_NOT_VALID_AT_TIME.
    """
    check_extensions(leaf)
    candidates = _issuers(leaf, trust)
    for time in times:
        _check_time(leaf, candidates, time.at)
    return candidates[0][1]


def check_profile(leaf: Certificate) -> None:
    """Require a certificate for signing code that is no authority. Raises CERT_PROFILE."""
    constraints = leaf.basic_constraints
    if constraints is not None and constraints.is_ca:
        raise VerificationError("CERT_PROFILE", "the signer's certificate is an authority's")
    usage = leaf.key_usage
    if usage is None or "digitalSignature" not in usage:
        raise VerificationError(
            "CERT_PROFILE",
            "the certificate's key is not for signatures",
            expected="key usage digitalSignature",
            found="none" if usage is None else ", ".join(sorted(usage)),
        )
    purposes = leaf.extended_key_usage
    if purposes is None or CODE_SIGNING not in purposes:
        raise VerificationError(
            "CERT_PROFILE",
            "the certificate is not for signing code",
            expected=f"extended key usage {CODE_SIGNING}",
            found=", ".join(purposes or ("none",)),
        )


def _issuers(leaf: Certificate, trust: Trust) -> list[tuple[CertificateAuthority, Issuer]]:
    """All entries of the trusted root under which the certificate was issued; at least one.

    The signature is checked once for each key. Two entries with one key differ in their windows.
    """
    problem: VerificationError | None = None
    found: list[tuple[CertificateAuthority, Issuer]] = []
    for authority in trust.authorities:
        for issuer in authority.anchored.issuers(leaf.issuer_der):
            if isinstance(issuer, VerificationError):
                problem = VerificationError("CERT_CHAIN", issuer.message)
            elif found and issuer.certificate.spki == found[0][1].certificate.spki:
                found.append((authority.entry, issuer))
            elif not found:
                try:
                    check_issued_by(leaf, issuer.certificate)
                except VerificationError as error:
                    problem = error
                else:
                    found.append((authority.entry, issuer))
    if not found:
        raise problem or VerificationError(
            "CERT_CHAIN", "no authority that the trusted root lists issued the certificate"
        )
    return found


def _check_time(
    leaf: Certificate, candidates: Sequence[tuple[CertificateAuthority, Issuer]], at: datetime
) -> None:
    if leaf.not_before <= at <= leaf.not_after:
        for entry, issuer in candidates:
            if entry.covers(at) and issuer.not_before <= at <= issuer.not_after:
                return
    covering = [issuer for entry, issuer in candidates if entry.covers(at)]
    if not covering:
        raise VerificationError(
            "CA_NOT_VALID_AT_TIME",
            "the trusted root does not list the authority at the time of signing",
            expected=f"from {candidates[0][0].valid_from} to {candidates[0][0].valid_until}",
            found=str(at),
        )
    if not leaf.not_before <= at <= leaf.not_after:
        raise VerificationError(
            "CERT_NOT_VALID_AT_TIME",
            "the signer's certificate was not valid at the time of signing",
            expected=f"from {leaf.not_before} to {leaf.not_after}",
            found=str(at),
        )
    raise VerificationError(
        "CERT_NOT_VALID_AT_TIME",
        "an authority's certificate was not valid at the time of signing",
        expected=f"from {covering[0].not_before} to {covering[0].not_after}",
        found=str(at),
    )
