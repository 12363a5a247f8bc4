from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from touchplate.clients.tile_files import FolderFiles, HttpFiles, http_files
from touchplate.errors import MalformedError, RefusedError, SettingsError, UnavailableError
from touchplate.transport.http import HttpTransport


def test_folder(tmp_path: Path) -> None:
    """A file is read, one that is not there is None, and one beyond the limit is refused."""
    (tmp_path / "tile" / "0").mkdir(parents=True)
    (tmp_path / "tile" / "0" / "000").write_bytes(b"1234")
    files = FolderFiles(tmp_path)

    assert files.read("tile/0/000", 4) == b"1234"
    assert files.read("tile/0/001", 4) is None
    assert files.read("tile/0/000/x", 4) is None
    with pytest.raises(MalformedError) as refused:
        files.read("tile/0/000", 3)
    assert refused.value.code == "LIMIT_EXCEEDED"


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_no_plain_file(tmp_path: Path, kind: str) -> None:
    """Links, pipes and folders in the place of a file are refused, and hold nothing up."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"1234")
    path = tmp_path / "checkpoint"
    if kind == "link":
        path.symlink_to(secret)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(SettingsError) as refused:
        FolderFiles(tmp_path).read("checkpoint", 100)
    assert refused.value.code == "FILE_UNREADABLE"


ANSWERS = {
    "/log/checkpoint": (200, b"text"),
    "/log/busy": (503, b"later"),
    "/log/private": (403, b"no"),
    "/log/huge": (200, b"x" * 5000),
    "/log/moved": (302, b""),
}


@pytest.fixture
def url() -> Iterator[str]:
    """Serve files, one of them moved to another host."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = ANSWERS.get(self.path, (404, b"none"))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "http://127.0.0.2:9/secret")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/log"
        server.shutdown()
        thread.join()


def test_http(url: str) -> None:
    """404 is no file; every other status but 200 is an error, and so are redirects away."""
    files = http_files(url + "/", HttpTransport())
    assert files == HttpFiles(url, files.transport)
    assert files.read("checkpoint", 100) == b"text"
    assert files.read("tile/0/000", 100) is None
    with pytest.raises(UnavailableError):
        files.read("busy", 100)
    for path in ("private", "moved"):
        with pytest.raises(RefusedError) as refused:
            files.read(path, 100)
        assert refused.value.code == "SERVICE_REFUSED"
    with pytest.raises(MalformedError) as too_large:
        files.read("huge", 100)
    assert too_large.value.code == "LIMIT_EXCEEDED"


@pytest.mark.parametrize(
    "url",
    [
        *("http://log.example.org", "ftp://log.example.org", "https://user@log.example.org"),
        *("https://log.example.org/?a=b", "https://log.example.org/#x", "https://"),
    ],
)
def test_url(url: str) -> None:
    """Plain HTTP to other machines, queries and user names are refused before anything is sent."""
    with pytest.raises(SettingsError):
        http_files(url, HttpTransport())
