"""gRPC of the transparency log: `dev.sigstore.rekor.v2.Rekor`, of the active tree.

A call is answered as the same request is over HTTP (`routes`), by the same checks and the same
table of faults. It holds its thread until the entry is in the log. Imported only where gRPC is to
be served.
"""

from concurrent.futures import CancelledError
from typing import Final

import grpc
from google.protobuf.empty_pb2 import Empty

from touchplate.entries import dsse_v002, hashedrekord_v002
from touchplate.entries.admission import Admitted
from touchplate.entries.create_entry import admit
from touchplate.entries.protojson import Verifier
from touchplate.errors import MalformedError, RefusedError, TouchplateError, UnavailableError
from touchplate.keys.algorithms import NAMES
from touchplate.protobuf.google_api_pb2 import HttpBody
from touchplate.protobuf.sigstore_rekor_v1_pb2 import TransparencyLogEntry
from touchplate.protobuf.sigstore_rekor_v2_pb2 import (
    CreateEntryRequest,
    EntryBundleRequest,
    TileRequest,
)
from touchplate.protobuf.sigstore_rekor_v2_pb2 import Verifier as VerifierMessage
from touchplate.tilelog.bundle import record_data
from touchplate.tilelog.entry import Receipt
from touchplate.tlog.log import TransparencyLog
from touchplate.tlog.settings import TlogSettings
from touchplate.tlog.shards import Shards
from touchplate.tlog.static import ENTRIES, answer_checkpoint, answer_tile
from touchplate.tlog.v2_fault import (
    FROZEN,
    FROZEN_TEXT,
    AnyRequest,
    conflict,
    not_admitted,
    not_appended,
    unreadable,
)
from touchplate.transport.asgi import Response
from touchplate.transport.fault import CANCELLED, DEADLINE_EXCEEDED, NOT_FOUND, Fault
from touchplate.transport.grpc import FaultError, Method, TakeRequest, service_handler

SERVICE: Final = "dev.sigstore.rekor.v2.Rekor"

# For a call that states no deadline; upstream's is the same.
MAX_SECONDS: Final = 20.0

_FROZEN_METADATA: Final = (
    ("x-http-code", str(FROZEN.status)),
    ("x-http-error-message", FROZEN_TEXT),
)


def rekor_handler(
    shards: Shards, take_request: TakeRequest | None = None
) -> grpc.GenericRpcHandler:
    """Give the service; any number of threads may run its calls. `take_request` counts each."""
    calls = _Rekor(shards)
    methods = {
        "CreateEntry": Method(CreateEntryRequest, calls.create_entry, writes=True),
        "GetTile": Method(TileRequest, calls.get_tile),
        "GetEntryBundle": Method(EntryBundleRequest, calls.get_entry_bundle),
        "GetCheckpoint": Method(Empty, calls.get_checkpoint),
    }
    return service_handler(SERVICE, methods, _fault_of, take_request)


def _fault_of(error: TouchplateError) -> Fault | None:
    """Say what a failure means that no call has translated: the log's store may be away."""
    return not_appended(error) if isinstance(error, UnavailableError) else None


def _failed(fault: Fault) -> FaultError:
    return FaultError(fault, _FROZEN_METADATA if fault is FROZEN else ())


