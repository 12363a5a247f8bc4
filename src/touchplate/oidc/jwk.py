"""JSON Web Keys (RFC 7517) for signatures, and the algorithms (RFC 7518 §3.1) that we accept.

`none` and the HMAC algorithms are not in the table and never will be: a public key is no secret.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
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
# Of signature and message; raises InvalidSignature or ValueError.
Check = Callable[[bytes, bytes], None]


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
    # By algorithm, for those that this key may have signed with.
    _checks: Mapping[str, Check] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Choose what the key can check: an RSA key never checks an ES256 token."""
        checks = {
            name: check
            for name, row in ALGORITHMS.items()
            if self.algorithm in (None, name) and (check := _check_of(self.key, row)) is not None
        }
        object.__setattr__(self, "_checks", checks)

    def is_signature(self, algorithm: str, signature: bytes, message: bytes) -> bool:
        """Say whether this key made `signature`; the caller tries each key that may have."""
        check = self._checks.get(algorithm)
        if check is None:
            return False
        try:
            check(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


def _check_of(key: PublicKeyObject, row: _Algorithm) -> Check | None:
    """Give what checks a signature with this key, None if kind and algorithm differ."""
    if isinstance(key, rsa.RSAPublicKey) and row.hash and row.family in ("RS", "PS"):
        digest = row.hash
        pad = padding.PKCS1v15() if row.family == "RS" else _pss(digest)
        return lambda signature, message: key.verify(signature, message, pad, digest)
    if isinstance(key, ec.EllipticCurvePublicKey) and row.hash and row.curve == key.curve.name:
        return partial(_check_elliptic, key.verify, ec.ECDSA(row.hash), (key.key_size + 7) // 8)
    if isinstance(key, Ed25519PublicKey) and row.family == "EdDSA":
        return key.verify
    return None


def _check_elliptic(
    verify: Callable[[bytes, bytes, ec.EllipticCurveSignatureAlgorithm], None],
    scheme: ec.ECDSA,
    half: int,
    signature: bytes,
    message: bytes,
) -> None:
    """Check a signature of r and s side by side (RFC 7518 §3.4)."""
    if len(signature) != 2 * half:
        raise ValueError("a signature of another length")
    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    verify(encode_dss_signature(r, s), message, scheme)


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
