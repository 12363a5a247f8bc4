"""A body that is too large is answered, to clients that write all of it before they read a byte.

Each way of asking meets each kind of API in a real process, above the limit and exactly at it.
"""

import http.client
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.server.conftest import Server
from touchplate.ca.request import MAX_REQUEST
from touchplate.entries.create_entry import MAX_REQUEST_BYTES
from touchplate.entries.proposed import MAX_PROPOSED_BYTES
from touchplate.formats.ct import MAX_ADD_CHAIN_BYTES
from touchplate.server.families import Fault, family_of
from touchplate.tlog.search import MAX_QUERY_BYTES
from touchplate.tsa.routes import MAX_BODY

pytestmark = pytest.mark.slow

SECONDS = 60
LIMITS = {
    "/api/v1/log/entries": MAX_PROPOSED_BYTES,
    "/api/v1/log/entries/retrieve": MAX_PROPOSED_BYTES,
    "/api/v1/index/retrieve": MAX_QUERY_BYTES,
    "/api/v2/log/entries": MAX_REQUEST_BYTES,
    "/api/v1/signingCert": MAX_REQUEST,
    "/api/v2/signingCert": MAX_REQUEST,
    "/api/v1/timestamp": MAX_BODY,
    "/ct/v1/add-chain": MAX_ADD_CHAIN_BYTES,
    "/ct/v1/add-pre-chain": MAX_ADD_CHAIN_BYTES,
}
# More than the buffers of both ends hold: who writes all of it is still writing when we answer.
MORE = 12 << 20
CHUNK = 60_000

Send = Callable[[str, str, bytes, Path], tuple[int, bytes]]


def address_of(url: str) -> tuple[str, int]:
    """Give host and port."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def in_chunks(body: bytes) -> bytes:
    """Give the body in the chunked coding."""
    parts = [body[at : at + CHUNK] for at in range(0, len(body), CHUNK)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def send_raw(url: str, path: str, lines: bytes, body: bytes) -> tuple[int, bytes]:
    """Write the whole request, then read until the end."""
    head = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n%b\r\n\r\n"
    with socket.create_connection(address_of(url), timeout=SECONDS) as connection:
        connection.sendall(head % (path.encode(), lines) + body)
        connection.settimeout(SECONDS)
        response = http.client.HTTPResponse(connection, method="POST")
        response.begin()
        found = response.status, response.read()
        if response.getheader("connection") == "close":
            assert connection.recv(1) == b"", "more than one answer"
        return found


def raw(url: str, path: str, body: bytes, _: Path) -> tuple[int, bytes]:
    """Write to a socket, with a length."""
    return send_raw(url, path, b"content-length: %d" % len(body), body)


def raw_chunked(url: str, path: str, body: bytes, _: Path) -> tuple[int, bytes]:
    """Write to a socket, in chunks."""
    return send_raw(url, path, b"transfer-encoding: chunked", in_chunks(body))


def python(url: str, path: str, body: bytes, _: Path) -> tuple[int, bytes]:
    """Send by the standard library's client, which writes first."""
    return send_python(url, path, body)


def python_chunked(url: str, path: str, body: bytes, _: Path) -> tuple[int, bytes]:
    """Send by the standard library's client, in chunks."""
    return send_python(url, path, (body[at : at + CHUNK] for at in range(0, len(body), CHUNK)))


def send_python(url: str, path: str, body: bytes | Iterator[bytes]) -> tuple[int, bytes]:
    """Send by the standard library's client."""
    connection = http.client.HTTPConnection(*address_of(url), timeout=SECONDS)
    try:
        headers = {"content-type": "application/json"}
        chunked = not isinstance(body, bytes)
        connection.request("POST", path, body, headers, encode_chunked=chunked)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def curl(url: str, path: str, body: bytes, folder: Path, *options: str) -> tuple[int, bytes]:
    """Send by curl; it asks whether to go on, and waits a second for the answer."""
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")
    sent, answer = folder / "sent", folder / "answer"
    sent.write_bytes(body)
    done = subprocess.run(
        (
            *(program, "--silent", "--show-error", "--max-time", str(SECONDS)),
            *("--header", "content-type: application/json", "--data-binary", f"@{sent}"),
            *("--output", str(answer), "--write-out", "%{http_code}", *options, url + path),
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    # 55: it had more to send when it had read the answer. It is told all the same.
    assert done.returncode in (0, 55), done.stderr
    return int(done.stdout), answer.read_bytes()


def curl_at_once(url: str, path: str, body: bytes, folder: Path) -> tuple[int, bytes]:
    """Send by curl, which does not ask."""
    return curl(url, path, body, folder, "--header", "expect:")


def curl_chunked(url: str, path: str, body: bytes, folder: Path) -> tuple[int, bytes]:
    """Send by curl, in chunks."""
    more = ("--header", "transfer-encoding: chunked", "--header", "expect:")
    return curl(url, path, body, folder, *more)


WAYS = (raw, raw_chunked, python, python_chunked, curl, curl_at_once, curl_chunked)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URL of a service that these tests share."""
    server = Server(tmp_path_factory.mktemp("oversize") / "data")
    try:
        yield server.wait_until_ready()
        assert server.get("/readyz")[0] == 200
        assert server.stop() == 0
        assert "Traceback" not in server.failure()
    finally:
        server.stop(signal.SIGKILL)
        for stream in (server.process.stdout, server.process.stderr):
            assert stream is not None
            stream.close()


def refusal(path: str) -> tuple[int, bytes]:
    """Give how the API of this path says that a body is too large; each has its own words."""
    limit = LIMITS[path]
    text = f"Request Entity Too Large. Limit set to {limit}"
    answer = family_of(path).answer(Fault(413, text, path, "POST", limit=limit))
    return answer.status, answer.body


@pytest.mark.parametrize("send", WAYS)
@pytest.mark.parametrize("path", LIMITS)
def test_above_the_limit(url: str, path: str, send: Send, tmp_path: Path) -> None:
    """The refusal reaches the client, one byte above the limit and far above it."""
    limit = LIMITS[path]
    for size in (limit + 1, limit + MORE):
        assert send(url, path, b" " * size, tmp_path) == refusal(path)


@pytest.mark.parametrize("send", WAYS)
@pytest.mark.parametrize("path", LIMITS)
def test_at_the_limit(url: str, path: str, send: Send, tmp_path: Path) -> None:
    """A body of exactly the limit is read, and refused for what it says."""
    status, answer = send(url, path, b" " * LIMITS[path], tmp_path)

    assert 400 <= status < 500, answer
    assert (status, answer) != refusal(path)


@pytest.mark.parametrize(
    "lines", [b"content-length: %d", b"content-length: %d\r\nexpect: 100-continue"]
)
@pytest.mark.parametrize("path", LIMITS)
def test_head_alone(url: str, path: str, lines: bytes) -> None:
    """A client that has sent the head only is answered, and its connection ends, without delay.

    Only a time-out of the client's own would end it otherwise: what it waits for is the end.
    """
    assert send_raw(url, path, lines % (LIMITS[path] + 1), b"") == refusal(path)
