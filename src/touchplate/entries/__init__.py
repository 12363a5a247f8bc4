"""Log entries, one module per kind: what a log stores, how it is asked for, how a bundle is held to it.

`match` proves that a logged body is about the signature at hand; `KINDS` lists the kinds it knows.
"""

from touchplate.entries.claim import Claim
from touchplate.entries.kinds import KINDS, match

__all__ = ["KINDS", "Claim", "match"]
