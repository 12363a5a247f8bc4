"""How the index follows the log, and how much one question may cost."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """Limits and intervals of the index."""

    poll: timedelta = timedelta(milliseconds=250)
    """How often to look for new entries: how far the index is behind, unless it has much to do."""

    lease: timedelta = timedelta(seconds=4)
    """After so long without a word from the process that follows the log, another one does; it
    looks each quarter of this. A word is one small transaction. The clocks of hosts that share an
    index must agree better than this, or two of them follow at once."""

    max_batch: int = 4096
    """Entries that are read and indexed in one go; memory is bounded by it."""

    max_lag: int = 65_536
    """Up to so many entries behind, the index works half of the time and leaves the rest to
    requests; further behind it works all of the time."""

    max_scanned: int = 100_000
    """Postings that one question may look at; its page then ends early, with a cursor."""
