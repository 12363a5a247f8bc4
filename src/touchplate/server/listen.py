"""Where the server listens: one socket, or a port that several processes share.

Worker processes each have a listening socket of their own (SO_REUSEPORT), and the kernel spreads
connections over those that listen: a worker that is not ready, or has died, gets none. The parent
keeps the port with a socket that never listens. Linux refuses the port to everybody else, also to
processes of the same user that would share it, because that socket was bound without SO_REUSEPORT.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from touchplate.errors import SettingsError
from touchplate.server.data import Instance
from touchplate.server.settings import parse_origin

BACKLOG: Final = 2048


@contextmanager
def listening(
    address: tuple[str, int], instance: Instance | None, *, shared: bool
) -> Iterator[socket.socket]:
    """Bind the address; port 0 means the port of the last time if it is free, else any.

    Gives a socket that listens, or if the port is to be shared one that keeps it for `join`.
    """
    host, port = address
    listener = None
    if port == 0 and instance is not None and instance.url_follows_listen:
        before = parse_origin(instance.url)
        with suppress(OSError):
            listener = _bind(before.host, int(before.url.rpartition(":")[2]))
    try:
        listener = listener or _bind(host, port)
    except OSError as error:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"cannot listen on {host}:{port}: {error.strerror}",
            hint="give a free address with --listen HOST:PORT",
        ) from error
    with listener:
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            # Else another server could bind the port until the first worker listens.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        else:
            listener.listen(BACKLOG)
        yield listener


def join(keeper: socket.socket) -> socket.socket:
    """Listen on the port that `keeper` keeps, beside the other workers."""
    joined = socket.socket(keeper.family, keeper.type, keeper.proto)
    return _set_up(joined, keeper.getsockname(), share=True)


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    return _set_up(socket.socket(family, kind, protocol), address, share=False)


def _set_up(opened: socket.socket, address: Any, *, share: bool) -> socket.socket:  # noqa: ANN401  as in socket
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if share:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind(address)
        if share:
            opened.listen(BACKLOG)
    except BaseException:
        opened.close()
        raise
    return opened
