"""Key URIs as text: the scheme, and what of one may be shown."""

import re
from typing import Final

HIDDEN: Final = "…"

# RFC 7512 §2.4: pin-value is the PIN itself. A password before a host is no part of any of our
# schemes; who writes one there is not to read it in a log.
_PIN: Final = re.compile(r"(pin-value=)[^&;#]*", re.IGNORECASE)
_PASSWORD: Final = re.compile(r"(//[^/@?#]*:)[^/@?#]*(@)")


def shown_key_uri(uri: str) -> str:
    """Give the URI without the PIN or password that may be in it."""
    return _PASSWORD.sub(rf"\1{HIDDEN}\2", _PIN.sub(rf"\1{HIDDEN}", uri))


def has_secret(uri: str) -> bool:
    """Say whether there is a secret in the URI."""
    return shown_key_uri(uri) != uri


def scheme_of(uri: str) -> str:
    """Give what stands before the first colon; empty if there is none."""
    scheme, colon, _ = uri.partition(":")
    return scheme if colon else ""
