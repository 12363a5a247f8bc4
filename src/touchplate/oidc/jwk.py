"""JSON Web Keys (RFC 7517) for signatures, and the algorithms (RFC 7518 §3.1) that we accept.

`none` and the HMAC algorithms are not in the table and never will be: a public key is no secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from touchplate.errors import MalformedError
from touchplate.formats.jsontext import parse_json
from touchplate.oidc import base64url

MAX_JWKS: Final = 256 * 1024
MAX_KEYS: Final = 100
RSA_BITS: Final = (2048, 8192)
MAX_KEY_TEXT: Final = 2000  # characters of one base64url field

PublicKeyObject = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class _Algorithm:
    family: str
    hash: hashes.HashAlgorithm | None
    curve: str = ""


def _pss(digest: hashes.HashAlgorithm) -> padding.PSS:
    return padding.PSS(padding.MGF1(digest), digest.digest_size)


ALGORITHMS: Final[Mapping[str, _Algorithm]] = {
    "RS256": _Algorithm("RS", hashes.SHA256()),
    "RS384": _Algorithm("RS", hashes.SHA384()),
    "RS512": _Algorithm("RS", hashes.SHA512()),
    "PS256": _Algorithm("PS", hashes.SHA256()),
    "PS384": _Algorithm("PS", hashes.SHA384()),
    "PS512": _Algorithm("PS", hashes.SHA512()),
    "ES256": _Algorithm("ES", hashes.SHA256(), "secp256r1"),
    "ES384": _Algorithm("ES", hashes.SHA384(), "secp384r1"),
    "ES512": _Algorithm("ES", hashes.SHA512(), "secp521r1"),
    "EdDSA": _Algorithm("EdDSA", None),
}
CURVES: Final[Mapping[str, ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}


@dataclass(frozen=True, slots=True)
class JsonWebKey:
    """A public key of an issuer; `algorithm` binds it to one algorithm, if the issuer does."""

    key_id: str | None
    algorithm: str | None
    key: PublicKeyObject

    def is_signature(self, algorithm: str, signature: bytes, message: bytes) -> bool:
        """Say whether this key made `signature`; the caller tries each key that may have.

        The key's type must be the algorithm's: an RSA key never checks an ES256 token.
        """
        row = ALGORITHMS.get(algorithm)
        if row is None or self.algorithm not in (None, algorithm):
            return False
        try:
            return _verify(self.key, row, signature, message)
        except (InvalidSignature, ValueError):
            return False


def _verify(key: PublicKeyObject, row: _Algorithm, signature: bytes, message: bytes) -> bool:
    """Check by kind of key; InvalidSignature if it fails, False if kind and algorithm differ."""
    if isinstance(key, rsa.RSAPublicKey) and row.hash and row.family in ("RS", "PS"):
        pad = padding.PKCS1v15() if row.family == "RS" else _pss(row.hash)
        key.verify(signature, message, pad, row.hash)
        return True
    if isinstance(key, ec.EllipticCurvePublicKey) and row.hash and row.curve == key.curve.name:
        half = (key.curve.key_size + 7) // 8
        if len(signature) != 2 * half:
            return False
        r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(row.hash))
        return True
    if isinstance(key, Ed25519PublicKey) and row.family == "EdDSA":
        key.verify(signature, message)
        return True
    return False


def parse_jwks(document: bytes) -> tuple[JsonWebKey, ...]:
    """Read a key set; keys of other uses and kinds are passed over (RFC 7517 §5).

    Raises MalformedError RESPONSE_MALFORMED for more than 256 KiB or 100 keys.
    """
    code = "RESPONSE_MALFORMED"
    keys = parse_json(document, what="key set", max_bytes=MAX_JWKS, error=code).get("keys")
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise MalformedError(code, f"key set: not a list of at most {MAX_KEYS} keys")
    found = (_parse_key(item) for item in keys if isinstance(item, dict))
    return tuple(key for key in found if key is not None)


def _parse_key(item: Mapping[str, Any]) -> JsonWebKey | None:
    key_id, algorithm = item.get("kid"), item.get("alg")
    if item.get("use", "sig") != "sig" or not isinstance(key_id, str | None):
        return None
    if not isinstance(algorithm, str | None) or algorithm not in (None, *ALGORITHMS):
        return None
    try:
        key = _parse_material(item)
    except (ValueError, KeyError, TypeError, UnsupportedAlgorithm):
        return None
    return None if key is None else JsonWebKey(key_id, algorithm, key)


def _parse_material(item: Mapping[str, Any]) -> PublicKeyObject | None:
    kind, curve = item["kty"], str(item.get("crv"))
    if kind == "RSA":
        n, e = _number(item["n"]), _number(item["e"])
        if not RSA_BITS[0] <= n.bit_length() <= RSA_BITS[1] or e.bit_length() > 32:
            return None
        return rsa.RSAPublicNumbers(e, n).public_key()
    if kind == "EC" and curve in CURVES:
        x, y = _number(item["x"]), _number(item["y"])
        return ec.EllipticCurvePublicNumbers(x, y, CURVES[curve]).public_key()
    if kind == "OKP" and curve == "Ed25519":
        return Ed25519PublicKey.from_public_bytes(base64url.decode(item["x"]))
    return None


def _number(text: object) -> int:
    if not isinstance(text, str) or len(text) > MAX_KEY_TEXT:
        raise ValueError("not a number of this format")
    return int.from_bytes(base64url.decode(text), "big")


def encode_jwk(key_id: str, algorithm: str, key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """Give an elliptic curve key as a JWK with `use`, `alg` and `kid`."""
    numbers, size = key.public_numbers(), (key.curve.key_size + 7) // 8
    names = {curve.name: name for name, curve in CURVES.items()}
    return {
        "kty": "EC",
        "crv": names[key.curve.name],
        "x": base64url.encode(numbers.x.to_bytes(size, "big")),
        "y": base64url.encode(numbers.y.to_bytes(size, "big")),
        "use": "sig",
        "alg": algorithm,
        "kid": key_id,
    }
