"""How an API that HTTP and gRPC share says no: one fault, a status in each.

The roles keep their own tables of what is answered with what (`ca/fault.py`, `tlog/v2_fault.py`).
"""

from typing import Final, NamedTuple

# google.rpc.Code
CANCELLED: Final = 1
UNKNOWN: Final = 2
INVALID_ARGUMENT: Final = 3
DEADLINE_EXCEEDED: Final = 4
NOT_FOUND: Final = 5
ALREADY_EXISTS: Final = 6
RESOURCE_EXHAUSTED: Final = 8
UNIMPLEMENTED: Final = 12
INTERNAL: Final = 13
UNAVAILABLE: Final = 14


class Fault(NamedTuple):
    """An answer that is not what was asked for. `headers` go with it, in gRPC as metadata."""

    code: int
    status: int
    message: str
    headers: tuple[tuple[str, str], ...] = ()
