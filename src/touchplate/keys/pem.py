"""PEM text of keys, certificates and requests, in the one canonical form (RFC 7468 §3)."""

from binascii import b2a_base64
from typing import Final

_LINE: Final = 64


def encode_pem(label: str, der: bytes) -> bytes:
    """Write one block: 64 columns, line feeds, a final line feed, no headers."""
    text = b2a_base64(der, newline=False)
    lines = b"\n".join([text[start : start + _LINE] for start in range(0, len(text), _LINE)])
    name = label.encode("ascii")
    return b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (name, lines, name)
