"""URLs read and written again as Go's net/url does it: what Fulcio puts into a certificate.

Verifiers compare the name in a certificate with a text, so each octet counts: percent-encoding that
is valid stays as it was, all else is encoded anew (Fulcio's SAN is Go's `Parse` and `String`).
"""

import re
from dataclasses import dataclass
from posixpath import normpath
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from touchplate.errors import RefusedError

MAX_URL: Final = 2048

_UNRESERVED: Final = "-_.~"  # and letters and digits, which `quote` never encodes
_PATH: Final = "$&+,/:;=@" + _UNRESERVED
_FRAGMENT: Final = "$&+,/:;=?@!()*" + _UNRESERVED
_HOST: Final = "!$&'()*+,;=:[]<>\"" + _UNRESERVED
# What may stand in a part that is kept as it was written, beside what needs no encoding.
_KEPT: Final = "!$&'()*+,;=:@[]%"
_SCHEME: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):(.*)", re.DOTALL)
_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PORT: Final = re.compile(r"(?::[0-9]*)?")


@dataclass(frozen=True, slots=True)
class GoURL:
    """A URL in its parts: each as it will be written."""

    scheme: str
    host: str
    path: str
    # With their "?" and "#"; empty if there is none.
    query: str = ""
    fragment: str = ""

    def __str__(self) -> str:
        """Give the whole URL."""
        return f"{self.scheme}:{self.host}{self.path}{self.query}{self.fragment}"


def rewrite_url(text: str) -> str:
    """Give the URL as Go writes it after reading it.

    Raises TOKEN_REFUSED for what Go does not read, and for what no name of a certificate is: a URL
    without scheme, or with a user name, or longer than 2048 characters.
    """
    return _bounded(str(parse_url(text)))


def join_url(base: str, path: str) -> str:
    """Give `base` with `path` below it, cleaned of `//` and `..` (Go's JoinPath)."""
    parts = parse_url(base)
    # "//" would be kept by normpath, and a path that climbs ends at the root.
    joined = normpath("/" + f"{parts.path}/{path}".lstrip("/"))
    if path.endswith("/") and not joined.endswith("/"):
        joined += "/"
    elif joined == "/" and not parts.path and not path.endswith("/"):
        joined = ""
    return _bounded(f"{parts.scheme}:{parts.host}{_escape(joined, _PATH, 'path')}")


def parse_url(text: str) -> GoURL:
    """Read an absolute URL (TOKEN_REFUSED)."""
    if any(char < " " or char == "\x7f" for char in text):
        raise _refused("it holds control characters")
    text, sharp, fragment = text.partition("#")
    found = _SCHEME.fullmatch(text)
    if found is None:
        raise _refused("it has no scheme")
    scheme, rest = found[1].lower(), found[2]
    rest, mark, query = rest.partition("?")
    end = sharp + _escape(fragment, _FRAGMENT, "fragment") if fragment else ""
    asked = mark + query
    if not rest.startswith("/"):
        return GoURL(scheme, "", rest, asked, end)  # opaque, such as urn:…
    host = ""
    if rest.startswith("//"):
        authority, slash, below = rest[2:].partition("/")
        host, rest = "//" + _host(authority), slash + below
    return GoURL(scheme, host, _escape(rest, _PATH, "path"), asked, end)


def _host(authority: str) -> str:
    if "@" in authority:
        raise _refused("it has a user name")
    if not authority:
        raise _refused("it has no host")
    name, port = authority, ""
    if authority.startswith("["):
        name, bracket, port = authority.rpartition("]")
        name += bracket
    elif "[" in authority or "]" in authority:
        raise _refused("its host has a bracket")
    elif ":" in authority:
        name, colon, port = authority.rpartition(":")
        port = colon + port
    if not _PORT.fullmatch(port) or (":" in name and not name.startswith("[")):
        raise _refused("its port is no number")
    # Only what is not ASCII may be percent-encoded in a host.
    if _ESCAPE.search(name) or re.search(r"%[0-7]", name):
        raise _refused("its host is percent-encoded")
    for char in name:
        if char.isascii() and not char.isalnum() and char not in _HOST + "%":
            raise _refused(f"its host holds {char!r}")
    return quote(unquote_to_bytes(name), _HOST) + port


def _escape(text: str, safe: str, what: str) -> str:
    """Keep what is encoded validly, else decode and encode it."""
    if _ESCAPE.search(text):
        raise _refused(f"its {what} has a percent sign that encodes nothing")
    if all(char.isascii() and (char.isalnum() or char in safe + _KEPT) for char in text):
        return text
    return quote(unquote_to_bytes(text), safe)


def _bounded(text: str) -> str:
    if len(text) > MAX_URL:
        raise _refused(f"it is longer than {MAX_URL} characters")
    return text


def _refused(reason: str) -> RefusedError:
    return RefusedError("TOKEN_REFUSED", f"identity token: no URL can be made of it: {reason}")
