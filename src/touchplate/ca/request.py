"""What clients ask for, in the JSON of Fulcio v2 and v1 (protobuf JSON through grpc-gateway).

Field names come in lowerCamelCase or snake_case, unknown fields are passed over, null is absent,
and `algorithm` is never looked at: clients write what they like there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from touchplate.errors import MalformedError
from touchplate.formats.jsontext import Fields, JsonObject, parse_json

MAX_REQUEST: Final = 4 * 1024 * 1024
CODE: Final = "REQUEST_MALFORMED"
UNPARSEABLE_KEY: Final = "The public key supplied in the request could not be parsed"

_SPELLINGS: Final[Mapping[str, str]] = {
    "oidc_identity_token": "oidcIdentityToken",
    "public_key_request": "publicKeyRequest",
    "public_key": "publicKey",
    "proof_of_possession": "proofOfPossession",
    "certificate_signing_request": "certificateSigningRequest",
    "signed_email_address": "signedEmailAddress",
}


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """A request for a certificate: a token, and either a signed CSR or a key with a proof."""

    token: str
    # PEM of the certificate signing request; empty if a key came instead.
    csr: bytes
    # PEM, or DER of a SubjectPublicKeyInfo.
    public_key: bytes
    # Signature by the key over the identity's challenge.
    proof: bytes


def parse_v2(body: bytes, authorization: str) -> SigningRequest:
    """Read POST /api/v2/signingCert; a token in the body wins over the header."""
    fields = _fields(body)
    fields.one_of(("publicKeyRequest", "certificateSigningRequest"))
    credentials = _object(fields, "credentials")
    asked = _object(fields, "publicKeyRequest")
    return SigningRequest(
        credentials.string("oidcIdentityToken") or bearer_token(authorization),
        fields.bytes("certificateSigningRequest"),
        _object(asked, "publicKey").string("content").encode(),
        asked.bytes("proofOfPossession"),
    )


def parse_v1(body: bytes, authorization: str) -> SigningRequest:
    """Read POST /api/v1/signingCert; the key is base64 of DER or PEM, the token in the header."""
    fields = _fields(body)
    csr = fields.bytes("certificateSigningRequest")
    if not csr and not fields.has("publicKey"):
        raise MalformedError(CODE, UNPARSEABLE_KEY)
    return SigningRequest(
        bearer_token(authorization),
        csr,
        _object(fields, "publicKey").bytes("content"),
        fields.bytes("signedEmailAddress"),
    )


def bearer_token(authorization: str) -> str:
    """Give the token of an Authorization header, with or without the word Bearer."""
    return authorization.replace("Bearer ", "", 1)


def _fields(body: bytes) -> Fields:
    """Read the body; an empty one is an empty message and fails later, at the token."""
    value = parse_json(
        b"{}" if body.isspace() or not body else body,
        what="request",
        max_bytes=MAX_REQUEST,
        error=CODE,
    )
    return Fields(_rename(value), error=CODE)


def _object(fields: Fields, name: str) -> Fields:
    value = fields.value(name)
    if value is None:
        return Fields({}, error=CODE, path=name, above=fields)
    if not isinstance(value, dict):
        raise fields.wrong(name, "an object")
    return Fields(_rename(value), error=CODE, path=name, above=fields)


def _rename(value: JsonObject) -> JsonObject:
    if _SPELLINGS.keys().isdisjoint(value):
        return value
    found: JsonObject = {}
    for name, member in value.items():
        known = _SPELLINGS.get(name, name)
        if known in found:
            raise MalformedError(CODE, f"request: duplicate field {known!r}")
        found[known] = member
    return found
