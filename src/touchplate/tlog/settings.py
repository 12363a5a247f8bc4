"""What the operator decides about the transparency log."""

from dataclasses import dataclass
from typing import Final

from touchplate.entries.admission import ALLOWED
from touchplate.entries.proposed import WRITABLE_KINDS
from touchplate.errors import SettingsError

# The operations of API v1 by the names that upstream's OpenAPI and settings give them, and how an
# answer calls one that is switched off.
ENDPOINTS: Final = {
    "searchIndex": "Search Index",
    "getLogInfo": "Get Log Info",
    "getPublicKey": "Get Public Key",
    "getLogProof": "Get Log Proof",
    "createLogEntry": "Create Entry",
    "getLogEntryByIndex": "Get Log Entry by Index",
    "getLogEntryByUUID": "Get Log Entry by UUID",
    "searchLogQuery": "Search Log Query",
}


@dataclass(frozen=True, slots=True)
class TlogSettings:
    """How the log answers; its name and key are in `LogKey`."""

    algorithms: frozenset[str] = ALLOWED
    """Registry names of the algorithms that new hashedrekord entries may use."""

    duplicate_is_conflict: bool = False
    """Answer 409 to an entry that the log has, as upstream does, and not 201 with its proof."""

    accept_dsse_v002: bool = True
    """Take envelopes as `dsse` 0.0.2 entries too, which the JavaScript client sends to v2 logs."""

    kinds: frozenset[str] = WRITABLE_KINDS
    """Kinds that API v1 takes; others stay readable. `WRITABLE_KINDS` are all that it can take."""

    endpoints: frozenset[str] = frozenset(ENDPOINTS)
    """Operations of API v1 that are answered; the others are 501. `ENDPOINTS` has their names."""

    attestations: bool = False
    """Keep the payloads of new `intoto` entries beside the log, and give them with the entry."""

    max_attestation_bytes: int = 102_400
    """A larger payload is not kept; its entry is logged all the same."""

    def __post_init__(self) -> None:
        """Refuse algorithms that no log takes, and a log that takes none (SETTINGS_INVALID)."""
        unknown = self.algorithms - ALLOWED
        if unknown or not self.algorithms:
            raise SettingsError(
                "SETTINGS_INVALID",
                "the algorithms of the transparency log",
                expected="some of " + ", ".join(sorted(ALLOWED)),
                found=", ".join(sorted(unknown))[:200] or "none",
            )
