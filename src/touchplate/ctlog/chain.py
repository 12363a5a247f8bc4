"""Which chains the log takes: code signing (pre)certificates that lead to an accepted root.

Checked: each signature on the way to the root, the order of the chain, the purpose of the leaf, the
poison, and the end of its validity if settings bound it. Not checked, as in every log: validity
times, path lengths, name constraints. A log keeps what was issued, right or wrong.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from threading import Lock
from typing import Final, NamedTuple, NoReturn

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from touchplate.ctlog.settings import CtlogSettings
from touchplate.errors import RefusedError
from touchplate.formats.certificate import (
    CODE_SIGNING,
    PRECERT_POISON,
    Certificate,
    parse_certificate,
)

PRECERT_SIGNING: Final = "1.3.6.1.4.1.11129.2.4.4"
MAX_KNOWN_PATHS: Final = 1024
_POISON_VALUE: Final = b"\x05\x00"


class SubmittedChain(NamedTuple):
    """A chain that the log takes: the leaf, and its issuers up to the root, which is included."""

    leaf: Certificate
    issuers: tuple[Certificate, ...]
    is_precertificate: bool

    @property
    def issuer_key_hash(self) -> bytes:
        """Give SHA-256 of the issuer's SubjectPublicKeyInfo."""
        return _key_hash(self.issuers[0].spki)


@lru_cache(maxsize=64)  # few authorities issue
def _key_hash(spki: bytes) -> bytes:
    return sha256(spki).digest()


class AcceptedRoots:
    """The roots that the log accepts, and the ways to them that were checked before."""

    def __init__(self, roots: Sequence[bytes], settings: CtlogSettings | None = None) -> None:
        """Take the roots (DER)."""
        self._settings = settings or CtlogSettings()
        self.certificates = tuple(parse_certificate(der) for der in roots)
        self._by_der = {root.der: root for root in self.certificates}
        # Issuers as they were submitted -> the same with their root. Only what was checked is in.
        self._known: dict[tuple[bytes, ...], tuple[Certificate, ...]] = {}
        self._lock = Lock()

    def check(
        self, chain: Sequence[bytes], *, precertificate: bool, is_signed: bool = False
    ) -> SubmittedChain:
        """Check a chain (DER, leaf first); the root may be left out.

        `is_signed` says that the caller has just made the leaf's signature itself. Raises
        MalformedError CERTIFICATE_MALFORMED, RefusedError CHAIN_REFUSED.
        """
        leaf = parse_certificate(chain[0])
        found = self._check_leaf(leaf)
        if found is not precertificate:
            raise RefusedError("CHAIN_REFUSED", f"cert / precert mismatch: {str(found).lower()}")
        issuers = self._path(tuple(chain[1:]), leaf)
        if not is_signed:
            _check_link(leaf, issuers[0])
        return SubmittedChain(leaf, issuers, found)

    def _check_leaf(self, leaf: Certificate) -> bool:
        """Check end, purpose and poison; say whether it is a precertificate."""
        start, limit = self._settings.not_after_start, self._settings.not_after_limit
        if start is not None and leaf.not_after < start:
            _refuse(f"certificate NotAfter ({leaf.not_after}) < {start}")
        if limit is not None and leaf.not_after >= limit:
            _refuse(f"certificate NotAfter ({leaf.not_after}) >= {limit}")
        if CODE_SIGNING not in (leaf.extended_key_usage or ()):
            _refuse("the certificate is not for code signing")
        poison = leaf.value(PRECERT_POISON)
        if poison is None:
            return False
        if PRECERT_POISON not in leaf.critical or poison != _POISON_VALUE:
            _refuse("the poison is not critical, or holds something")
        return True

    def _path(self, submitted: tuple[bytes, ...], leaf: Certificate) -> tuple[Certificate, ...]:
        """Give the checked issuers up to an accepted root."""
        if not submitted:
            return (self._root_above(leaf),)
        known = self._known.get(submitted)
        if known is not None:
            return known
        issuers = [parse_certificate(der) for der in submitted]
        for below, above in pairwise(issuers):
            _check_link(below, above)
        if issuers[-1].der not in self._by_der:
            issuers.append(self._root_above(issuers[-1]))
        if PRECERT_SIGNING in (issuers[0].extended_key_usage or ()):
            _refuse("precertificate signing certificates are not taken")
        path = tuple(issuers)
        with self._lock:
            if len(self._known) < MAX_KNOWN_PATHS:
                self._known[submitted] = path
        return path

    def _root_above(self, certificate: Certificate) -> Certificate:
        for root in self.certificates:
            if root.subject_der == certificate.issuer_der:
                _check_link(certificate, root)
                return root
        return _refuse("no path to an accepted root")


def _check_link(below: Certificate, above: Certificate) -> None:
    """Check that `above` signed `below`, and is an authority."""
    constraints = above.basic_constraints
    if constraints is None or not constraints.is_ca:
        _refuse("an issuer is no authority")
    try:
        x509.load_der_x509_certificate(below.der).verify_directly_issued_by(
            x509.load_der_x509_certificate(above.der)
        )
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise RefusedError(
            "CHAIN_REFUSED", "chain failed to verify: a certificate is not issued by the next one"
        ) from error


def _refuse(reason: str) -> NoReturn:
    raise RefusedError("CHAIN_REFUSED", f"chain failed to verify: {reason}")
