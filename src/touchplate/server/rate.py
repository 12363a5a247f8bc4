"""A rate with a burst, as the settings write it: `100/s burst 500`."""

import re
from dataclasses import dataclass
from math import ceil
from typing import Final

UNITS: Final = {"s": 1, "min": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds, and how many of them may come at once."""

    count: int
    seconds: int
    burst: int

    @property
    def interval_ns(self) -> int:
        """Give the time between two requests at this rate."""
        return self.seconds * 1_000_000_000 // self.count

    @property
    def window(self) -> int:
        """Give the seconds after which a client that used up its burst has all of it again."""
        return ceil(self.burst * self.interval_ns / 1e9)


def parse_rate(text: str) -> Rate | None:
    """Read `off`, or a rate such as `100/s`, `10/min burst 50` (ValueError).

    Without a burst it is what the rate gives in a second, at least one.
    """
    if text == "off":
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,6})/(s|min|h)(?: burst ([1-9][0-9]{0,6}))?", text)
    if found is None:
        raise ValueError(f"{text[:100]!r} is not allowed")
    count, seconds = int(found[1]), UNITS[found[2]]
    return Rate(count, seconds, int(found[3] or max(1, count // seconds)))
