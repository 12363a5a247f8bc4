"""Certification paths: from the certificate that issued a leaf up to the anchor (RFC 5280 §6).

The upper part of a path comes from the trusted root alone and does not change, so it is checked
once, at every rule but time, and kept as an `Issuer` with the window in which all of it is valid.
A leaf then costs one signature. Certificates that come with a bundle are never part of a path.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from touchplate.errors import MalformedError, VerificationError
from touchplate.formats.certificate import (
    ANY_EXTENDED_KEY_USAGE,
    BASIC_CONSTRAINTS,
    EXTENDED_KEY_USAGE,
    KEY_USAGE,
    NAME_CONSTRAINTS,
    PRECERT_POISON,
    SUBJECT_ALT_NAME,
    Certificate,
)
from touchplate.formats.element import oid_name
from touchplate.verify.x509_signature import check_x509_signature

MAX_PATH: Final = 10

_UNDERSTOOD: Final = frozenset({KEY_USAGE, EXTENDED_KEY_USAGE, BASIC_CONSTRAINTS, SUBJECT_ALT_NAME})


class Issuer(NamedTuple):
    """A certificate that may issue leaves, proven up to its anchor at every rule but time."""

    path: tuple[Certificate, ...]
    """This certificate first, the anchor last."""
    not_before: datetime
    not_after: datetime
    """The window in which the whole path is valid, both ends inside."""

    @property
    def certificate(self) -> Certificate:
        """The direct issuer."""
        return self.path[0]


class Anchored:
    """The authorities under one anchor: a chain of the trusted root, its last one the anchor.

    A path is checked when it is first asked for, so a trusted root costs nothing for the
    authorities that a run does not meet. What is wrong with one is kept too: a trusted root with
    one odd authority still serves the others.
    """

    __slots__ = ("_chain", "_found", "_purpose")

    def __init__(self, chain: Sequence[Certificate], purpose: str) -> None:
        """Take the chain, and the extended key usage that its authorities must allow."""
        self._chain = tuple(chain)
        self._purpose = purpose
        self._found: dict[bytes, tuple[Issuer | VerificationError, ...]] = {}

    def issuers(self, subject: bytes) -> tuple[Issuer | VerificationError, ...]:
        """All authorities of this name, or why they may not issue."""
        found = self._found.get(subject)
        if found is None:
            if subject not in [certificate.subject_der for certificate in self._chain]:
                return ()
            found = tuple(
                self._issuer(certificate)
                for certificate in self._chain
                if certificate.subject_der == subject
            )
            self._found[subject] = found
        return found

    def _issuer(self, first: Certificate) -> Issuer | VerificationError:
        try:
            return _find_path(first, self._chain, self._purpose)
        except (VerificationError, MalformedError) as error:
            return VerificationError("CERT_CHAIN", error.message)


def check_issued_by(leaf: Certificate, issuer: Certificate) -> None:
    """Prove that `issuer` signed `leaf`. Raises VerificationError CERT_CHAIN."""
    if leaf.issuer_der != issuer.subject_der:
        raise VerificationError("CERT_CHAIN", "the certificate names another issuer")
    check_x509_signature(
        issuer.public_key, leaf.signature, leaf.tbs, leaf.signature_algorithm, code="CERT_CHAIN"
    )


def check_extensions(certificate: Certificate) -> None:
    """Refuse what a path must not ignore (RFC 5280 §4.2): raises VerificationError CERT_CHAIN."""
    if _UNDERSTOOD.issuperset(certificate.critical) and not certificate.has_any(_REFUSED):
        return
    for oid, extension in certificate.extensions.items():
        if (extension.critical and oid not in _UNDERSTOOD) or oid in _REFUSED:
            raise VerificationError(
                "CERT_CHAIN", f"the certificate has extension {oid_name(oid)}, which is not allowed"
            )
    raise AssertionError("no extension is to blame")


def _find_path(first: Certificate, chain: Sequence[Certificate], purpose: str) -> Issuer:
    """Go from `first` to the anchor, checking each authority and each signature."""
    anchor = chain[-1]
    path = [first]
    below = 0
    _check_authority(first, below, purpose)
    while path[-1] != anchor:
        child = path[-1]
        above = [other for other in chain if other.subject_der == child.issuer_der]
        if not above or len(path) == MAX_PATH or above[0] in path:
            raise VerificationError("CERT_CHAIN", "no path leads from the issuer to the anchor")
        below += not child.is_self_issued
        _check_authority(above[0], below, purpose)
        check_issued_by(child, above[0])
        path.append(above[0])
    return Issuer(
        tuple(path),
        max(certificate.not_before for certificate in path),
        min(certificate.not_after for certificate in path),
    )


def _check_authority(certificate: Certificate, below: int, purpose: str) -> None:
    """Require a certificate that may stand above `below` other authorities and a leaf."""
    check_extensions(certificate)
    constraints = certificate.basic_constraints
    if constraints is None or not constraints.is_ca:
        raise VerificationError("CERT_CHAIN", "a certificate of the path is not an authority")
    if constraints.path_length is not None and below > constraints.path_length:
        raise VerificationError(
            "CERT_CHAIN",
            "the path is longer than an authority allows",
            expected=f"at most {constraints.path_length} authorities below it",
            found=str(below),
        )
    usage = certificate.key_usage
    if usage is not None and "keyCertSign" not in usage:
        raise VerificationError("CERT_CHAIN", "an authority's key is not for signing certificates")
    purposes = certificate.extended_key_usage
    if purposes is not None and purpose not in purposes and ANY_EXTENDED_KEY_USAGE not in purposes:
        raise VerificationError(
            "CERT_CHAIN",
            "an authority is for other purposes",
            expected=purpose,
            found=", ".join(purposes),
        )


# Name constraints are critical where they are used (RFC 5280 §4.2.1.10), and a poisoned
# certificate is never one.
_REFUSED: Final = frozenset({NAME_CONSTRAINTS, PRECERT_POISON})
