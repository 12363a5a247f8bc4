"""Answers of API v2, protobuf JSON (rekor-tiles): the entry with its proof, and errors.

The entry is put together from bytes: it is answered thousands of times a second, and all that
changes in it is numbers and base64.
"""

import json
from binascii import b2a_base64
from functools import partial
from typing import Final

from touchplate.entries.admission import Admitted
from touchplate.tilelog.bundle import record_data
from touchplate.tilelog.entry import Receipt, SignedCheckpoint
from touchplate.tlog.key import LogKey, encode_base64
from touchplate.tlog.v2_fault import FROZEN, FROZEN_TEXT
from touchplate.transport.asgi import Response
from touchplate.transport.fault import Fault

# As `encode_base64`, for whom calls it for each of many.
_in_base64: Final = partial(b2a_base64, newline=False)

_ENTRY: Final = (
    b'{"logIndex":"%d","logId":{"keyId":"%b"},"kindVersion":{"kind":"%b","version":"%b"},'
    b'"integratedTime":"0","inclusionPromise":null,"inclusionProof":{"logIndex":"%d",%b,'
    b'"hashes":[%b]},"canonicalizedBody":"%b"}'
)
_CHECKPOINT: Final = b'"rootHash":"%b","treeSize":"%d","checkpoint":{"envelope":%b}'


class EntryEncoder:
    """Writes the 201 answer. One thread uses it: it keeps the last checkpoint's text."""

    def __init__(self, key: LogKey) -> None:
        self._key = key
        self._log_id = encode_base64(key.log_id)
        self._checkpoint: SignedCheckpoint | None = None
        self._tree = b""

    def of(self, key: LogKey) -> "EntryEncoder":
        """Give the encoder of entries in the log with this key: this one, if it is its log."""
        return self if key is self._key else EntryEncoder(key)

    def encode(self, admitted: Admitted, receipt: Receipt) -> bytes:
        """Give the TransparencyLogEntry as JSON."""
        if receipt.checkpoint is not self._checkpoint:
            self._checkpoint = receipt.checkpoint
            self._tree = _encode_tree(receipt.checkpoint)
        hashes = b""
        if receipt.proof:
            hashes = b'"%b"' % b'","'.join(map(_in_base64, receipt.proof))
        return _ENTRY % (
            receipt.index,
            self._log_id,
            admitted.kind.encode(),
            admitted.version.encode(),
            receipt.index,
            self._tree,
            hashes,
            encode_base64(record_data(receipt.record)),
        )


def _encode_tree(checkpoint: SignedCheckpoint) -> bytes:
    envelope = json.dumps(checkpoint.envelope, ensure_ascii=False).encode()
    return _CHECKPOINT % (encode_base64(checkpoint.root), checkpoint.size, envelope)


def answer_fault(fault: Fault) -> Response:
    """Answer as grpc-gateway does, `code` is the gRPC code; a frozen log answers in plain text."""
    if fault is FROZEN:
        text = f"{FROZEN_TEXT}\n".encode()
        return Response(fault.status, text, "text/plain; charset=utf-8", fault.headers)
    body = {"code": fault.code, "message": fault.message, "details": []}
    return Response(fault.status, json.dumps(body).encode(), headers=fault.headers)
