"""Enter a signature into a transparency log: Rekor's HTTP API, version 1 and version 2.

Both give the entry in the form of a bundle. Before that, its body is rebuilt from our own claim and
must be equal, and its inclusion proof must lead to the root that its checkpoint states. Who signed
the checkpoint is for the verification of the whole bundle, which has the trusted root.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from touchplate.clients.answer import check_status, malformed
from touchplate.clients.tlog_v1_answer import parse_answer
from touchplate.entries import dsse_v001, hashedrekord_v001, hashedrekord_v002
from touchplate.entries.claim import Claim
from touchplate.entries.kinds import match
from touchplate.errors import MalformedError, RefusedError, VerificationError
from touchplate.formats.bundle import Envelope, TransparencyLogEntry, parse_entry
from touchplate.formats.checkpoint import parse_checkpoint
from touchplate.formats.note import parse_note
from touchplate.merkle.proof import check_inclusion
from touchplate.merkle.tree import leaf_hash
from touchplate.transport.http import Response, Transport

# A v2 log answers when its next checkpoint is signed and published.
TIMEOUT: Final = timedelta(seconds=60)
MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024

_JSON: Final = (("Content-Type", "application/json"), ("Accept", "application/json"))
_HEX: Final = frozenset("0123456789abcdef")


class TlogClient(Protocol):
    """A log that takes a claim and gives its entry."""

    @property
    def url(self) -> str:
        """The log's base."""

    def add(self, claim: Claim) -> TransparencyLogEntry:
        """Enter the claim; the answer is about this claim and its proof is sound.

        Raises SERVICE_REFUSED, SERVICE_UNAVAILABLE, RESPONSE_MALFORMED, LOG_FROZEN (take another
        log), ENTRY_EXISTS (sign again) and the codes of `entries.match`.
        """


@dataclass(frozen=True, slots=True)
class TlogV1Client:
    """A version 1 log: the entry has an integrated time and the log's promise."""

    url: str
    transport: Transport

    def add(self, claim: Claim) -> TransparencyLogEntry:
        """Enter a hashedrekord 0.0.1, or a dsse 0.0.1 for an envelope."""
        kind = dsse_v001 if isinstance(claim.content, Envelope) else hashedrekord_v001
        url = self.url.rstrip("/") + "/api/v1/log/entries"
        response = _post(self.transport, url, kind.encode_request(claim))
        if response.status == 409:
            url = f"{url}/{_existing(response, url)}"
            response = self.transport.request(
                "GET", url, headers=_JSON[1:], max_bytes=MAX_ANSWER_BYTES
            )
        check_status(response, url, expected=(200, 201))
        try:
            entry = parse_answer(response.body)
        except MalformedError as error:
            raise malformed(url, error) from error
        if entry.promise is None or entry.proof is None:
            raise malformed(url, "an entry without promise or inclusion proof")
        return _checked(entry, claim, entry.proof.log_index, url)


@dataclass(frozen=True, slots=True)
class TlogV2Client:
    """A version 2 log: no time of its own, so the signature needs a timestamp as well."""

    url: str
    transport: Transport

    def add(self, claim: Claim) -> TransparencyLogEntry:
        """Enter a hashedrekord 0.0.2, the one kind that these logs take."""
        url = self.url.rstrip("/") + "/api/v2/log/entries"
        response = _post(self.transport, url, hashedrekord_v002.encode_request(claim))
        if response.status == 405:
            raise RefusedError(
                "LOG_FROZEN",
                f"{self.url} takes no more entries",
                hint="fetch the instance's new signing config: touchplate trust refresh",
            )
        if response.status == 409:
            raise RefusedError("ENTRY_EXISTS", f"{self.url} holds this entry and does not give it")
        check_status(response, url, expected=(200, 201))
        try:
            entry = parse_entry(response.body)
        except MalformedError as error:
            raise malformed(url, error) from error
        return _checked(entry, claim, entry.log_index, url)


def _post(transport: Transport, url: str, body: bytes) -> Response:
    return transport.request(
        "POST", url, body=body, headers=_JSON, timeout=TIMEOUT, max_bytes=MAX_ANSWER_BYTES
    )


def _existing(response: Response, url: str) -> str:
    """Take the entry's UUID out of the Location of a 409, and nothing else of it."""
    uuid = (response.header("Location") or "").rpartition("/")[2].lower()
    if len(uuid) not in (64, 80) or not _HEX.issuperset(uuid):
        raise malformed(url, "409 without the location of the entry")
    return uuid


def _checked(
    entry: TransparencyLogEntry, claim: Claim, index: int, url: str
) -> TransparencyLogEntry:
    """Hold the entry to be about our claim, and included in the tree of its own checkpoint."""
    match(entry, claim)
    if entry.proof is None:
        raise malformed(url, "an entry without inclusion proof")
    try:
        checkpoint = parse_checkpoint(parse_note(entry.proof.checkpoint))
    except MalformedError as error:
        raise malformed(url, error) from error
    try:
        check_inclusion(
            index,
            checkpoint.size,
            leaf_hash(entry.body),
            entry.proof.hashes,
            checkpoint.root,
        )
    except VerificationError as error:
        raise malformed(url, error) from error
    return entry
