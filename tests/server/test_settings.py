"""What the operator may say, and what is refused."""

from pathlib import Path

import pytest

from touchplate.errors import SettingsError
from touchplate.server.settings import (
    data_folder,
    listen_origin,
    make_settings,
    parse_listen,
    parse_origin,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("localhost:65535", ("localhost", 65535)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_listen(text: str, expected: tuple[str, int]) -> None:
    """HOST:PORT names an address, IPv6 in brackets."""
    assert parse_listen(text) == expected


@pytest.mark.parametrize(
    "text", ["", "80", ":80", "host", "host:", "host:x", "host:65536", "::1:2"]
)
def test_bad_listen(text: str) -> None:
    """Anything else is no address."""
    with pytest.raises(SettingsError) as caught:
        parse_listen(text)
    assert caught.value.code == "SETTINGS_INVALID"


@pytest.mark.parametrize(
    ("text", "url", "host"),
    [
        ("https://sign.example.org", "https://sign.example.org", "sign.example.org"),
        ("https://sign.example.org/", "https://sign.example.org", "sign.example.org"),
        ("https://Sign.Example.org:8443", "https://sign.example.org:8443", "sign.example.org"),
        ("http://127.0.0.1:7878", "http://127.0.0.1:7878", "127.0.0.1"),
        ("http://[::1]:7878", "http://[::1]:7878", "::1"),
    ],
)
def test_origin(text: str, url: str, host: str) -> None:
    """The log is named after the host alone."""
    origin = parse_origin(text)
    assert (origin.url, origin.host) == (url, host)


@pytest.mark.parametrize(
    "text",
    [
        "sign.example.org",
        "ftp://sign.example.org",
        "https://",
        "https://sign.example.org/path",
        "https://sign.example.org?q=1",
        "https://sign.example.org#f",
        "https://user@sign.example.org",
        "https://sign.example.org:x",
        "https://sign+1.example.org",
        "https://sígn.example.org",
    ],
)
def test_bad_origin(text: str) -> None:
    """What cannot be the base of all paths, or name a log, is refused."""
    with pytest.raises(SettingsError) as caught:
        parse_origin(text)
    assert caught.value.code == "SETTINGS_INVALID"


@pytest.mark.parametrize(
    ("url", "protects"),
    [
        ("https://sign.example.org", True),
        ("http://127.0.0.1:1", True),
        ("http://localhost:1", True),
        ("http://sign.example.org", False),
    ],
)
def test_protects(url: str, protects: bool) -> None:
    """Plain HTTP is private only inside one machine."""
    assert parse_origin(url).protects == protects


def test_listening_everywhere() -> None:
    """A server that listens on all addresses must be told what clients call it."""
    with pytest.raises(SettingsError):
        listen_origin("0.0.0.0", 80)  # noqa: S104
    assert listen_origin("127.0.0.1", 80).url == "http://127.0.0.1:80"


def test_command_line_before_environment() -> None:
    """What the command line says wins over the environment, and that over the default."""
    environ = {
        "TOUCHPLATE_DATA": "/srv/a",
        "TOUCHPLATE_LISTEN": "127.0.0.1:1",
        "TOUCHPLATE_URL": "https://a.example.org",
    }
    settings = make_settings(environ)
    assert settings.data == Path("/srv/a")
    assert (settings.listen, settings.url) == (
        ("127.0.0.1", 1),
        parse_origin("https://a.example.org"),
    )

    settings = make_settings(environ, data="/srv/b", listen="[::1]:2", url="https://b.example.org")
    assert settings.data == Path("/srv/b")
    assert settings.listen == ("::1", 2)
    assert settings.url == parse_origin("https://b.example.org")


def test_default_folder() -> None:
    """Without a word the data rests in the user's data folder."""
    assert data_folder({"HOME": "/home/a"}) == Path("/home/a/.local/share/touchplate/server")
    assert data_folder({"XDG_DATA_HOME": "/data"}) == Path("/data/touchplate/server")


def test_ca_key() -> None:
    """The CA's key is of one of two kinds."""
    assert make_settings({}, ca_key="p384").ca_key == "ecdsa-p384"
    with pytest.raises(SettingsError):
        make_settings({}, ca_key="rsa")
