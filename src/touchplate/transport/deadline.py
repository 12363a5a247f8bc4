"""Connections of urllib3 that hold the whole head of an answer to one deadline, and to an address.

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
from urllib3.exceptions import NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection

from touchplate.errors import RefusedError
from touchplate.transport.http import is_public


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


class _PublicPlain(_Plain):
    def _new_conn(self) -> socket.socket:
        """Resolve, refuse what is not public, and connect to what was checked."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        for address in addresses:
            if not is_public(address):
                raise RefusedError(
                    "SERVICE_REFUSED", f"{self.host} is at {address}, which is not public"
                )
        failure: OSError | None = None
        for address in addresses:
            try:
                return create_connection(
                    (address, self.port), self.timeout, socket_options=self.socket_options
                )
            except OSError as error:
                failure = error
        raise NewConnectionError(self, f"no connection: {failure}") from failure


class _PublicTls(_PublicPlain, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Tls


class _PublicPlainPool(HTTPConnectionPool):
    ConnectionCls = _PublicPlain


class _PublicTlsPool(HTTPSConnectionPool):
    ConnectionCls = _PublicTls


def bounded(pools: PoolManager, *, public_only: bool = False) -> PoolManager:
    """Make these pools use such connections, and give them back."""
    pools.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
    if public_only:
        pools.pool_classes_by_scheme = {"http": _PublicPlainPool, "https": _PublicTlsPool}
    return pools
