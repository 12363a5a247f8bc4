"""Hold what is logged to what our authority issues: entry -> (pre)certificate -> profile."""

from collections.abc import Callable
from hashlib import sha256
from itertools import pairwise

from touchplate.errors import VerificationError
from touchplate.formats import ct
from touchplate.formats.certificate import PRECERT_POISON, parse_certificate
from touchplate.formats.certificate_builder import find_broken_link
from touchplate.formats.leaf_profile import find_violations

FindIssuer = Callable[[bytes], bytes | None]
"""SHA-256 of a certificate -> its DER, if the log has it."""


def check_record(record: bytes, find_issuer: FindIssuer) -> bool:
    """Prove that a logged certificate obeys the profile, and that the entry is that of it.

    Gives true: its signature was checked. Raises VerificationError PROFILE_BROKEN with all that is
    wrong, TLOG_INVALID for an issuer that is missing, MalformedError.
    """
    leaf = ct.parse_tile_leaf(record)
    chain = [parse_certificate(leaf.end_entity)]
    for fingerprint in leaf.issuers:
        der = find_issuer(fingerprint)
        if der is None or sha256(der).digest() != fingerprint:
            raise VerificationError(
                "TLOG_INVALID", f"issuer {fingerprint.hex()} is missing, or another certificate"
            )
        chain.append(parse_certificate(der))
    if len(chain) < 2:
        raise VerificationError("PROFILE_BROKEN", "the entry names no issuer")
    certificate, issuer = chain[:2]
    is_precertificate = bool(leaf.entry.issuer_key_hash)
    broken = list(find_violations(certificate, issuer, is_precertificate=is_precertificate))
    if is_precertificate:
        if leaf.entry.issuer_key_hash != sha256(issuer.spki).digest():
            broken.append("the entry names another issuer's key")
        if leaf.entry.certificate != certificate.tbs_without(PRECERT_POISON):
            broken.append("the entry is of another certificate")
    for below, above in pairwise(chain[1:]):
        if find_broken_link((below, above)) == 0:
            broken.append("its issuers are no chain")
    if ct.parse_leaf_index(leaf.entry.extensions) is None:
        broken.append("the entry holds no index")
    if broken:
        raise VerificationError("PROFILE_BROKEN", "; ".join(broken))
    return True
