"""The authority's chain: made at first start, checked at each, extended; and the key under it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from secrets import randbits
from typing import Final

from touchplate.errors import SettingsError
from touchplate.formats import certificate_builder as build
from touchplate.formats import der
from touchplate.formats.certificate import CODE_SIGNING, Certificate, parse_certificate
from touchplate.keys.signer import Signer

ROOT_LIFETIME: Final = timedelta(days=3652)
ISSUING_LIFETIME: Final = timedelta(days=1826)
# Clients whose clock is behind ours must find a fresh chain valid already.
BACKDATED: Final = timedelta(minutes=5)
# A root that ends sooner gets no further certificates below it.
MIN_LIFETIME: Final = timedelta(days=30)
MAX_CHAIN: Final = 10
_SUBJECT_KEY_IDENTIFIER: Final = bytes.fromhex("551d0e")


def create_chain(
    root: Signer, issuing: Signer, *, organization: str, common_name: str, now: datetime
) -> tuple[bytes, bytes]:
    """Make the issuing certificate and the root above it, in this order (DER).

    The root signs the issuing certificate, which may sign code signing certificates and no
    authorities. Both are valid from five minutes ago; the root for ten years, the other for five.
    """
    start = now.replace(microsecond=0) - BACKDATED
    root_name = build.encode_name(organization, common_name)
    root_certificate = build.sign_root(
        root_name,
        path_length=1,
        serial=random_serial(),
        validity=(start, start + ROOT_LIFETIME),
        signer=root,
    )
    above = parse_certificate(root_certificate)
    name = build.encode_name(organization, f"{common_name}-intermediate")
    return _sign_issuing(root, above, issuing, name, start), root_certificate


def extend_chain(
    root: Signer,
    chain: tuple[Certificate, ...],
    issuing: Signer,
    *,
    organization: str,
    common_name: str,
    now: datetime,
) -> tuple[bytes, ...]:
    """Make an issuing certificate for another key under the root of `chain`; give the new chain.

    It does not outlive the root. Raises SettingsError: the root is not that of `root`, or has
    others between, or ends too soon.
    """
    above = chain[-1]
    if len(chain) != 2 or above.spki != root.public_key.spki:
        raise _invalid("it is not of this instance's own root")
    if above.not_after - now < MIN_LIFETIME:
        raise _invalid(f"its root ends at {above.not_after}: a new root is needed")
    start = now.replace(microsecond=0) - BACKDATED
    name = build.encode_name(organization, f"{common_name}-intermediate")
    return _sign_issuing(root, above, issuing, name, start), above.der


def _sign_issuing(
    root: Signer, above: Certificate, issuing: Signer, name: bytes, start: datetime
) -> bytes:
    spki = issuing.public_key.spki
    return build.sign_certificate(
        name,
        spki,
        (
            build.key_usage(build.KEY_USAGE_ISSUE),
            build.extended_key_usage(build.CODE_SIGNING),
            build.basic_constraints(0),
            build.subject_key_identifier(spki),
            build.authority_key_identifier(build.key_identifier(above.spki)),
        ),
        serial=random_serial(),
        issuer=above.subject_der,
        validity=(max(start, above.not_before), min(start + ISSUING_LIFETIME, above.not_after)),
        signer=root,
    )


def random_serial() -> int:
    """Give a serial number: random, positive, at most 159 bits."""
    return randbits(158) + 1


@dataclass(frozen=True, slots=True)
class Authority:
    """A key and the chain of its certificate, checked; both signatures of an issuance use one."""

    signer: Signer
    # Issuing certificate first, root last.
    chain: tuple[Certificate, ...]
    signature_identifier: bytes
    key_identifier: bytes
    # SHA-256 of the issuing SubjectPublicKeyInfo: names the issuer in the CT log.
    issuer_key_hash: bytes
    # The window in which the whole chain is valid, both ends inside.
    not_before: datetime
    not_after: datetime

    @classmethod
    def load(cls, signer: Signer, chain: Sequence[bytes], now: datetime) -> "Authority":
        """Check that `chain` (DER, issuing first, root last) is that of `signer`, and usable now.

        Raises SettingsError: SETTINGS_INVALID, KEY_NOT_FOUND if the key is another one's.
        """
        certificates = tuple(parse_certificate(item) for item in chain)
        check_chain(signer, certificates, now)
        spki = certificates[0].spki
        named = certificates[0].extensions.get(_SUBJECT_KEY_IDENTIFIER)
        return cls(
            signer,
            certificates,
            build.signature_identifier(signer.algorithm),
            der.Reader(named.value).read(der.OCTET_STRING) if named else build.key_identifier(spki),
            sha256(spki).digest(),
            max(certificate.not_before for certificate in certificates),
            min(certificate.not_after for certificate in certificates),
        )

    @property
    def issuing(self) -> Certificate:
        """Give the certificate whose key signs."""
        return self.chain[0]


def check_chain(signer: Signer, chain: tuple[Certificate, ...], now: datetime) -> None:
    """Refuse to start with a chain that verifiers would not accept (SETTINGS_INVALID)."""
    check_links(chain)
    for place, certificate in enumerate(chain):
        if not certificate.not_before <= now <= certificate.not_after:
            raise _invalid(f"certificate {place} is not valid now")
    issuing = chain[0]
    purposes = issuing.extended_key_usage
    if (len(chain) > 1 or purposes is not None) and CODE_SIGNING not in (purposes or ()):
        raise _invalid("the issuing certificate is not for code signing")
    if issuing.spki != signer.public_key.spki:
        raise SettingsError(
            "KEY_NOT_FOUND", "the authority's key is not that of its issuing certificate"
        )
    if signer.algorithm.kind not in ("ecdsa", "rsa-pkcs1"):
        raise _invalid(f"clients do not accept certificates signed with {signer.algorithm.name}")


def check_links(chain: tuple[Certificate, ...]) -> None:
    """Refuse a chain whose certificates do not issue each other, up to a root (SETTINGS_INVALID).

    Whether it is valid now, and for what, is not looked at: a former authority's is a chain too.
    """
    if not chain:
        raise _invalid("it is empty")
    if len(chain) > MAX_CHAIN:
        raise _invalid(f"it has more than {MAX_CHAIN} certificates")
    for place, certificate in enumerate(chain):
        constraints, usage = certificate.basic_constraints, certificate.key_usage
        if constraints is None or not constraints.is_ca:
            raise _invalid(f"certificate {place} is no authority")
        if usage is not None and "keyCertSign" not in usage:
            raise _invalid(f"certificate {place} may not sign certificates")
        if constraints.path_length is not None and constraints.path_length < place:
            raise _invalid(f"certificate {place} allows {constraints.path_length} below it")
        purposes = certificate.extended_key_usage
        if purposes is not None and CODE_SIGNING not in purposes:
            raise _invalid(f"certificate {place} is not for code signing")
    if not chain[-1].is_self_issued:
        raise _invalid("its last certificate is no root")
    broken = build.find_broken_link(chain)
    if broken is not None:
        raise _invalid(f"certificate {broken} is not issued by the next one")


def split_chains(certificates: Sequence[Certificate]) -> tuple[tuple[Certificate, ...], ...]:
    """Divide certificates into chains, each of which ends with its root (SETTINGS_INVALID)."""
    chains: list[tuple[Certificate, ...]] = []
    begun: list[Certificate] = []
    for certificate in certificates:
        begun.append(certificate)
        if certificate.is_self_issued:
            chains.append(tuple(begun))
            begun.clear()
    if begun:
        raise _invalid("its last certificate is no root")
    for chain in chains:
        check_links(chain)
    return tuple(chains)


def _invalid(reason: str) -> SettingsError:
    return SettingsError("SETTINGS_INVALID", f"the authority's certificate chain: {reason}")
