"""How long each TUF role's metadata stays valid, and when it is renewed."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Term:
    """One role's metadata is valid for `lifetime`, and renewed when less than `margin` is left."""

    lifetime: timedelta
    margin: timedelta


@dataclass(frozen=True, slots=True)
class TufSettings:
    """Terms of the four roles.

    Only `timestamp` protects clients from being shown an old state (a freeze attack), so it is
    short. The others bound how long a stolen and then revoked key works against a client that was
    away.
    """

    root: Term = Term(timedelta(days=365), timedelta(days=46))
    targets: Term = Term(timedelta(days=365), timedelta(days=46))
    snapshot: Term = Term(timedelta(days=365), timedelta(days=46))
    # Renewed daily: a server may be away for six days before clients refuse its metadata.
    timestamp: Term = Term(timedelta(days=7), timedelta(days=6))
