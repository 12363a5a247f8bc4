"""The signature inside a logged body, for whoever reads a log again without its bundles."""

from typing import Final

from touchplate.entries import hashedrekord_v001, hashedrekord_v002, rekord_v001
from touchplate.entries.admission import allow, load_verifier, load_verifier_pem
from touchplate.entries.body import Body, parse_body, read_base64
from touchplate.errors import MalformedError, VerificationError
from touchplate.formats.jsontext import Fields
from touchplate.keys.algorithms import HASH_FROM_PROTOBUF, HASH_SIZES, by_name
from touchplate.keys.public import check_digest_signature

_V001: Final = (hashedrekord_v001.KIND, hashedrekord_v001.VERSION)
_REKORD: Final = (rekord_v001.KIND, rekord_v001.VERSION)
_V002: Final = (hashedrekord_v002.KIND, hashedrekord_v002.VERSION)


def check_logged(body: bytes) -> bool:
    """Prove the signature in a logged body; say whether the body holds all that this takes.

    A `hashedrekord` does, and a `rekord` whose signature is over its hash: one that does not verify
    may be over another hash. The other kinds hold a hash of what was signed, and not the digest
    that was signed: they only have to be readable. Raises ENTRY_MALFORMED, SIGNATURE_INVALID,
    KEY_UNREADABLE, ALGORITHM_REFUSED, REQUEST_MALFORMED (the certificate or PEM), LIMIT_EXCEEDED.
    """
    parsed = parse_body(body)
    kind = (parsed.kind, parsed.version)
    if kind == _V002:
        _check_v002(parsed)
    elif kind == _V001:
        _check_v001(parsed)
    elif kind == _REKORD:
        return _is_proven_rekord(parsed)
    return kind in (_V001, _V002)


def _check_v002(body: Body) -> None:
    entry = body.spec.require("hashedRekordV002")
    data, signature = entry.require("data"), entry.require("signature")
    verifier = signature.require("verifier")
    is_certificate = verifier.has("x509Certificate")
    der = verifier.require("x509Certificate" if is_certificate else "publicKey").bytes("rawBytes")
    key = load_verifier(der, is_certificate=is_certificate)
    algorithm = by_name(verifier.string("keyDetails"))
    if HASH_FROM_PROTOBUF.get(data.string("algorithm")) != algorithm.hash:
        raise MalformedError("ENTRY_MALFORMED", "the entry's hash is not that of its key details")
    if not key.allows(algorithm):
        raise VerificationError("SIGNATURE_INVALID", "the entry's key cannot sign as it says")
    check_digest_signature(key, signature.bytes("content"), data.bytes("digest"), algorithm)


def _check_v001(body: Body) -> None:
    hashed = body.spec.require("data").require("hash")
    signature = body.spec.require("signature")
    key, _ = load_verifier_pem(read_base64(signature.require("publicKey"), "content"))
    name = hashed.string("algorithm")
    digest = _read_hex(hashed, "value")
    if HASH_SIZES.get(name) != len(digest):  # type: ignore[call-overload]  # any text may be asked for
        raise MalformedError("ENTRY_MALFORMED", "the entry's digest is not one of its algorithm")
    # The log of that time took every algorithm that the key has.
    algorithm = allow(key, name, None)
    check_digest_signature(key, read_base64(signature, "content"), digest, algorithm)


def _is_proven_rekord(body: Body) -> bool:
    """Say whether the signature is by an X.509 key over the SHA-256 that the body holds."""
    signature = body.spec.require("signature")
    digest = _read_hex(body.spec.require("data").require("hash"), "value")
    if signature.string("format") != "x509" or len(digest) != HASH_SIZES["sha256"]:
        return False
    key, _ = load_verifier_pem(read_base64(signature.require("publicKey"), "content"))
    for algorithm in key.algorithms:
        if algorithm.hash == "sha256":
            try:
                check_digest_signature(key, read_base64(signature, "content"), digest, algorithm)
            except VerificationError:
                continue  # the log took signatures over any hash
            return True
    return False


def _read_hex(fields: Fields, name: str) -> bytes:
    try:
        return bytes.fromhex(fields.string(name))
    except ValueError as error:
        raise fields.wrong(name, "hexadecimal") from error
