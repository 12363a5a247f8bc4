"""Search a transparency log through an instance's index, and prove what it answers.

The index is not trusted: it may leave entries out. What it answers can be proven, each row by the
entry's body, its inclusion proof and the checkpoint that the log signed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from touchplate.clients.answer import check_status, malformed
from touchplate.entries.conditions import Conditions
from touchplate.entries.terms import terms
from touchplate.entries.terms_found import EntryTerms
from touchplate.errors import MalformedError, VerificationError
from touchplate.formats.checkpoint import Checkpoint, open_checkpoint
from touchplate.formats.jsontext import Fields, parse_json
from touchplate.formats.limits import MAX_PROOF_HASHES
from touchplate.formats.trusted_root import TrustedRoot
from touchplate.merkle.proof import check_inclusion
from touchplate.merkle.tree import leaf_hash
from touchplate.transport.http import Transport

PATH: Final = "/api/search"
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
MAX_ROWS: Final = 100  # of one page
MAX_EMPTY_PAGES: Final = 1000

_ERROR: Final = "RESPONSE_MALFORMED"
_JSON: Final = (("Accept", "application/json"),)
_HASH_DIGITS: Final = 64


class FoundEntry(NamedTuple):
    """One entry of an answer. Nothing in it is proven unless `Prover` made it."""

    entry_id: str
    log_index: int  # over all trees
    tree_index: int
    integrated_time: str  # the server's word, also in what is proven
    terms: EntryTerms
    body: bytes  # empty if proofs were not asked for
    proof: tuple[bytes, ...]

    @property
    def name(self) -> str:
        """The entry's tree and its index there, as `formats.entry_name` has it."""
        return f"{self.entry_id[:16]}:{self.tree_index}"


class FoundPage(NamedTuple):
    """One page of an answer."""

    entries: tuple[FoundEntry, ...]
    checkpoint: str  # empty if proofs were not asked for
    cursor: str
    index: Any  # how far the index is, as the server says it


class SearchClient(NamedTuple):
    """The search of the instance at `url`."""

    url: str
    transport: Transport

    def pages(
        self, fields: Sequence[tuple[str, str]], limit: int, *, proofs: bool
    ) -> Iterator[FoundPage]:
        """Give pages until `limit` entries were given or there are no more.

        `fields` are conditions as `entries.conditions` reads them. Raises SERVICE_REFUSED,
        SERVICE_UNAVAILABLE, RESPONSE_MALFORMED.
        """
        cursor, empty = "", 0
        while limit > 0:
            page = self._page(fields, cursor, min(limit, MAX_ROWS), proofs=proofs)
            yield page
            limit -= len(page.entries)
            empty = 0 if page.entries else empty + 1
            if page.cursor in ("", cursor) or empty > MAX_EMPTY_PAGES:
                return
            cursor = page.cursor

    def _page(
        self, fields: Sequence[tuple[str, str]], cursor: str, limit: int, *, proofs: bool
    ) -> FoundPage:
        url = self.url.rstrip("/") + PATH
        asked = [*fields, ("limit", str(limit))]
        if cursor:
            asked.append(("cursor", cursor))
        if proofs:
            asked.append(("proofs", "true"))
        response = self.transport.request(
            "GET", f"{url}?{urlencode(asked)}", headers=_JSON, max_bytes=MAX_ANSWER_BYTES
        )
        check_status(response, url, hint="only a touchplate instance with an index can be searched")
        try:
            return parse_page(response.body, proofs=proofs, limit=limit)
        except MalformedError as error:
            raise malformed(url, error) from error


def parse_page(data: bytes, *, proofs: bool, limit: int) -> FoundPage:
    """Read an answer (RESPONSE_MALFORMED)."""
    members = parse_json(
        data, what="search answer", max_bytes=MAX_ANSWER_BYTES, error=_ERROR, max_values=2_000_000
    )
    answer = Fields(members, error=_ERROR)
    rows = answer.objects("rows")
    if len(rows) > limit:
        raise answer.wrong("rows", f"at most {limit} rows")
    checkpoint = answer.string("checkpoint")
    if proofs and rows and not checkpoint:
        raise answer.missing("checkpoint")
    return FoundPage(
        tuple(_entry(row, proofs=proofs) for row in rows),
        checkpoint,
        answer.string("next"),
        answer.value("index"),
    )


def _entry(row: Fields, *, proofs: bool) -> FoundEntry:
    found = EntryTerms(
        kind=row.string("kind"),
        version=row.string("version"),
        digests=row.strings("digests"),
        identities=row.strings("identities"),
        issuers=row.strings("issuers"),
        keys=row.strings("keys"),
        extensions=tuple(
            (each.int64("number"), each.string("value")) for each in row.objects("extensions")
        ),
    )
    proof = row.strings("proof")
    if len(proof) > MAX_PROOF_HASHES:
        raise row.wrong("proof", f"at most {MAX_PROOF_HASHES} hashes")
    body = row.bytes("body")
    if proofs and not body:
        raise row.missing("body")
    return FoundEntry(
        row.string("entryId"),
        _natural(row, "logIndex"),
        _natural(row, "treeIndex"),
        row.string("integratedTime"),
        found,
        body,
        tuple(_hash(row, text) for text in proof),
    )


def _natural(row: Fields, name: str) -> int:
    number = row.int64(name)
    if number < 0 or not row.has(name):
        raise row.wrong(name, "a number that is not negative")
    return number


def _hash(row: Fields, text: str) -> bytes:
    try:
        if len(text) == _HASH_DIGITS:
            return bytes.fromhex(text)
    except ValueError:
        pass
    raise row.wrong("proof", "hashes of 64 hex digits")


class Prover:
    """Proves pages with the keys of a trusted root."""

    def __init__(self, trusted_root: TrustedRoot, conditions: Conditions) -> None:
        self._logs = trusted_root.tlogs
        self._conditions = conditions

    def prove(self, page: FoundPage) -> tuple[tuple[FoundEntry, ...], Checkpoint | None]:
        """Give the page's entries as their bodies say them, and the checkpoint that they are in.

        Each body is in the tree of a checkpoint that a trusted log signed, and meets the
        conditions, those of time excepted: no proof speaks of it. Raises CHECKPOINT_KEYHINT,
        CHECKPOINT_SIGNATURE, INCLUSION_PROOF_INVALID, ENTRY_DIGEST_MISMATCH (the entry is another
        one than was asked for).
        """
        if not page.entries:
            return (), None
        checkpoint = self._open(page.checkpoint)
        return tuple(self._prove(entry, checkpoint) for entry in page.entries), checkpoint

    def _open(self, envelope: str) -> Checkpoint:
        failure: VerificationError | None = None
        for log in self._logs:
            try:
                return open_checkpoint(envelope, log.note_verifier(v1=False), v1=False)
            except VerificationError as error:
                failure = failure or error
        raise failure or VerificationError("LOG_UNKNOWN", "the trusted root lists no log")

    def _prove(self, entry: FoundEntry, checkpoint: Checkpoint) -> FoundEntry:
        leaf = leaf_hash(entry.body)
        check_inclusion(entry.tree_index, checkpoint.size, leaf, entry.proof, checkpoint.root)
        found = terms(entry.body)
        if not self._conditions.matches(found):
            raise VerificationError(
                "ENTRY_DIGEST_MISMATCH",
                f"the answer holds entry {entry.tree_index}, which does not meet the conditions",
            )
        # Tree ids are no part of what is signed; the leaf hash is.
        return entry._replace(terms=found, entry_id=f"{entry.entry_id[:16]}{leaf.hex()}")
