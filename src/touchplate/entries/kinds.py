"""The kinds of log entry that can vouch for a bundle, one row each."""

from collections.abc import Callable
from typing import Final

from touchplate.entries import (
    dsse_v001,
    dsse_v002,
    hashedrekord_v001,
    hashedrekord_v002,
    intoto_v002,
)
from touchplate.entries.claim import Claim
from touchplate.errors import MalformedError, VerificationError
from touchplate.formats.bundle import TransparencyLogEntry

# (kind, version): what proves that a body of that kind is about a claim.
KINDS: Final[dict[tuple[str, str], Callable[[bytes, Claim], None]]] = {
    (hashedrekord_v001.KIND, hashedrekord_v001.VERSION): hashedrekord_v001.match,
    (hashedrekord_v002.KIND, hashedrekord_v002.VERSION): hashedrekord_v002.match,
    (dsse_v001.KIND, dsse_v001.VERSION): dsse_v001.match,
    (dsse_v002.KIND, dsse_v002.VERSION): dsse_v002.match,
    (intoto_v002.KIND, intoto_v002.VERSION): intoto_v002.match,
}


def match(entry: TransparencyLogEntry, claim: Claim) -> None:
    """Prove that a log entry's body is about this content, this signature and this key.

    Raises ENTRY_MALFORMED, ENTRY_KIND_UNSUPPORTED, ENTRY_KIND_MISMATCH, ENTRY_SIGNATURE_MISMATCH,
    ENTRY_KEY_MISMATCH or ENTRY_DIGEST_MISMATCH; whatever `claim.digest` raises passes through.
    """
    compare = KINDS.get((entry.kind, entry.kind_version))
    if compare is None:
        raise VerificationError(
            "ENTRY_KIND_UNSUPPORTED",
            "a log entry of this kind cannot vouch for a bundle",
            expected=", ".join(f"{kind} {version}" for kind, version in KINDS),
            found=f"{entry.kind} {entry.kind_version}"[:200],
        )
    if not entry.body:
        raise MalformedError("ENTRY_MALFORMED", "the log entry holds no body")
    compare(entry.body, claim)
