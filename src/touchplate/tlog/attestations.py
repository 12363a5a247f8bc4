"""Payloads of `intoto` entries, kept beside the log: the leaf holds only their hash.

Upstream's option, off by default. What is kept is no part of the tree: it is written after the
entry was answered, may be missing, and is held against the hash in the leaf when it is read.
"""

import logging
from hashlib import sha256
from typing import Final

from touchplate.entries.body import parse_body
from touchplate.errors import TouchplateError
from touchplate.storage.objects import ObjectStore
from touchplate.tilelog.bundle import record_data
from touchplate.tlog.shards import Found

_PREFIX: Final = "tlog/attestations/sha256/"
# All leaves of the kind begin so, whatever their version.
_INTOTO: Final = b',"kind":"intoto",'
_HEAD: Final = 64

_logger = logging.getLogger(__name__)


class Attestations:
    """Keeps payloads in an object store, named by their hash. Any thread may call the methods."""

    def __init__(self, objects: ObjectStore, max_bytes: int) -> None:
        """Take the store, and the size above which a payload is not kept."""
        self._objects = objects
        self._max_bytes = max_bytes

    def keep(self, payload: bytes) -> None:
        """Store a payload, if it is not too large.

        A failure of the store is only told to the operator: the entry was answered already.
        """
        if not payload or len(payload) > self._max_bytes:
            return
        try:
            self._objects.put(_PREFIX + sha256(payload).hexdigest(), payload)
        except TouchplateError as error:
            _logger.warning("an attestation could not be kept: %s: %s", error.code, error)

    def find(self, found: Found) -> bytes | None:
        """Give the payload of an entry, or None: of another kind, not kept, or not readable now."""
        body = record_data(found.receipt.record)
        if _INTOTO not in body[:_HEAD]:
            return None
        try:
            digest = parse_body(body).spec.require("content").require("payloadHash").string("value")
            payload = self._objects.get(_PREFIX + bytes.fromhex(digest).hex())
        except (TouchplateError, ValueError) as error:
            _logger.warning("the attestation of %s cannot be read: %s", found.entry_id, error)
            return None
        if payload is not None and sha256(payload).hexdigest() != digest.lower():
            _logger.warning("the attestation of %s is not the one in its leaf", found.entry_id)
            return None
        return payload


def none_kept(_: Found) -> None:
    """Say that nothing is kept beside any entry."""
