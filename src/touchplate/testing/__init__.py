"""A whole deployment in memory, for tests: ours, and those of who builds on this package.

`World` has the real roles over memory storage, with a clock that the test moves, and no sockets.
"""

from touchplate.testing.in_process import InProcessTransport
from touchplate.testing.world import Clock, World

__all__ = ["Clock", "InProcessTransport", "World"]
