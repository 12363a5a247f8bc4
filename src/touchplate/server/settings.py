"""What the operator says about a deployment: on the command line, else in the environment.

docs/reference/settings.md has the same table; a test holds the two together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from touchplate.errors import SettingsError
from touchplate.transport.http import is_loopback

DEFAULT_LISTEN: Final = "127.0.0.1:7878"

# Environment variable: what it sets. The command line wins over them.
VARIABLES: Final[Mapping[str, str]] = {
    "TOUCHPLATE_DATA": "data",
    "TOUCHPLATE_LISTEN": "listen",
    "TOUCHPLATE_URL": "url",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """A public base URL: scheme, host and port, and nothing after them."""

    # Without a slash at the end.
    url: str
    # Host name without port: the name of the log, the origin of its checkpoints.
    host: str

    @property
    def protects(self) -> bool:
        """Say whether what passes under this URL can be read or changed on the way."""
        return self.url.startswith("https://") or is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """How one server process runs."""

    # Folder of keys, logs and certificates; made if it is not there.
    data: Path
    # Address to listen on; port 0 takes a free one (the one of the last time if it still is).
    listen_host: str = "127.0.0.1"
    listen_port: int = 7878
    # Where clients reach the service; None: where it was before, else where it listens.
    url: Origin | None = None
    # Kind of the certificate authority's signing key; chosen at the first start, then kept.
    ca_key: str = "ecdsa-p256"
    # Threads for signatures and disk beside the event loop; 0: two for each processor, at least 4.
    threads: int = 0
    # On SIGTERM requests under way have so long to end.
    drain_seconds: int = 20


def make_settings(
    environ: Mapping[str, str],
    *,
    data: str | None = None,
    listen: str | None = None,
    url: str | None = None,
    ca_key: str = "ecdsa-p256",
) -> ServeSettings:
    """Put together what was given; raises SETTINGS_INVALID naming the value."""
    listen_host, listen_port = parse_listen(
        listen or environ.get("TOUCHPLATE_LISTEN") or DEFAULT_LISTEN
    )
    origin = url or environ.get("TOUCHPLATE_URL")
    return ServeSettings(
        data=data_folder(environ, data),
        listen_host=listen_host,
        listen_port=listen_port,
        url=parse_origin(origin) if origin else None,
        ca_key=_ca_key(ca_key),
    )


def data_folder(environ: Mapping[str, str], data: str | None = None) -> Path:
    """Choose the data folder: argument, TOUCHPLATE_DATA, else the user's data folder."""
    given = data or environ.get("TOUCHPLATE_DATA")
    if given:
        return Path(given).absolute()
    base = environ.get("XDG_DATA_HOME", "")
    # The XDG specification: a relative path there is to be ignored.
    if not base.startswith("/"):
        base = f"{environ.get('HOME') or Path.home()}/.local/share"
    return Path(base) / "touchplate" / "server"


def parse_listen(text: str) -> tuple[str, int]:
    """Read HOST:PORT, `[::1]:PORT` for IPv6."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise SettingsError(
            "SETTINGS_INVALID", f"listen address {text!r}", expected="HOST:PORT, port 0 to 65535"
        )
    return host, int(port)


def parse_origin(text: str) -> Origin:
    """Read a public base URL such as `https://sign.example.org`."""
    try:
        parts = urlsplit(text.rstrip("/"))
        port = parts.port
    except ValueError as error:
        raise _bad_origin(text, str(error)) from error
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        raise _bad_origin(text, "needs http:// or https:// and a host name")
    if parts.path or parts.query or parts.fragment or parts.username is not None or "@" in text:
        raise _bad_origin(text, "must end after the host and port: all parts have fixed paths")
    if not all(each.isalnum() or each in "-._:" for each in host) or not host.isascii():
        # A checkpoint's origin and a note's key name hold no space and no plus (C2SP signed-note).
        raise _bad_origin(text, f"host name {host!r}")
    shown = f"[{host}]" if ":" in host else host
    return Origin(f"{parts.scheme}://{shown}" + ("" if port is None else f":{port}"), host)


def listen_origin(host: str, port: int) -> Origin:
    """Give the origin of a server that clients reach where it listens."""
    if host in ("0.0.0.0", "::"):  # noqa: S104  compared, not bound
        raise SettingsError(
            "SETTINGS_INVALID",
            f"listening on {host} says nothing about where clients reach the service",
            hint="give --url https://NAME",
        )
    return parse_origin(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")


def _ca_key(kind: str) -> str:
    kinds = {"p256": "ecdsa-p256", "p384": "ecdsa-p384"}
    kind = kinds.get(kind, kind)
    if kind not in kinds.values():
        raise SettingsError("SETTINGS_INVALID", f"CA key {kind!r}", expected="p256 or p384")
    return kind


def _bad_origin(text: str, reason: str) -> SettingsError:
    return SettingsError("SETTINGS_INVALID", f"URL {text!r}: {reason}")
