"""The authority's chain: made at first start, checked at each, and the key that issues under it."""

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
    root_spki, issuing_spki = root.public_key.spki, issuing.public_key.spki
    issuing_certificate = build.sign_certificate(
        build.encode_name(organization, f"{common_name}-intermediate"),
        issuing_spki,
        (
            build.key_usage(build.KEY_USAGE_ISSUE),
            build.extended_key_usage(build.CODE_SIGNING),
            build.basic_constraints(0),
            build.subject_key_identifier(issuing_spki),
            build.authority_key_identifier(build.key_identifier(root_spki)),
        ),
        serial=random_serial(),
        issuer=root_name,
        validity=(start, start + ISSUING_LIFETIME),
        signer=root,
    )
    root_certificate = build.sign_certificate(
        root_name,
        root_spki,
        (
            build.key_usage(build.KEY_USAGE_ISSUE),
            build.basic_constraints(1),
            build.subject_key_identifier(root_spki),
        ),
        serial=random_serial(),
        issuer=root_name,
        validity=(start, start + ROOT_LIFETIME),
        signer=root,
    )
    return issuing_certificate, root_certificate


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
        )

    @property
    def issuing(self) -> Certificate:
        """Give the certificate whose key signs."""
        return self.chain[0]


def check_chain(signer: Signer, chain: tuple[Certificate, ...], now: datetime) -> None:
    """Refuse to start with a chain that verifiers would not accept (SETTINGS_INVALID)."""
    if not chain:
        raise _invalid("it is empty")
    issuing = chain[0]
    for place, certificate in enumerate(chain):
        constraints = certificate.basic_constraints
        if constraints is None or not constraints.is_ca:
            raise _invalid(f"certificate {place} is no authority")
        if constraints.path_length is not None and constraints.path_length < place:
            raise _invalid(f"certificate {place} allows {constraints.path_length} below it")
        if not certificate.not_before <= now <= certificate.not_after:
            raise _invalid(f"certificate {place} is not valid now")
    broken = build.find_broken_link(chain)
    if broken is not None:
        raise _invalid(f"certificate {broken} is not issued by the next one")
    purposes = issuing.extended_key_usage
    if (len(chain) > 1 or purposes is not None) and CODE_SIGNING not in (purposes or ()):
        raise _invalid("the issuing certificate is not for code signing")
    if issuing.spki != signer.public_key.spki:
        raise SettingsError(
            "KEY_NOT_FOUND", "the authority's key is not that of its issuing certificate"
        )
    if signer.algorithm.kind not in ("ecdsa", "rsa-pkcs1"):
        raise _invalid(f"clients do not accept certificates signed with {signer.algorithm.name}")


def _invalid(reason: str) -> SettingsError:
    return SettingsError("SETTINGS_INVALID", f"the authority's certificate chain: {reason}")
