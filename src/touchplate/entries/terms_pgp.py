"""The e-mail addresses of an OpenPGP key, which the v1 index finds old entries by (RFC 9580).

Only user id packets (§5.11) are read. Nothing about the key is checked.
"""

import re
from collections.abc import Iterator
from typing import Final

from touchplate.formats.base64text import parse_base64

MAX_PACKETS: Final = 1024

_ARMOR: Final = re.compile(
    rb"-----BEGIN PGP PUBLIC KEY BLOCK-----[ \t]*\r?\n(?:[^\r\n]+: [^\r\n]*\r?\n)*[ \t]*\r?\n"
    rb"([A-Za-z0-9+/=\s]*?)(?:=[A-Za-z0-9+/]{4}\s*)?-----END"
)
_ADDRESS: Final = re.compile(r"<([^<>\s]{1,256}@[^<>\s]{1,256})>|([^<>\s]{1,256}@[^<>\s]{1,256})")
_USER_ID: Final = 13


def read_pgp_addresses(key: bytes) -> tuple[str, ...]:
    """Give the address in each user id of a key, armored or not. Raises ValueError."""
    armored = _ARMOR.search(key)
    packets = key if armored is None else parse_base64(b"".join(armored[1].split()))
    found = []
    for tag, content in _packets(packets):
        if tag == _USER_ID:
            address = _ADDRESS.search(content.decode()[-600:])
            if address is not None:
                found.append(address[1] or address[2])
    return tuple(dict.fromkeys(found))


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Cut into packets (RFC 9580 §4.2): tag and content; partial lengths do not occur in keys."""
    at = 0
    for _ in range(MAX_PACKETS):
        if at + 2 > len(data):
            return
        head, at = data[at], at + 1
        if not head & 0x80:
            raise ValueError("not an OpenPGP packet")
        if head & 0x40:
            tag, octets = head & 0x3F, data[at]
            at += 1
            if octets < 192:
                size = octets
            elif octets < 224:
                size = (octets - 192 << 8) + data[at] + 192
                at += 1
            elif octets == 255:
                size = int.from_bytes(data[at : at + 4], "big")
                at += 4
            else:
                raise ValueError("a partial length")
        else:
            tag, width = head >> 2 & 0x0F, (1, 2, 4, 0)[head & 3]
            size = int.from_bytes(data[at : at + width], "big") if width else len(data) - at
            at += width
        yield tag, data[at : at + size]
        at += size
