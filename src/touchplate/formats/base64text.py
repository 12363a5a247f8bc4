"""Base64 (RFC 4648 §4) with one text for each number of bytes: padded, no other characters.

The standard library's strict mode, before Python 3.13, lets padding follow a complete group. The
bits after the last byte are not looked at, since deployed writers differ there: compare bytes,
never texts.
"""

from binascii import a2b_base64, b2a_base64


def parse_base64(text: str | bytes) -> bytes:
    """Read standard base64, or raise ValueError."""
    data = a2b_base64(text, strict_mode=True)
    if len(text) != (len(data) + 2) // 3 * 4:
        raise ValueError("base64 with too much padding")
    return data


def parse_any_base64(text: str) -> bytes:
    """Read base64 as protobuf JSON allows it, or raise ValueError.

    Standard or URL-safe alphabet, padded or not.
    """
    try:
        return parse_base64(text)
    except ValueError:
        standard = text.replace("-", "+").replace("_", "/")
        padding = "" if text.endswith("=") else "=" * (-len(text) % 4)
        return parse_base64(standard + padding)


def base64_text(data: bytes) -> str:
    """Give bytes as standard base64, padded, on one line."""
    return b2a_base64(data, newline=False).decode()
