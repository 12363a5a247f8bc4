"""SPIFFE IDs: `spiffe://TRUST-DOMAIN/PATH` (SPIFFE-ID §2)."""

import re
from typing import Final

MAX_ID: Final = 2048

_DOMAIN: Final = re.compile(r"[a-z0-9._-]{1,255}")
_SEGMENT: Final = re.compile(r"[a-zA-Z0-9._-]+")


def is_trust_domain(text: str) -> bool:
    """Say whether the text has the form of a trust domain's name."""
    return _DOMAIN.fullmatch(text) is not None


def is_spiffe_id(text: str, trust_domain: str) -> bool:
    """Say whether the text is an ID of the trust domain; no segment may be empty or dots."""
    prefix = f"spiffe://{trust_domain}"
    if not is_trust_domain(trust_domain) or len(text) > MAX_ID or not text.startswith(prefix):
        return False
    path = text[len(prefix) :]
    if not path:
        return True
    first, *segments = path.split("/")
    return first == "" and all(
        _SEGMENT.fullmatch(each) and each not in (".", "..") for each in segments
    )
