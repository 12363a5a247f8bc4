"""DSSE's pre-authentication encoding: the bytes that an envelope's signature is over."""

from typing import Final

IN_TOTO_PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"


def pae(payload_type: str, payload: bytes) -> bytes:
    """`DSSEv1 LENGTH TYPE LENGTH PAYLOAD`; lengths count bytes, not characters."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