class _Rekor:
    """The calls, of whichever tree is active."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        # The tree that was found frozen, and the last one; until another comes after it.
        self._frozen: TransparencyLog | None = None

    def create_entry(
        self, message: CreateEntryRequest, context: grpc.ServicerContext
    ) -> TransparencyLogEntry:
        """Append an entry: what POST /api/v2/log/entries does."""
        tree = self._shards.active
        if self._frozen is tree:
            raise _failed(FROZEN)
        settings = tree.settings
        try:
            request = read_request(message, settings)
        except MalformedError as error:
            raise FaultError(unreadable(error)) from error
        try:
            admitted = admit(request, settings.algorithms)
        except TouchplateError as error:
            raise FaultError(not_admitted(request, error)) from error
        tree, receipt = self._append(tree, admitted, context)
        tree.note_appended(admitted, receipt)
        if receipt.duplicate and settings.duplicate_is_conflict:
            raise FaultError(conflict(receipt.index))
        context.send_initial_metadata((("x-http-code", "201"),))
        return _entry(tree, admitted, receipt)

    def get_checkpoint(self, _: Empty, _context: grpc.ServicerContext) -> HttpBody:
        """Give the checkpoint."""
        return _file(answer_checkpoint(self._shards.active))

    def get_tile(self, message: TileRequest, _: grpc.ServicerContext) -> HttpBody:
        """Give a tile."""
        return _file(answer_tile(self._shards.active, f"{message.L}/{message.N}"))

    def get_entry_bundle(self, message: EntryBundleRequest, _: grpc.ServicerContext) -> HttpBody:
        """Give an entry bundle."""
        return _file(answer_tile(self._shards.active, f"{ENTRIES}/{message.N}"))

    def _append(
        self, tree: TransparencyLog, admitted: Admitted, context: grpc.ServicerContext
    ) -> tuple[TransparencyLog, Receipt]:
        """Append, and wait no longer than the caller does; the entry may be logged all the same.

        An entry that finds its tree frozen goes to the one that comes after it, if there is one.
        """
        try:
            submission = tree.submission(admitted)
            while True:
                left = context.time_remaining()
                try:
                    future = tree.tiles.append(submission)
                    context.add_callback(future.cancel)
                    seconds = MAX_SECONDS if left is None else min(left, MAX_SECONDS)
                    return tree, future.result(seconds)
                except RefusedError as error:
                    if error.code != "LOG_FROZEN" or not self._shards.follow(tree):
                        raise
                    tree = self._shards.active
        except TimeoutError as error:
            text = "the log did not answer in time; try again, the entry may be in it"
            raise FaultError(Fault(DEADLINE_EXCEEDED, 504, text)) from error
        except CancelledError as error:
            raise FaultError(Fault(CANCELLED, 499, "the caller gave up")) from error
        except TouchplateError as error:
            tree.note_failure(error)
            fault = not_appended(error)
            if fault is FROZEN:
                self._frozen = tree
            raise _failed(fault) from error


def read_request(message: CreateEntryRequest, settings: TlogSettings) -> AnyRequest:
    """Give what the message asks for, as `create_entry.parse_request` does for JSON."""
    kind = message.WhichOneof("spec")
    if kind == "hashed_rekord_request_v002":
        entry = message.hashed_rekord_request_v002
        verifier = _verifier(entry.signature.verifier)
        return hashedrekord_v002.Request(entry.digest, entry.signature.content, *verifier)
    if kind == "dsse_request_v002" and settings.accept_dsse_v002:
        asked = message.dsse_request_v002
        for name, count in (
            ("signatures", len(asked.envelope.signatures)),
            ("verifiers", len(asked.verifiers)),
        ):
            if not 1 <= count <= dsse_v002.MAX_SIGNATURES:
                text = f"{name} is not as it should be"
                expected = f"1 to {dsse_v002.MAX_SIGNATURES} of them"
                raise MalformedError("REQUEST_MALFORMED", text, expected=expected, found=str(count))
        return dsse_v002.Request(
            asked.envelope.payload,
            asked.envelope.payloadType,
            tuple(each.sig for each in asked.envelope.signatures),
            tuple(_verifier(each) for each in asked.verifiers),
        )
    expected = "either hashedrekord or dsse" if settings.accept_dsse_v002 else "hashedrekord"
    raise MalformedError("REQUEST_MALFORMED", f"invalid type, must be {expected}")


def _verifier(message: VerifierMessage) -> Verifier:
    is_certificate = message.WhichOneof("verifier") == "x509_certificate"
    raw = message.x509_certificate if is_certificate else message.public_key
    return Verifier(raw.raw_bytes, is_certificate, NAMES.get(message.key_details, ""))


def _entry(tree: TransparencyLog, admitted: Admitted, receipt: Receipt) -> TransparencyLogEntry:
    checkpoint = receipt.checkpoint
    entry = TransparencyLogEntry(
        log_index=receipt.index, canonicalized_body=record_data(receipt.record)
    )
    entry.log_id.key_id = tree.key.log_id
    entry.kind_version.kind = admitted.kind
    entry.kind_version.version = admitted.version
    proof = entry.inclusion_proof
    proof.log_index = receipt.index
    proof.root_hash = checkpoint.root
    proof.tree_size = checkpoint.size
    proof.hashes.extend(receipt.proof)
    proof.checkpoint.envelope = checkpoint.envelope
    return entry


def _file(response: Response) -> HttpBody:
    """Give the file that HTTP would answer with."""
    if response.status == 404:
        raise FaultError(Fault(NOT_FOUND, 404, "there is no such file"))
    return HttpBody(content_type=response.content_type, data=response.body)
