"""The HTTP client: bounded, translated, never led to another host."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

import pytest

from touchplate.errors import MalformedError, RefusedError, SettingsError, UnavailableError
from touchplate.transport.http import (
    HttpTransport,
    Response,
    Retrying,
    TransportSettings,
    check_url,
    is_loopback,
)

if TYPE_CHECKING:
    from tests.transport.conftest import Loopback

SHORT = timedelta(seconds=0.3)


def test_post(loopback: Loopback) -> None:
    """Status, headers and body arrive as sent; a status is an answer and not an error."""
    seen: list[tuple[str | None, bytes]] = []

    def echo(handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        seen.append((handler.headers["Content-Type"], body))
        loopback.reply(418, b"short and stout", X_Log_Index="7")(handler)

    loopback.answers["/tea"] = echo

    response = HttpTransport().request(
        "POST", loopback.url + "/tea", body=b"leaf", headers=(("Content-Type", "text/tea"),)
    )

    assert (response.status, response.body) == (418, b"short and stout")
    assert response.header("x-log-index") == "7"
    assert seen == [("text/tea", b"leaf")]


def test_too_large(loopback: Loopback) -> None:
    """A body one byte above the limit is refused, at the limit it is read."""
    loopback.answers["/"] = loopback.reply(200, b"x" * 1000)

    assert len(HttpTransport().request("GET", loopback.url + "/", max_bytes=1000).body) == 1000
    with pytest.raises(MalformedError) as caught:
        HttpTransport().request("GET", loopback.url + "/", max_bytes=999)
    assert caught.value.code == "LIMIT_EXCEEDED"


def test_cve_2024_29902_endless(loopback: Loopback) -> None:
    """A body without end and without length stops at the limit."""

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 65536)
        except OSError:
            handler.close_connection = True

    loopback.answers["/"] = endless

    with pytest.raises(MalformedError) as caught:
        HttpTransport().request("GET", loopback.url + "/", max_bytes=100_000)
    assert caught.value.code == "LIMIT_EXCEEDED"


def test_cve_2023_30551_compressed(loopback: Loopback) -> None:
    """A compressed answer, which nobody asked for, is not unpacked."""
    loopback.answers["/"] = loopback.reply(200, b"\x1f\x8b", Content_Encoding="gzip")

    with pytest.raises(MalformedError) as caught:
        HttpTransport().request("GET", loopback.url + "/")
    assert caught.value.code == "RESPONSE_MALFORMED"


@pytest.mark.slow
def test_silent_server(loopback: Loopback) -> None:
    """A server that accepts and says nothing is unavailable after the timeout."""
    gone = threading.Event()

    def silent(_: BaseHTTPRequestHandler) -> None:
        gone.wait(5)

    loopback.answers["/"] = silent

    with pytest.raises(UnavailableError) as caught:
        HttpTransport().request("GET", loopback.url + "/?secret=1", timeout=SHORT)
    gone.set()

    assert caught.value.code == "SERVICE_UNAVAILABLE"
    assert "secret" not in str(caught.value)


@pytest.mark.slow
def test_slow_sender(loopback: Loopback) -> None:
    """A sender that is never silent for long, and never done, meets the same deadline."""
    gone = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        try:
            while not gone.wait(0.05):
                handler.wfile.write(b"x")
        except OSError:
            pass
        handler.close_connection = True

    loopback.answers["/"] = drip

    with pytest.raises(UnavailableError):
        HttpTransport().request("GET", loopback.url + "/", timeout=SHORT)
    gone.set()


@pytest.mark.slow
@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.1 2", b""])
def test_slow_head(start: bytes) -> None:
    """A head that comes octet by octet meets the deadline too, and is not taken for a whole one."""
    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(start)
                try:
                    while not gone.wait(0.02):
                        connection.sendall(b"0")
                except OSError:
                    pass

        thread = threading.Thread(target=drip)
        thread.start()
        before = time.monotonic()
        with pytest.raises(UnavailableError, match="in time"):
            HttpTransport().request(
                "GET", f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout=SHORT
            )
        assert time.monotonic() - before < 5
        gone.set()
        thread.join()


def test_cut_short(loopback: Loopback) -> None:
    """An answer shorter than announced is no answer."""

    def cut(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"only this")
        handler.close_connection = True

    loopback.answers["/"] = cut

    with pytest.raises(UnavailableError):
        HttpTransport().request("GET", loopback.url + "/")


def test_not_http() -> None:
    """A port that speaks something else is unavailable, not a crash."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 mail.example.test ESMTP\r\n")

        thread = threading.Thread(target=speak)
        thread.start()
        with pytest.raises(UnavailableError):
            HttpTransport().request("GET", f"http://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join()


def test_nobody_there() -> None:
    """A closed port is unavailable, and the text says why in the system's words."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(UnavailableError) as caught:
        HttpTransport().request("GET", f"http://127.0.0.1:{port}/")
    assert "refused" in str(caught.value)


def test_redirect_same_host(loopback: Loopback) -> None:
    """GET follows a redirect inside the same origin."""
    loopback.answers["/old"] = loopback.reply(302, Location="/new")
    loopback.answers["/new"] = loopback.reply(200, b"here")

    assert HttpTransport().request("GET", loopback.url + "/old").body == b"here"


@pytest.mark.parametrize(
    "location",
    ["http://localhost:1/x", "https://example.test/", "//example.test/", "http://127.0.0.1:1/"],
)
def test_cve_2026_49478_redirect_to_another_host(loopback: Loopback, location: str) -> None:
    """No redirect leads to another scheme, host or port."""
    loopback.answers["/"] = loopback.reply(302, Location=location)

    with pytest.raises(RefusedError) as caught:
        HttpTransport().request("GET", loopback.url + "/")
    assert caught.value.code == "SERVICE_REFUSED"


@pytest.mark.parametrize(
    "spelling", ["{}.example.test/", "{}@example.test/", "{}0/", "{}\\@e.test/"]
)
def test_sigstore_js_1718_host_within_a_host(loopback: Loopback, spelling: str) -> None:
    """A host that begins with the right one is another host."""
    loopback.answers["/"] = loopback.reply(302, Location=spelling.format(loopback.url))

    with pytest.raises((RefusedError, MalformedError)):
        HttpTransport().request("GET", loopback.url + "/")
    assert loopback.asked == ["GET /"]


def test_redirected_post(loopback: Loopback) -> None:
    """A body, which may hold a token, is not sent to a second address."""
    loopback.answers["/"] = loopback.reply(307, Location="/elsewhere")

    with pytest.raises(RefusedError):
        HttpTransport().request("POST", loopback.url + "/", body=b"token")
    assert loopback.asked == ["POST /"]


def test_redirect_loop(loopback: Loopback) -> None:
    """A loop of redirects ends."""
    loopback.answers["/"] = loopback.reply(302, Location="/")

    with pytest.raises(RefusedError):
        HttpTransport().request("GET", loopback.url + "/")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.test/",
        "http://127.0.0.1.example.test/",
        "http://10.0.0.1/",
        "ftp://example.test/",
        "file:///etc/passwd",
        "https://",
        "example.test",
        "https://user:password@example.test/",
        "https://example.test/#part",
        "https://example.test:port/",
        "https://example.test/a b",
        "https://example.test/\r\nHost: other",
        "https://[::1/",
        "https://example.test/" + "x" * 2048,
    ],
)
def test_url_refused(url: str) -> None:
    """Only https, or http to this machine, without user, fragment or characters that end a line."""
    with pytest.raises(SettingsError) as caught:
        check_url(url)
    assert caught.value.code == "SETTINGS_INVALID"
    assert "password@" not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.3.2.1", "::1"])
def test_loopback(host: str) -> None:
    """These names are this machine."""
    assert is_loopback(host)


def test_allow_http() -> None:
    """Plain http to elsewhere is a setting."""
    assert check_url("http://example.test/x", allow_http=True).hostname == "example.test"
    assert TransportSettings().allow_http is False


class Scripted:
    """A transport that answers from a list; a number is a status, None is no answer."""

    def __init__(self, *answers: int | None, retry_after: str | None = None) -> None:
        """Keep the answers and the header."""
        self.answers = list(answers)
        self.headers = () if retry_after is None else (("retry-after", retry_after),)

    def request(self, method: str, url: str, **_: object) -> Response:
        """Give the next answer."""
        answer = self.answers.pop(0)
        if answer is None:
            raise UnavailableError("SERVICE_UNAVAILABLE", f"{method} {url}: away")
        return Response(answer, self.headers, b"")


@pytest.mark.parametrize(
    ("answers", "header", "status", "pauses"),
    [
        ((200,), None, 200, []),
        ((404, 200), None, 404, []),
        ((409, 200), None, 409, []),
        ((503, 200), None, 200, [1.0]),
        ((None, 429, 500, 201), None, 201, [1.0, 2.0, 4.0]),
        ((503, 503, 503, 503), None, 503, [1.0, 2.0, 4.0]),
        ((503, 200), "7", 200, [7.0]),
        ((503, 200), "31", 503, []),
        ((503, 200), "soon", 200, [1.0]),
        ((503, 200), "9999999", 200, [1.0]),
    ],
)
def test_retries(
    answers: tuple[int | None, ...], header: str | None, status: int, pauses: list[float]
) -> None:
    """What may pass is asked again after 1, 2, 4 s or as the server says; the rest is not."""
    slept: list[float] = []

    response = Retrying(Scripted(*answers, retry_after=header), slept.append).request(
        "POST", "https://example.test/"
    )

    assert (response.status, slept) == (status, pauses)


def test_retries_end() -> None:
    """Four times without an answer is unavailable."""
    with pytest.raises(UnavailableError):
        Retrying(Scripted(None, None, None, None), lambda _: None).request(
            "GET", "https://example.test/"
        )


def test_import_is_cheap() -> None:
    """Importing the seam does not load urllib3."""
    code = "import sys, touchplate.transport.http; print('urllib3' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "False\n"
