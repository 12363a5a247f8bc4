"""Look up one entry of a transparency log by its name or number: the log's HTTP API, version 1.

What comes back is the entry that was asked for, by what the answer says of it; `prove` holds it to
the tree that the log signed.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final, NamedTuple

from touchplate.clients.answer import check_status, malformed
from touchplate.clients.search import FoundEntry
from touchplate.clients.tlog_v1_answer import parse_named_answer
from touchplate.entries.terms import terms
from touchplate.errors import MalformedError, RefusedError, VerificationError
from touchplate.formats.bundle import InclusionProof
from touchplate.formats.checkpoint import Checkpoint, open_checkpoint
from touchplate.formats.entry_name import EntryName, parse_entry_name, tree_of_v1
from touchplate.formats.jsontext import Fields, parse_json
from touchplate.formats.trusted_root import TrustedRoot
from touchplate.merkle.proof import check_inclusion
from touchplate.merkle.tree import leaf_hash
from touchplate.transport.http import Response, Transport

MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024

_JSON: Final = (("Accept", "application/json"),)
_ERROR: Final = "RESPONSE_MALFORMED"
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_UUID: Final = re.compile(r"(?:[0-9a-f]{16})?[0-9a-f]{64}")


class Looked(NamedTuple):
    """An entry, and the proof that the log gave with it."""

    entry: FoundEntry
    proof: InclusionProof


def read_word(word: str) -> int | str | EntryName:
    """Read what names an entry: its number over all trees, its UUID, or TREE:INDEX.

    Raises REQUEST_MALFORMED.
    """
    if _NUMBER.fullmatch(word):
        return int(word)
    return word.lower() if _UUID.fullmatch(word.lower()) else parse_entry_name(word)


class LookupClient(NamedTuple):
    """The log at `url`, asked for single entries."""

    url: str
    transport: Transport

    def find(self, wanted: int | str | EntryName) -> Looked | None:
        """Give the entry, None if the log has none of this name.

        Raises SERVICE_REFUSED, SERVICE_UNAVAILABLE, RESPONSE_MALFORMED.
        """
        base = self.url.rstrip("/") + "/api/v1/log"
        if isinstance(wanted, str):
            url = f"{base}/entries/{wanted}"
        else:
            number = wanted if isinstance(wanted, int) else self._number(wanted, base)
            if number is None:
                return None
            url = f"{base}/entries?logIndex={number}"
        response = self._get(url, expected=(200, 404))
        if response.status == 404:
            return None
        try:
            found = _read(response.body)
        except MalformedError as error:
            raise malformed(url, error) from error
        if not _is(found, wanted):
            raise malformed(url, "another entry than was asked for")
        return found

    def _number(self, wanted: EntryName, url: str) -> int | None:
        """Give an entry's number over all trees: those before its own are counted whole."""
        response = self._get(url)
        try:
            members = parse_json(
                response.body, what="log info", max_bytes=MAX_ANSWER_BYTES, error=_ERROR
            )
            info = Fields(members, error=_ERROR)
            before = 0
            for tree in (*info.objects("inactiveShards"), info):
                size = tree.int64("treeSize")
                if tree.string("treeID") == str(wanted.tree_id):
                    return before + wanted.index if wanted.index < size else None
                before += size
        except MalformedError as error:
            raise malformed(url, error) from error
        return None

    def _get(self, url: str, expected: tuple[int, ...] = (200,)) -> Response:
        response = self.transport.request("GET", url, headers=_JSON, max_bytes=MAX_ANSWER_BYTES)
        if response.status == 501:  # which comes not again for the asking
            raise RefusedError(
                "SERVICE_REFUSED",
                f"{url} answers 501",
                hint="this log's first API is switched off; search by digest instead",
            )
        check_status(response, url, expected=expected)
        return response


def _read(answer: bytes) -> Looked:
    entry_id, entry = parse_named_answer(answer)
    proof = entry.proof
    if proof is None or entry.integrated_time is None:
        raise MalformedError(_ERROR, "an entry without time or inclusion proof")
    leaf = leaf_hash(entry.body).hex()
    if not _UUID.fullmatch(entry_id) or entry_id[-64:] != leaf:
        raise MalformedError(_ERROR, "an entry whose name is not that of its body")
    tree = entry_id[:-64] or f"{tree_of_v1(entry, proof):016x}"
    time = datetime.fromtimestamp(entry.integrated_time, UTC)
    found = FoundEntry(
        tree + leaf,
        entry.log_index,
        proof.log_index,
        time.isoformat().replace("+00:00", "Z"),
        terms(entry.body),
        entry.body,
        proof.hashes,
    )
    return Looked(found, proof)


def _is(found: Looked, wanted: int | str | EntryName) -> bool:
    entry = found.entry
    if isinstance(wanted, int):
        return entry.log_index == wanted
    if isinstance(wanted, str):
        return entry.entry_id.endswith(wanted)
    return entry.name == str(wanted)


def prove(found: Looked, trusted_root: TrustedRoot) -> Checkpoint:
    """Prove that the entry is in a tree that a trusted log signed; give the checkpoint.

    Raises LOG_UNKNOWN, CHECKPOINT_MALFORMED, CHECKPOINT_KEYHINT, CHECKPOINT_SIGNATURE,
    INCLUSION_PROOF_INVALID.
    """
    failure: VerificationError | None = None
    for log in trusted_root.tlogs:
        try:
            verifier = log.note_verifier(v1=True)
            checkpoint = open_checkpoint(found.proof.checkpoint, verifier, v1=True)
        except VerificationError as error:
            failure = failure or error
            continue
        entry = found.entry
        leaf = leaf_hash(entry.body)
        check_inclusion(entry.tree_index, checkpoint.size, leaf, entry.proof, checkpoint.root)
        return checkpoint
    raise failure or VerificationError("LOG_UNKNOWN", "the trusted root lists no log")
