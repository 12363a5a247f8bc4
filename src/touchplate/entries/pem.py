"""PEM as the v1 log reads it: leniently (RFC 7468). What it writes is `keys.pem`.

A v1 leaf holds the PEM text itself, so its exact bytes decide the leaf hash.
"""

from typing import Final

from touchplate.errors import MalformedError
from touchplate.formats.base64text import parse_base64

# A chain of certificates that verifies an entry has at most this many blocks.
MAX_BLOCKS: Final = 10

_BEGIN: Final = b"-----BEGIN "
_END: Final = b"-----END "
_DASHES: Final = b"-----"


def parse_pem(text: bytes, *, error: str) -> tuple[tuple[str, bytes], ...]:
    """Read 1 to 10 blocks as (label, DER).

    White space, CRLF, header lines and text before a block are dropped; text after the last block
    is not allowed. Raises MalformedError with the code `error`.
    """
    blocks: list[tuple[str, bytes]] = []
    rest = text.strip()
    while rest:
        if len(blocks) == MAX_BLOCKS:
            raise MalformedError(error, f"PEM holds more than {MAX_BLOCKS} blocks")
        _, begin, after = rest.partition(_BEGIN)
        label, dashes, after = after.partition(_DASHES)
        content, end, after = after.partition(_END + label + _DASHES)
        if not (begin and dashes and end) or not label.isascii():
            raise MalformedError(error, "PEM block is missing or incomplete")
        blocks.append((label.decode("ascii"), _decode(content, error)))
        rest = after.strip()
    if not blocks:
        raise MalformedError(error, "PEM text is empty")
    return tuple(blocks)


def _decode(content: bytes, error: str) -> bytes:
    """Read the lines between BEGIN and END; headers (RFC 1421) end with an empty line."""
    lines = content.split()
    if b":" in content:
        lines = content.replace(b"\r\n", b"\n").partition(b"\n\n")[2].split()
    try:
        der = parse_base64(b"".join(lines))
    except ValueError as problem:
        raise MalformedError(error, f"PEM block is not base64: {problem}") from problem
    if not der:
        raise MalformedError(error, "PEM block is empty")
    return der
