"""Ask a timestamp authority when a signature existed (RFC 3161 §2.4, §3.4)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from touchplate.clients.answer import check_status, malformed
from touchplate.errors import MalformedError
from touchplate.formats.timestamp import TimestampToken, parse_timestamp_response
from touchplate.formats.timestamp_request import TimestampRequest, encode_timestamp_request
from touchplate.transport.http import Transport

MAX_ANSWER_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A whole response as it was sent, which is what a bundle holds, and the token in it."""

    response: bytes
    token: TimestampToken


@dataclass(frozen=True, slots=True)
class TsaClient:
    """A timestamp authority; `url` is the whole address that takes requests."""

    url: str
    transport: Transport

    def stamp(self, signature: bytes) -> Timestamp:
        """Give a timestamp over `signature` that answers this request and no other.

        Raises SERVICE_REFUSED, SERVICE_UNAVAILABLE, RESPONSE_MALFORMED (not granted, or for another
        imprint or nonce). Whether a trusted authority signed it is not checked yet.
        """
        imprint, nonce = sha256(signature).digest(), secrets.randbits(63) | 1
        # With certificates: a trusted root may leave the authority's leaf to the token.
        request = TimestampRequest("sha256", imprint, nonce=nonce, wants_certificates=True)
        response = self.transport.request(
            "POST",
            self.url,
            body=encode_timestamp_request(request),
            headers=(
                ("Content-Type", "application/timestamp-query"),
                ("Accept", "application/timestamp-reply"),
            ),
            max_bytes=MAX_ANSWER_BYTES,
        )
        check_status(response, self.url, expected=(200, 201))
        try:
            answer = parse_timestamp_response(response.body)
        except MalformedError as error:
            raise malformed(self.url, error) from error
        token = answer.token
        if token is None:
            raise malformed(self.url, f"no timestamp, status {answer.status}")
        if (token.imprint_algorithm, token.imprint) != ("sha256", imprint):
            raise malformed(self.url, "a timestamp over something else than our signature")
        if token.nonce != nonce:
            raise malformed(self.url, "a timestamp with another nonce than ours")
        return Timestamp(response.body, token)
