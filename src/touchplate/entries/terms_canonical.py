"""The short way to what a `hashedrekord` 0.0.2 body holds: nearly every entry of a v2 log.

Such a body is six values in a fixed text (`hashedrekord_v002`). If it is, they are taken out
without reading JSON; any other body, good or bad, is left to the general reader in `terms`.
"""

from binascii import b2a_base64
from functools import partial
from typing import Final

from touchplate.entries.hashedrekord_v002 import BODY, KIND, VERSION
from touchplate.entries.terms_found import EntryTerms, Found, attempt
from touchplate.formats.base64text import parse_base64
from touchplate.keys.algorithms import HASH_FROM_PROTOBUF, NAMES
from touchplate.keys.pem import frame_pem

# The texts of BODY around its values; no value can hold the quote that ends it.
_TEXTS: Final = tuple(map(len, BODY.split(b"%b")))
_BEGIN: Final = BODY[: _TEXTS[0]]
_KEY_DETAILS: Final = frozenset(name.encode() for name in NAMES.values())
_HASHES: Final = {text.encode(): name for text, name in HASH_FROM_PROTOBUF.items()}
_LABELS: Final = {b"publicKey": "PUBLIC KEY", b"x509Certificate": "CERTIFICATE"}


def read_canonical(body: bytes) -> EntryTerms | None:
    """Give the terms of a body that `encode_body` could have written; None for any other."""
    if not body.startswith(_BEGIN):
        return None
    values, at = [], 0
    for text in _TEXTS[:-1]:
        at += text
        start, at = at, body.find(b'"', at)
        values.append(body[start:at])
    algorithm, digest, signature, key_details, kind, verifier = values
    # Whatever was found where: the same text again proves it.
    if BODY % tuple(values) != body or key_details not in _KEY_DETAILS:
        return None
    hash_name, label = _HASHES.get(algorithm), _LABELS.get(kind)
    if hash_name is None or label is None:
        return None
    try:
        parse_base64(signature)
        hashed, der = parse_base64(digest), parse_base64(verifier)
    except ValueError:
        return None
    # PEM has the same text, unless the bits after its last octet are not those of an encoder.
    if not verifier.endswith(b2a_base64(der[-(len(der) % 3 or 3) :], newline=False)):
        return None
    found = Found()
    found.digest(hash_name, hashed.hex())
    is_certificate, pem = label == "CERTIFICATE", frame_pem(label, verifier)
    attempt(partial(found.verifier, der, is_certificate=is_certificate, pem=pem))
    return found.terms(KIND, VERSION)
