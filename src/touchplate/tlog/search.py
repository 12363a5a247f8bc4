"""`POST /api/v1/index/retrieve`: the names of entries by what they are about.

The index itself is another role's: the log is handed a function.
"""

from collections.abc import Callable, Sequence

# (v1 keys as `entries.terms` makes them, whether an entry must have all of them)
# -> (tree id, index in that tree) of each entry, in any order.
Search = Callable[[tuple[str, ...], bool], Sequence[tuple[int, int]]]
