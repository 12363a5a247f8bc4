"""base64url without padding, as JOSE uses it (RFC 7515 §2)."""

import binascii

from touchplate.formats.base64text import parse_base64


def encode(data: bytes) -> str:
    """Give the text, without padding."""
    text = binascii.b2a_base64(data, newline=False)
    return text.rstrip(b"=").translate(_TO_URL).decode()


def decode(text: str) -> bytes:
    """Read the text; ValueError for padding or any character outside the alphabet."""
    raw = text.encode("ascii")
    # The reader of base64 refuses all else that is outside.
    if b"+" in raw or b"/" in raw or b"=" in raw:
        raise ValueError("not base64url")
    return parse_base64(raw.translate(_FROM_URL) + _PADDING[len(raw) % 4])


_PADDING = (b"", b"===", b"==", b"=")
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")
