"""The timestamp authority's chain: made at first start, checked at each, extended by rotations."""

from datetime import datetime, timedelta
from secrets import randbits
from typing import Final

from touchplate.errors import SettingsError
from touchplate.formats import certificate_builder as build
from touchplate.formats.certificate import (
    EXTENDED_KEY_USAGE,
    TIME_STAMPING,
    Certificate,
    parse_certificate,
)
from touchplate.keys.signer import Signer

ROOT_LIFETIME: Final = timedelta(days=3652)
LEAF_LIFETIME: Final = timedelta(days=3287)
BACKDATED: Final = timedelta(minutes=5)
# A root that ends sooner gets no further certificates below it.
MIN_LIFETIME: Final = timedelta(days=30)


def create_chain(
    root: Signer, leaf: Signer, *, organization: str, common_name: str, now: datetime
) -> tuple[bytes, bytes]:
    """Make the signing certificate and the root above it, in this order (DER).

    Both are valid from five minutes ago, for nine and ten years.
    """
    start = now.replace(microsecond=0) - BACKDATED
    root_name = build.encode_name(organization, f"{common_name}-root")
    root_certificate = build.sign_root(
        root_name,
        path_length=0,
        serial=random_serial(),
        validity=(start, start + ROOT_LIFETIME),
        signer=root,
    )
    above = parse_certificate(root_certificate)
    name = build.encode_name(organization, common_name)
    return _sign_leaf(root, above, leaf, name, start), root_certificate


def extend_chain(
    root: Signer,
    chain: tuple[Certificate, ...],
    leaf: Signer,
    *,
    organization: str,
    common_name: str,
    now: datetime,
) -> tuple[bytes, ...]:
    """Make a signing certificate for another key under the root of `chain`; give the new chain.

    It does not outlive the root. Raises SettingsError: the root is not that of `root`, or has
    intermediates below it, or ends too soon.
    """
    above = chain[-1]
    if len(chain) != 2 or above.spki != root.public_key.spki:
        raise _invalid("it is not of this instance's own root")
    start = now.replace(microsecond=0) - BACKDATED
    name = build.encode_name(organization, common_name)
    if above.not_after - now < MIN_LIFETIME:
        raise _invalid(f"its root ends at {above.not_after}: a new root is needed")
    return _sign_leaf(root, above, leaf, name, start), above.der


def _sign_leaf(
    root: Signer, above: Certificate, leaf: Signer, name: bytes, start: datetime
) -> bytes:
    spki = leaf.public_key.spki
    return build.sign_certificate(
        name,
        spki,
        (
            build.key_usage(build.KEY_USAGE_SIGN),
            build.subject_key_identifier(spki),
            build.authority_key_identifier(build.key_identifier(above.spki)),
            # RFC 3161 §2.3: critical, and the only purpose.
            build.extended_key_usage(build.TIME_STAMPING, critical=True),
        ),
        serial=random_serial(),
        issuer=above.subject_der,
        validity=(max(start, above.not_before), min(start + LEAF_LIFETIME, above.not_after)),
        signer=root,
    )


def random_serial() -> int:
    """Give a serial number, of a certificate or a timestamp: random, positive, at most 159 bits."""
    return randbits(158) + 1


def check_chain(signer: Signer, chain: tuple[Certificate, ...], now: datetime) -> None:
    """Refuse to start with a chain (signing certificate first) that verifiers would not accept.

    Raises SettingsError: SETTINGS_INVALID, KEY_NOT_FOUND.
    """
    if len(chain) < 2:
        raise _invalid("it needs the signing certificate and a root")
    leaf, *authorities = chain
    purposes = leaf.extensions.get(EXTENDED_KEY_USAGE)
    if leaf.extended_key_usage != (TIME_STAMPING,) or purposes is None or not purposes.critical:
        raise _invalid("time stamping is not the only purpose, and critical")
    if leaf.basic_constraints is not None and leaf.basic_constraints.is_ca:
        raise _invalid("the signing certificate is an authority")
    if leaf.spki != signer.public_key.spki:
        raise SettingsError("KEY_NOT_FOUND", "the timestamp key is not that of its certificate")
    if not leaf.not_before <= now <= leaf.not_after:
        raise _invalid("the signing certificate is not valid now")
    for place, authority in enumerate(authorities, 1):
        constraints = authority.basic_constraints
        if constraints is None or not constraints.is_ca:
            raise _invalid(f"certificate {place} is no authority")
        is_root = place == len(authorities)
        if not is_root and TIME_STAMPING not in (authority.extended_key_usage or ()):
            raise _invalid(f"certificate {place} may not issue for time stamping")
    broken = build.find_broken_link(chain)
    if broken is not None:
        raise _invalid(f"certificate {broken} is not issued by the next one")


def _invalid(reason: str) -> SettingsError:
    return SettingsError("SETTINGS_INVALID", f"the timestamp authority's chain: {reason}")
