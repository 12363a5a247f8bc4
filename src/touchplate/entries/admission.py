"""What a log takes: the algorithms allowed, and the key that a request names.

The certificate in a request is only the envelope of a key here: a log does not judge trust, dates
or usages, a verifier does. It only refuses what is not a chain.
"""

from collections.abc import Callable
from functools import cache, lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from touchplate.entries.pem import parse_pem
from touchplate.errors import MalformedError, RefusedError, VerificationError
from touchplate.formats.element import INTEGER, SEQUENCE, element, expect
from touchplate.keys.algorithms import Algorithm, by_name
from touchplate.keys.pem import encode_pem
from touchplate.keys.public import PublicKey, check_signature, load_public_key

# The registry names of what new entries may use; old entries may hold others. A P-384 or P-521 key
# with SHA-256 is not among them, nor is a signature that needs the whole artifact (pure Ed25519).
ALLOWED: Final = frozenset(
    {
        "ecdsa-sha2-256-nistp256",
        "ecdsa-sha2-384-nistp384",
        "ecdsa-sha2-512-nistp521",
        "ed25519-ph",
        "rsa-sign-pkcs1-2048-sha256",
        "rsa-sign-pkcs1-3072-sha256",
        "rsa-sign-pkcs1-4096-sha256",
    }
)

# One signer logs many files with one certificate: the keys of the last ones are kept. A larger
# certificate than this would not fit into a leaf; what is kept is bounded with it.
MAX_KEPT_KEYS: Final = 1024
MAX_VERIFIER_BYTES: Final = 48 * 1024
MAX_PEM_BYTES: Final = 64 * 1024


class Admitted(NamedTuple):
    """An entry that a log takes: every check of its kind has passed. `body` is the leaf data."""

    kind: str
    version: str
    body: bytes
    # What a log may keep beside its leaf: the payload of an `intoto` entry.
    attestation: bytes = b""


@lru_cache(maxsize=MAX_KEPT_KEYS)
def load_verifier(der: bytes, *, is_certificate: bool) -> PublicKey:
    """Load the key of a DER certificate or a DER SubjectPublicKeyInfo; nothing may follow it.

    Raises REQUEST_MALFORMED, LIMIT_EXCEEDED above 48 KiB, or KEY_UNREADABLE for a kind of key that
    is not supported.
    """
    _limit(der, MAX_VERIFIER_BYTES)
    return load_public_key(_spki(der) if is_certificate else der)


def _limit(data: bytes, maximum: int) -> None:
    if len(data) > maximum:
        raise MalformedError(
            "LIMIT_EXCEEDED",
            "the certificate or public key is too large",
            expected=f"at most {maximum} bytes",
            found=f"{len(data)} bytes",
        )


def _spki(der: bytes) -> bytes:
    """Give the SubjectPublicKeyInfo of a certificate."""
    load, invalid_version = _certificate_reader()
    try:
        load(der)
        # RFC 5280 §4.1: [0] version, serialNumber, signature, issuer, validity, subject, SPKI.
        at, end = expect(der, 0, len(der), SEQUENCE)
        at, end = expect(der, at, end, SEQUENCE)
        for _ in range(5 if der[at] == INTEGER else 6):
            tag, size = der[at], der[at + 1]
            # As `element`, which reads those that are longer, or wrong.
            if size < 0x80 and tag & 0x1F != 0x1F and at + 2 + size <= end:
                at += 2 + size
            else:
                _, _, at = element(der, at, end)
        _, stop = expect(der, at, end, SEQUENCE)
    except (ValueError, invalid_version) as error:
        raise MalformedError("REQUEST_MALFORMED", f"certificate: {error}") from error
    return der[at:stop]


@cache
def _certificate_reader() -> tuple[Callable[[bytes], object], type[Exception]]:
    """Load the library's reader on use, for verification has its own and starts faster without.

    Here it pays: it reads a certificate in a fifth of the time.
    """
    from cryptography.x509 import InvalidVersion, load_der_x509_certificate

    return load_der_x509_certificate, InvalidVersion


