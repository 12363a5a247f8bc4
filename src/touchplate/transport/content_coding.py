"""Compressed answers (RFC 9110 §12.5.3): whether a client takes gzip, and gzip itself."""

import gzip
import re
from typing import Final

VARY: Final = ("vary", "Accept-Encoding")

# What is shorter than this gains nothing worth the header.
MIN_BYTES: Final = 512
# The higher levels take three times as long for a twentieth of the size.
LEVEL: Final = 1

_MAX_CODINGS: Final = 32
_WEIGHT: Final = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


def accepts_gzip(accept_encoding: str) -> bool:
    """Say whether this header's client takes gzip, and likes it no less than plain bytes.

    Without the header, or where it is not what the RFC says, the answer is no.
    """
    weights: dict[str, float] = {}
    for item in accept_encoding.split(",", _MAX_CODINGS)[:_MAX_CODINGS]:
        coding, *parameters = item.split(";")
        weight = 1.0
        for parameter in parameters:
            name, _, value = parameter.strip().partition("=")
            if name.lower() != "q" or not _WEIGHT.fullmatch(value):
                return False
            weight = float(value)
        weights[coding.strip().lower()] = weight
    other = weights.get("*", 0.0)
    wanted = max(weights.get("gzip", other), weights.get("x-gzip", 0.0))
    return wanted > 0 and wanted >= weights.get("identity", 0.0)


def gzip_encode(data: bytes) -> bytes:
    """Compress; equal data gives equal bytes, without a time in it."""
    return gzip.compress(data, LEVEL, mtime=0)
