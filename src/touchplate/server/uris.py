"""Where state rests, said so that anybody may read it: a storage URI without its secrets."""

import re
from typing import Final
from urllib.parse import urlsplit, urlunsplit

_SECRETS: Final = re.compile("pass|secret|token|key|credential", re.IGNORECASE)
HIDDEN: Final = "…"


def shown(uri: str) -> str:
    """Give the URI with its password, and what looks like one in its query, left out."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return f"{uri.partition(':')[0][:20]}:{HIDDEN}"
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    query = "&".join(map(_hide, parts.query.split("&")))
    netloc = f"{name}{colon and ':' + HIDDEN}{at}{host}"
    return urlunsplit((parts.scheme, netloc, parts.path, query, ""))


def _hide(word: str) -> str:
    key, _, _ = word.partition("=")
    return f"{key}={HIDDEN}" if _SECRETS.search(key) else word


def is_secret(uri: str | None) -> bool:
    """Say whether there is a secret in the URI."""
    return uri is not None and HIDDEN in shown(uri)