def allow(key: PublicKey, hash_name: str, allowed: frozenset[str] | None) -> Algorithm:
    """Give the algorithm that a key with this hash means, if it is allowed (ALGORITHM_REFUSED).

    None allows every algorithm.
    """
    for algorithm in key.algorithms:
        if algorithm.hash == hash_name and (allowed is None or algorithm.registry in allowed):
            return algorithm
    raise refuse(f"{key.kind} with {hash_name}", allowed or frozenset())


def allow_named(key: PublicKey, key_details: str, allowed: frozenset[str]) -> Algorithm:
    """Give the algorithm that a request names, if it is allowed and is one of this key.

    Raises KEY_UNREADABLE for an unknown name, ALGORITHM_REFUSED. The key decides: a request cannot
    give it another hash by calling it something else.
    """
    algorithm = by_name(key_details)
    if algorithm.registry not in allowed or algorithm not in key.algorithms:
        raise refuse(f"{algorithm.name} with a key of kind {key.kind}", allowed)
    return algorithm


def refuse(found: str, allowed: frozenset[str]) -> RefusedError:
    """Make the error for an algorithm that is not allowed."""
    return RefusedError(
        "ALGORITHM_REFUSED",
        "the log does not take entries of this algorithm",
        expected=", ".join(sorted(allowed)),
        found=found,
    )


@lru_cache(maxsize=MAX_KEPT_KEYS)
def load_verifier_pem(text: bytes) -> tuple[PublicKey, bytes]:
    """Load the key of a PEM public key, or of a certificate with its chain after it, leaf first.

    Gives the key and the canonical PEM of all blocks. Each certificate must have been issued by the
    next one; whom the last one belongs to is not asked. Raises REQUEST_MALFORMED, LIMIT_EXCEEDED
    above 64 KiB, or KEY_UNREADABLE.
    """
    _limit(text, MAX_PEM_BYTES)
    blocks = parse_pem(text, error="REQUEST_MALFORMED")
    labels = {label for label, _ in blocks}
    if labels == {"CERTIFICATE"}:
        key = load_verifier(blocks[0][1], is_certificate=True)
        if len(blocks) > 1:
            _check_chain([der for _, der in blocks])
    elif labels == {"PUBLIC KEY"} and len(blocks) == 1:
        key = load_verifier(blocks[0][1], is_certificate=False)
    else:
        raise MalformedError(
            "REQUEST_MALFORMED",
            "invalid public key",
            expected="one PUBLIC KEY, or CERTIFICATE blocks",
            found=", ".join(sorted(labels))[:100],
        )
    return key, b"".join(encode_pem(label, der) for label, der in blocks)


def _check_chain(ders: list[bytes]) -> None:
    """Require that each certificate was issued by the next, and that all held when the leaf began.

    As upstream, which takes the last one for the root.
    """
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.x509 import load_der_x509_certificate

    try:
        certificates = [load_der_x509_certificate(der) for der in ders]
        for child, issuer in pairwise(certificates):
            child.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        reason = str(error) or "a signature does not verify"
        raise MalformedError("REQUEST_MALFORMED", f"certificate chain: {reason}") from error
    at = certificates[0].not_valid_before_utc
    if not all(
        each.not_valid_before_utc <= at <= each.not_valid_after_utc for each in certificates
    ):
        raise MalformedError(
            "REQUEST_MALFORMED", "certificate chain: an issuer was not valid when the leaf began"
        )


def check_any_hash(key: PublicKey, signature: bytes, message: bytes) -> None:
    """Prove that `key` signed `message` in one of the ways it may (SIGNATURE_INVALID).

    For the kinds that hold no hash of what was signed: old clients signed with SHA-256 whatever the
    curve, newer ones with the curve's own. An Ed25519 key signs the message itself here, RSA is
    PKCS #1 v1.5 alone.
    """
    failure: VerificationError | None = None
    for algorithm in key.algorithms:
        if algorithm.kind in ("ed25519ph", "rsa-pss"):
            continue
        try:
            check_signature(key, signature, message, algorithm)
        except VerificationError as error:
            failure = failure or error
        else:
            return
    raise failure or AssertionError(f"a key of kind {key.kind} has no algorithm")
