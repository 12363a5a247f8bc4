"""Connections of urllib3 that hold the whole head of an answer to one deadline.

urllib3's timeout is for each packet: a server that sends a header octet by octet would be listened
to for hours. The body is read by `http`, which looks at the clock itself. Loaded on use: it imports
urllib3.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Event, Timer

from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection


class _Plain(HTTPConnection):
    # urllib3's own answer is not http.client's: it ignores the same there.
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        """Read status and headers within the timeout, or raise TimeoutError."""
        late = Event()

        def cut() -> None:
            late.set()
            # Not the method of a TLS socket, which would forget its state while it is in use.
            with suppress(OSError):
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

        timer = Timer(self.timeout or 0, cut)
        timer.daemon = True
        timer.start()
        try:
            return super().getresponse()
        finally:
            timer.cancel()
            timer.join()
            if late.is_set():  # what was read, or went wrong, is only what was cut off
                raise TimeoutError("the head of the answer took too long")


class _Tls(_Plain, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Tls


def bounded(pools: PoolManager) -> PoolManager:
    """Make these pools use such connections, and give them back."""
    pools.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
    return pools
