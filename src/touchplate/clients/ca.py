"""Ask a certificate authority for a certificate: Fulcio's HTTP API, by signing request.

The request signs itself with the new key, so no claim of the token has to be guessed for a proof
that we hold it (signing-flow: `fulcio.proto` CreateSigningCertificate).
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from typing import Final

from touchplate.clients.answer import check_status, malformed
from touchplate.clients.request import certificate_request_pem
from touchplate.errors import MalformedError
from touchplate.formats.certificate import Certificate, parse_pem_certificates
from touchplate.formats.jsontext import Fields, parse_json
from touchplate.keys.signer import Signer
from touchplate.transport.http import Transport

MAX_ANSWER_BYTES: Final = 256 * 1024
MAX_CERTIFICATES: Final = 10
REFUSED_HINT: Final = "get a new identity token, from an issuer that this instance accepts"


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """What the authority gave for our key. Who issued it, and to whom, is not checked yet."""

    leaf: Certificate
    chain: tuple[Certificate, ...]


@dataclass(frozen=True, slots=True)
class CaClient:
    """A certificate authority at `url` (its base, without /api/…)."""

    url: str
    transport: Transport

    def issue(self, token: str, key: Signer) -> IssuedCertificate:
        """Give a certificate for `key` and the identity in `token`, with an embedded SCT.

        Raises SERVICE_REFUSED (token or key not accepted), SERVICE_UNAVAILABLE, RESPONSE_MALFORMED.
        """
        url = self.url.rstrip("/") + "/api/v2/signingCert"
        # The field is of protobuf type bytes: PEM goes into base64 a second time.
        request = b64encode(certificate_request_pem(key).encode()).decode()
        response = self.transport.request(
            "POST",
            url,
            body=json.dumps({"certificateSigningRequest": request}).encode(),
            headers=(
                ("Authorization", f"Bearer {token}"),
                ("Content-Type", "application/json"),
                ("Accept", "application/json"),
            ),
            max_bytes=MAX_ANSWER_BYTES,
        )
        check_status(response, url, expected=(200, 201), secret=token, hint=REFUSED_HINT)
        try:
            leaf, *chain = parse_answer(response.body)
        except MalformedError as error:
            raise malformed(url, error) from error
        if leaf.spki != key.public_key.spki:
            raise malformed(url, "a certificate for another key than ours")
        return IssuedCertificate(leaf, tuple(chain))


def parse_answer(body: bytes) -> tuple[Certificate, ...]:
    """Read a SigningCertificate message; leaf first. A detached SCT has no place in a bundle."""
    members = parse_json(
        body, what="certificate answer", max_bytes=MAX_ANSWER_BYTES, error="RESPONSE_MALFORMED"
    )
    answer = Fields(members, error="RESPONSE_MALFORMED")
    if answer.one_of(("signedCertificateEmbeddedSct", "signedCertificateDetachedSct")) is None:
        raise answer.missing("signedCertificateEmbeddedSct")
    chain = answer.require("signedCertificateEmbeddedSct").require("chain").strings("certificates")
    if not 1 <= len(chain) <= MAX_CERTIFICATES:
        raise answer.wrong("certificates", f"1 to {MAX_CERTIFICATES} certificates")
    return tuple(found for text in chain for found in parse_pem_certificates(text))
