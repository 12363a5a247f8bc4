"""PEM text of keys, certificates and requests, in the one canonical form (RFC 7468 §3)."""

from binascii import b2a_base64
from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

_LINE: Final = 64


def encode_pem(label: str, der: bytes) -> bytes:
    """Write one block: 64 columns, line feeds, a final line feed, no headers."""
    return frame_pem(label, b2a_base64(der, newline=False))


def frame_pem(label: str, text: bytes) -> bytes:
    """Write one block as `encode_pem`, of what is base64 already and as it writes it."""
    lines = b"\n".join(_cutter(len(text))(text)) if len(text) > _LINE else text
    name = label.encode("ascii")
    return b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (name, lines, name)


@lru_cache(maxsize=32)
def _cutter(size: int) -> Callable[[bytes], tuple[bytes, ...]]:
    """Give what cuts a text of this size, more than a line, into lines, in one call."""
    cutter: Any = itemgetter(*[slice(start, start + _LINE) for start in range(0, size, _LINE)])
    cut: Callable[[bytes], tuple[bytes, ...]] = cutter
    return cut
