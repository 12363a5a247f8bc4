"""What the operator chooses about certificates."""

from dataclasses import dataclass
from typing import Final, Literal

# Registry names; what Fulcio permits unless told otherwise.
DEFAULT_ALGORITHMS: Final = (
    "ecdsa-sha2-256-nistp256",
    "ecdsa-sha2-384-nistp384",
    "ecdsa-sha2-512-nistp521",
    "rsa-sign-pkcs1-2048-sha256",
    "rsa-sign-pkcs1-3072-sha256",
    "rsa-sign-pkcs1-4096-sha256",
    "ed25519",
)
ALGORITHMS: Final = (
    *DEFAULT_ALGORITHMS,
    "rsa-sign-pss-2048-sha256",
    "rsa-sign-pss-3072-sha256",
    "rsa-sign-pss-4096-sha256",
    "ecdsa-sha2-256-nistp384",
    "ecdsa-sha2-256-nistp521",
    "ed25519-ph",
)
"""Every name that Fulcio's own setting knows."""

SctForm = Literal["embedded", "detached", "none"]
SCT_FORMS: Final[tuple[SctForm, ...]] = ("embedded", "detached", "none")


@dataclass(frozen=True, slots=True)
class IssueSettings:
    """What the authority issues, and for which keys."""

    # Registry names of the client keys, with their hash, that get certificates.
    algorithms: frozenset[str] = frozenset(DEFAULT_ALGORITHMS)
    # Where the log's promise stands: in the certificate, beside it, or nowhere, as there is no log.
    sct: SctForm = "embedded"
