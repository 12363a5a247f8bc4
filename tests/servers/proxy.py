"""A TCP proxy on loopback that breaks what passes through it, as a test says: `Proxy`.

    with Proxy(server.port) as proxy:
        proxy.cut_answer_to(b"COMMIT")     # done, but nobody hears of it; once
        proxy.answer(b"PUT ", UNAVAILABLE) # an answer of our own, until `heal`
        proxy.silence()                    # takes everything and says nothing
        proxy.refuse()                     # closes every connection
        proxy.heal()

Each fault counts what it hit in `proxy.hits`.
"""

import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

_PATIENCE_SECONDS = 60.0
UNAVAILABLE = b"HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Proxy:
    """Passes everything on to a loopback port until it is told to break something."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._lock = threading.Lock()  # of everything below
        self._cut: bytes | None = None
        self._answer: tuple[bytes, bytes] | None = None
        self._silent = False
        self._refusing = False
        self._open: set[socket.socket] = set()
        self._closed = False
        self.hits = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def endpoint(self) -> str:
        """Where it listens, for those who speak HTTP."""
        return f"http://127.0.0.1:{self.port}"

    def cut_answer_to(self, request: bytes) -> None:
        """Pass the next request with these bytes on, and cut the connection at its answer."""
        with self._lock:
            self._cut = request

    def has_cut(self) -> bool:
        """Say whether the request that `cut_answer_to` waits for has come."""
        with self._lock:
            return self._cut is None

    def answer(self, request: bytes, answer: bytes) -> None:
        """Answer HTTP requests that begin so ourselves."""
        with self._lock:
            self._answer = (request, answer)

    def silence(self) -> None:
        """Pass nothing on, in neither direction, and keep the connections."""
        with self._lock:
            self._silent = True

    def refuse(self) -> None:
        """Cut all connections, and each new one."""
        with self._lock:
            self._refusing = True
        self.cut_all()

    def heal(self) -> None:
        """Pass everything on again. Connections that have lost something are cut."""
        with self._lock:
            self._cut = self._answer = None
            was_silent, self._silent = self._silent, False
            self._refusing = False
        if was_silent:
            self.cut_all()

    def cut_all(self) -> None:
        """Cut all connections that there are."""
        with self._lock:
            for connection in self._open:
                _cut(connection)

    def close(self) -> None:
        """Cut everything and end the threads."""
        with self._lock:
            self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()
        self._threads[0].join(_PATIENCE_SECONDS)  # after it there are no new ones
        for thread in self._threads:
            thread.join(_PATIENCE_SECONDS)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                refusing = self._refusing or self._closed
            if refusing:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._upstream), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            _Pair(self, client, server).start()

    def start(self, threads: Sequence[threading.Thread], *connections: socket.socket) -> None:
        """Take up a connection's threads, or close it if the proxy was closed meanwhile."""
        with self._lock:
            if not self._closed:
                self._threads.extend(threads)
                self._open.update(connections)
                for thread in threads:
                    thread.start()
                return
        for connection in connections:
            connection.close()

    def ended(self, *connections: socket.socket) -> None:
        """Give up a connection and close it."""
        with self._lock:
            self._open.difference_update(connections)
            for connection in connections:
                connection.close()

    def fault_for(self, data: bytes) -> "bytes | bool | None":
        """Say what becomes of what a client sent: an answer, the cut of its answer, or nothing."""
        with self._lock:
            if self._silent:
                self.hits += 1
                return b""
            if self._answer is not None and data.startswith(self._answer[0]):
                self.hits += 1
                return self._answer[1]
            if self._cut is not None and self._cut in data:
                self.hits += 1
                self._cut = None
                return True
            return None

    def is_silent(self) -> bool:
        """Say whether nothing may pass."""
        with self._lock:
            return self._silent


class _Pair:
    """A client's connection and ours to the server."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._cutting = threading.Event()

    def start(self) -> None:
        """Pass on both ways."""
        answers = threading.Thread(target=self._run, args=(self._answers,), daemon=True)
        requests = threading.Thread(target=self._run_both, args=(answers,), daemon=True)
        self._proxy.start((answers, requests), self._client, self._server)

    def _run_both(self, answers: threading.Thread) -> None:
        self._run(self._requests)
        answers.join()
        self._proxy.ended(self._client, self._server)

    def _run(self, run: Callable[[], None]) -> None:
        with suppress(OSError):
            run()
        _cut(self._client)
        _cut(self._server)

    def _requests(self) -> None:
        while data := self._client.recv(65536):
            fault = self._proxy.fault_for(data)
            if fault is True:
                self._cutting.set()
            elif fault:
                assert isinstance(fault, bytes)
                self._drain(data)
                self._client.sendall(fault)
                return
            elif fault is not None:
                continue
            self._server.sendall(data)

    def _answers(self) -> None:
        while data := self._server.recv(65536):
            if self._cutting.is_set():
                return
            if not self._proxy.is_silent():
                self._client.sendall(data)

    def _drain(self, data: bytes) -> None:
        """Read the rest of an HTTP request, so that its sender can hear the answer."""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        while len(body) < length:
            body += self._more()

    def _more(self) -> bytes:
        data = self._client.recv(65536)
        if not data:
            raise ConnectionResetError
        return data


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
