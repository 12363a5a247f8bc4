"""What the cryptography library must be told for each algorithm, prepared once.

`public` and `signer` look a scheme up by number and call the library with its arguments: no
choice is made per call. RSA's objects are made when the first RSA key is met.
"""

from functools import cache
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from touchplate.keys.algorithms import ALGORITHMS, HASH_SIZES, Algorithm

HASH_OBJECTS: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


class Scheme(NamedTuple):
    """The arguments after signature and message, for one algorithm.

    `digest` is for a message that is hashed already; None where there is no such way. `message`
    is None where the library has no such scheme (Ed25519ph). RSA-PSS signs with a salt as long
    as its hash and verifies any salt length, since Go's signers take the longest that fits.
    """

    message: tuple[Any, ...] | None
    digest: tuple[Any, ...] | None
    sign_message: tuple[Any, ...] | None
    sign_digest: tuple[Any, ...] | None
    digest_size: int


def _hasher(algorithm: Algorithm) -> hashes.HashAlgorithm:
    if algorithm.hash is None:
        raise AssertionError(f"{algorithm.name} has no hash")
    return HASH_OBJECTS[algorithm.hash]


def _pure() -> Scheme:
    return Scheme((), None, (), None, 0)


def _ecdsa(algorithm: Algorithm) -> Scheme:
    hasher = _hasher(algorithm)
    message = (ec.ECDSA(hasher),)
    digest = (ec.ECDSA(utils.Prehashed(hasher)),)
    return Scheme(message, digest, message, digest, hasher.digest_size)


def _rsa(algorithm: Algorithm) -> Scheme:
    from cryptography.hazmat.primitives.asymmetric import padding

    hasher = _hasher(algorithm)
    check: padding.PKCS1v15 | padding.PSS
    sign: padding.PKCS1v15 | padding.PSS
    if algorithm.kind == "rsa-pss":
        check = padding.PSS(padding.MGF1(hasher), padding.PSS.AUTO)
        sign = padding.PSS(padding.MGF1(hasher), hasher.digest_size)
    else:
        check = sign = padding.PKCS1v15()
    prehashed = utils.Prehashed(hasher)
    return Scheme(
        (check, hasher), (check, prehashed), (sign, hasher), (sign, prehashed), hasher.digest_size
    )


def _scheme(algorithm: Algorithm) -> Scheme:
    if algorithm.kind == "ecdsa":
        return _ecdsa(algorithm)
    if algorithm.kind == "ed25519ph":
        return Scheme(None, None, None, None, HASH_SIZES["sha512"])
    if algorithm.kind in ("rsa-pkcs1", "rsa-pss"):
        return _rsa(algorithm)
    return _pure()


@cache
def schemes_for(key_kind: str) -> dict[int, Scheme]:
    """Give the schemes that a kind of key may be used with, by `PublicKeyDetails` number."""
    family = "rsa" if key_kind.startswith("rsa-") else key_kind
    return {row.number: _scheme(row) for row in ALGORITHMS if row.key_kind in (key_kind, family)}
