"""Hold a certificate that was just issued to be one that verifiers will accept."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from touchplate.formats.certificate import Certificate
from touchplate.formats.trusted_root import TrustedRoot
from touchplate.verify.certification import build_chain, check_profile
from touchplate.verify.transparency import check_scts
from touchplate.verify.trust import Trust
from touchplate.verify.verdict import VerifiedTime

# A certificate begins at the authority's now, which may be a little after ours.
MAX_CLOCK_SKEW: Final = timedelta(minutes=5)


def check_certificate(leaf: Certificate, trusted_root: TrustedRoot, at: datetime) -> None:
    """Prove that an authority trusted at `at` issued it, for signing code, and logged it first.

    Raises CERT_CHAIN, CA_NOT_VALID_AT_TIME, CERT_NOT_VALID_AT_TIME, CERT_PROFILE, SCT_INVALID.
    """
    trust = Trust.of(trusted_root)
    if at < leaf.not_before <= at + MAX_CLOCK_SKEW:
        at = leaf.not_before
    # The only use of a time that nobody signed: nothing is proven to others by it.
    clock = VerifiedTime(at, "log", "this machine's clock", "")
    issuer = build_chain(leaf, (clock,), trust)
    check_profile(leaf)
    check_scts(leaf, issuer.certificate, trust, 1)
