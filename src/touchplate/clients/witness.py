"""Have a witness cosign a checkpoint: `add-checkpoint` of C2SP tlog-witness.

One request to one witness. Several of them, in parallel and within a deadline, are in `witnesses`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple

from touchplate.clients.answer import check_status, malformed, reason_of
from touchplate.errors import MalformedError, RefusedError, VerificationError
from touchplate.formats.base64text import base64_text
from touchplate.formats.checkpoint import parse_size
from touchplate.formats.cosignature import Cosignature, Cosigner
from touchplate.formats.note import parse_note
from touchplate.transport.http import Response, Transport

MAX_ANSWER_BYTES: Final = 65_536
MAX_PROOF_HASHES: Final = 63
MAX_AHEAD: Final = timedelta(hours=1)
"""How far a witness's clock may be ahead of ours."""
SIZE_TYPE: Final = "text/x.tlog.size"
_TEXT: Final = (("Content-Type", "text/plain; charset=utf-8"),)


class Stale(NamedTuple):
    """The witness has cosigned another size than the proof begins with."""

    size: int


@dataclass(frozen=True, slots=True)
class WitnessClient:
    """A witness with the submission prefix `url`, and the keys that it cosigns with."""

    url: str
    cosigners: tuple[Cosigner, ...]
    transport: Transport

    def add_checkpoint(
        self, envelope: str, old_size: int, proof: Sequence[bytes], *, now: float, timeout: float
    ) -> tuple[Cosignature, ...] | Stale:
        """Give the cosignatures on this checkpoint, one for each key that cosigned, all verified.

        `proof` leads from `old_size`, which the witness cosigned last, to the checkpoint. `now` is
        Unix seconds: a cosignature without a time, or far ahead of it, is refused. `timeout` is
        seconds for the whole exchange.

        Raises SERVICE_UNAVAILABLE (away, or 429 and 5xx), SERVICE_REFUSED (400, 403, 404),
        CONSISTENCY_PROOF_INVALID (the witness has seen another tree: 422, or 409 without a size),
        RESPONSE_MALFORMED, LIMIT_EXCEEDED, CHECKPOINT_KEYHINT and CHECKPOINT_SIGNATURE.
        """
        if len(proof) > MAX_PROOF_HASHES:
            raise AssertionError("a consistency proof has at most 63 hashes")
        url = self.url.rstrip("/") + "/add-checkpoint"
        hashes = "".join(base64_text(each) + "\n" for each in proof)
        response = self.transport.request(
            "POST",
            url,
            body=f"old {old_size}\n{hashes}\n{envelope}".encode(),
            headers=_TEXT,
            timeout=timedelta(seconds=timeout),
            max_bytes=MAX_ANSWER_BYTES,
        )
        if response.status == 409 and _media_type(response) == SIZE_TYPE:
            return _parse_stale(response, url)
        self._check_status(response, url)
        return self._open(response, url, envelope, now)

    def _check_status(self, response: Response, url: str) -> None:
        reason = reason_of(response.body)
        if response.status in (409, 422):
            # The proof begins where the witness is (else 409 with its size), so it was the tree.
            raise VerificationError(
                "CONSISTENCY_PROOF_INVALID",
                f"{url} has cosigned another tree of this log ({response.status}: {reason})",
                hint="compare the log with the witness's checkpoint before anything is published",
            )
        if response.status in (403, 404):
            raise RefusedError(
                "SERVICE_REFUSED",
                f"{url} does not know the log or its key ({response.status}: {reason})",
                hint="have the witness's operator add the log's verifier key",
            )
        check_status(response, url)

    def _open(
        self, response: Response, url: str, envelope: str, now: float
    ) -> tuple[Cosignature, ...]:
        """Prove the lines of the answer over our own text, whatever else the witness sent."""
        sent = parse_note(envelope)
        try:
            # An empty line in the answer would make what is before it part of the text.
            note = parse_note(f"{sent.text}\n{response.body.decode()}")
        except (MalformedError, UnicodeDecodeError) as error:
            raise malformed(url, error) from error
        if note.text != sent.text:
            raise malformed(url, "more than signature lines")
        found = []
        for cosigner in self.cosigners:
            lines = cosigner.find(note)
            if lines:
                found.append(max(lines, key=lambda line: line.time))
        if not found:
            raise VerificationError(
                "CHECKPOINT_KEYHINT",
                f"{url} cosigned with none of the keys that the policy has for it",
                expected=", ".join(
                    f"{each.name} with {each.hint.hex()}" for each in self.cosigners
                ),
                found=", ".join(f"{s.name} with {s.key_hint.hex()}" for s in note.signatures[:8]),
            )
        for each in found:
            if not 0 < each.time <= now + MAX_AHEAD.total_seconds():
                raise malformed(url, f"a cosignature of the time {each.time}, which is not now")
        return tuple(found)


def _parse_stale(response: Response, url: str) -> Stale:
    text = response.body.decode("ascii", "replace")
    try:
        return Stale(parse_size(text.removesuffix("\n")))
    except MalformedError as error:
        raise malformed(url, error) from error


def _media_type(response: Response) -> str:
    return (response.header("Content-Type") or "").partition(";")[0].strip().lower()
