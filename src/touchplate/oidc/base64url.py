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
    if raw.translate(None, _ALPHABET):
        raise ValueError("not base64url")
    return parse_base64(raw.translate(_FROM_URL) + b"=" * (-len(raw) % 4))


_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")
