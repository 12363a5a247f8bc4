"""Log entries, one module per kind: the request, what the log stores, the match with a bundle.

`match` proves that a logged body is about the signature at hand; `KINDS` lists the kinds it knows.
"""

from touchplate.entries.claim import Claim
from touchplate.entries.kinds import KINDS, match

__all__ = ["KINDS", "Claim", "match"]
