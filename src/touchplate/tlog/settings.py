"""What the operator decides about the transparency log."""

from dataclasses import dataclass

from touchplate.entries.admission import ALLOWED


@dataclass(frozen=True, slots=True)
class TlogSettings:
    """How the log answers; its name and key are in `LogKey`."""

    algorithms: frozenset[str] = ALLOWED
    """Registry names of the algorithms that new hashedrekord entries may use."""

    duplicate_is_conflict: bool = False
    """Answer 409 to an entry that the log has, as upstream does, and not 201 with its proof."""

    accept_dsse_v002: bool = True
    """Take envelopes as `dsse` 0.0.2 entries too, which the JavaScript client sends to v2 logs."""
