"""Hold what services gave to be what verifiers accept, before the next step builds on it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from touchplate.errors import VerificationError
from touchplate.formats.certificate import Certificate
from touchplate.verify.certification import build_chain, check_profile
from touchplate.verify.options import DEFAULT
from touchplate.verify.times import timestamp_times
from touchplate.verify.transparency import check_scts
from touchplate.verify.trust import Trust
from touchplate.verify.verdict import VerifiedTime, Voice

# A certificate begins at the authority's now, which may be a little after ours.
MAX_CLOCK_SKEW: Final = timedelta(minutes=5)


def check_certificate(leaf: Certificate, trust: Trust, at: datetime) -> None:
    """Prove that an authority trusted at `at` issued it, for signing code, and logged it first.

    Raises CERT_CHAIN, CA_NOT_VALID_AT_TIME, CERT_NOT_VALID_AT_TIME, CERT_PROFILE, SCT_INVALID.
    """
    if at < leaf.not_before <= at + MAX_CLOCK_SKEW:
        at = leaf.not_before
    # The only use of a time that nobody signed: nothing is proven to others by it.
    clock = VerifiedTime(at, "log", "this machine's clock", Voice("", b""))
    issuer = build_chain(leaf, (clock,), trust)
    check_profile(leaf)
    check_scts(leaf, issuer.certificate, trust, 1)


def check_timestamp(response: bytes, signature: bytes, trust: Trust) -> None:
    """Prove that a trusted authority stamped this signature (TIMESTAMP_INVALID, NO_VERIFIED_TIME).

    Before the log entry: that is public and stays, the bundle would be worthless.
    """
    if not timestamp_times((response,), signature, trust, DEFAULT):
        raise VerificationError(
            "NO_VERIFIED_TIME", "the timestamp is not from an authority in the trusted root"
        )
