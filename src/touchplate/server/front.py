"""What stands at the root of the service: what it is, where its parts are, how to trust it.

One text in three forms, by the Accept header: plain text, JSON, and for browsers a page without
scripts, forms or anything from elsewhere. It never states the fingerprint of the trust root: who
could change the root on the way could change that too.
"""

import json
import re
from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import Final

from touchplate import __version__
from touchplate.server.settings import Origin
from touchplate.transport.asgi import Request, Response, Route

FRONT_PATH: Final = "/"

_WHAT: Final = (
    "A signing service: certificates, transparency log, certificate log and timestamps, "
    "with the APIs of Sigstore."
)
_HOW: Final = "To trust it, get the fingerprint from who runs it, by another way than this one:"
# Name in JSON, path that answers a GET, and what is there.
_PLACES: Final = (
    ("description", "/openapi.json", "everything that it answers (OpenAPI)"),
    ("trust", "/tuf/timestamp.json", "the trust root (TUF), for clients that update it"),
    ("trustConfig", "/trust_config.json", "trusted root and signing config in one file"),
    ("checkpoint", "/checkpoint", "the newest checkpoint of the transparency log"),
    ("verifierKeys", "/vkeys", "the keys that sign it"),
    ("certificates", "/api/v2/trustBundle", "the chains of the certificate authority"),
    ("issuer", "/oidc/.well-known/openid-configuration", "the token issuer of its own"),
    ("health", "/readyz", "whether it can take work"),
)
_STYLE: Final = (
    "html{color-scheme:light dark}"
    "body{font:1rem/1.5 sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem}"
    "pre{overflow-x:auto;padding:.8rem 1rem;border:1px solid #8888;border-radius:.3rem}"
    "dt{font-family:monospace}"
    "dd{margin:0 0 .5rem}"
)
_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"
    "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    ("cache-control", "public, max-age=300"),
    ("vary", "Accept"),
    ("content-security-policy", _POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
)
_TYPES: Final = {"text/html": 0, "application/json": 1, "text/plain": 2}
_MAX_RANGES: Final = 20
_WEIGHT: Final = re.compile(r"[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


def front_route(origin: Origin) -> Route:
    """Answer at the root."""
    url = origin.url
    answers = (
        Response(200, _page(url), "text/html; charset=utf-8", _HEADERS),
        Response(200, _json(url), "application/json", _HEADERS),
        Response(200, _text(url), "text/plain; charset=utf-8", _HEADERS),
    )

    async def get_front(request: Request) -> Response:
        return answers[_TYPES[_preferred(request.headers.get("accept", ""))]]

    return Route("GET", FRONT_PATH, get_front, 0)


def _command(url: str) -> str:
    return f"touchplate trust add {url} --fingerprint SHA256"


def _text(url: str) -> bytes:
    width = max(len(path) for _, path, _ in _PLACES)
    lines = (
        f"touchplate {__version__} at {url}",
        _WHAT,
        "",
        _HOW,
        f"  {_command(url)}",
        "",
        *(f"{path:<{width}}  {what}" for _, path, what in _PLACES),
        "",
    )
    return "\n".join(lines).encode()


def _json(url: str) -> bytes:
    members = {
        "service": "touchplate",
        "version": __version__,
        "url": url,
        "what": _WHAT,
        "trustCommand": _command(url),
        "places": {name: url + path for name, path, _ in _PLACES},
    }
    return json.dumps(members, indent=2).encode() + b"\n"


def _page(url: str) -> bytes:
    places = "\n".join(
        f'<dt><a href="{escape(path)}">{escape(path)}</a></dt><dd>{escape(what)}</dd>'
        for _, path, what in _PLACES
    )
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>touchplate at {escape(url)}</title>
<style>{_STYLE}</style>
<h1>touchplate</h1>
<p>{escape(_WHAT)}</p>
<p>{escape(_HOW)}</p>
<pre><code>{escape(_command(url))}</code></pre>
<dl>
{places}
</dl>
<p><small>touchplate {escape(__version__)}</small></p>
</html>
""".encode()


def _preferred(accept: str) -> str:
    """Give the type that the client likes best; text if it says nothing of use."""
    best, weight = "text/plain", 0.0
    for each in accept.lower().split(",")[:_MAX_RANGES]:
        name, *parameters = (part.strip() for part in each.split(";"))
        stated = (_WEIGHT.fullmatch(parameter) for parameter in parameters)
        found = next((float(match[1]) for match in stated if match), 1.0)
        if name in _TYPES and found > weight:
            best, weight = name, found
    return best
