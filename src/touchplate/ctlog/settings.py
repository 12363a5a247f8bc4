"""What an operator may choose about a certificate log."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class CtlogSettings:
    """Settings of a certificate log; the defaults bound nothing."""

    # Whether anybody may submit chains that lead to an accepted root; else only the authority of
    # this deployment does, and the two operations are not there.
    is_open: bool = True
    # Leaves whose validity ends before this are refused, and from the other on.
    not_after_start: datetime | None = None
    not_after_limit: datetime | None = None
