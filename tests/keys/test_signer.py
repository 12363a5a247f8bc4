import hashlib
from functools import cache

import pytest

from touchplate.errors import VerificationError
from touchplate.keys.algorithms import ALGORITHMS, Algorithm, by_name
from touchplate.keys.public import check_digest_signature, check_signature
from touchplate.keys.signer import KINDS, PrivateKeySigner, generate

MESSAGE = b"hello\n"


@cache
def signer(kind: str) -> PrivateKeySigner:
    """Make one key of each kind, once."""
    return generate(kind)


def name_of(value: str | Algorithm) -> str:
    """Name a test case."""
    return value if isinstance(value, str) else value.name


EVERY_WAY = [
    (kind, row)
    for kind in KINDS
    for row in ALGORITHMS
    if row.key_kind in (kind, kind.partition("-")[0])
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "row"), EVERY_WAY, ids=lambda value: str(getattr(value, "name", value))
)
def test_sign_and_check(kind: str, row: Algorithm) -> None:
    """Every kind of key signs with each of its algorithms, and no other message verifies."""
    one = PrivateKeySigner(signer(kind).crypto, row)
    signature = one.sign(MESSAGE)

    check_signature(one.public_key, signature, MESSAGE, row)
    with pytest.raises(VerificationError) as error:
        check_signature(one.public_key, signature, MESSAGE + b".", row)
    assert error.value.code == "SIGNATURE_INVALID"


@pytest.mark.parametrize(
    ("kind", "row"), EVERY_WAY, ids=lambda value: str(getattr(value, "name", value))
)
def test_sign_digest(kind: str, row: Algorithm) -> None:
    """Signing the digest is signing the message; algorithms without a hash refuse any digest."""
    one = PrivateKeySigner(signer(kind).crypto, row)
    if row.hash is None:
        for digest in (b"", bytes(32), bytes(64)):
            with pytest.raises(VerificationError) as error:
                one.sign_digest(digest)
            assert error.value.code == "DIGEST_UNSUPPORTED"
            with pytest.raises(VerificationError) as error:
                check_digest_signature(one.public_key, one.sign(MESSAGE), digest, row)
            assert error.value.code == "DIGEST_UNSUPPORTED"
        return
    digest = hashlib.new(row.hash, MESSAGE).digest()

    check_signature(one.public_key, one.sign_digest(digest), MESSAGE, row)
    check_digest_signature(one.public_key, one.sign(MESSAGE), digest, row)
    with pytest.raises(VerificationError) as error:
        check_digest_signature(one.public_key, one.sign(MESSAGE), digest[::-1], row)
    assert error.value.code == "SIGNATURE_INVALID"


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_digest_of_another_length(size: int) -> None:
    """A digest of another hash is told apart from a bad signature."""
    one = signer("ecdsa-p256")
    with pytest.raises(VerificationError) as error:
        one.sign_digest(bytes(size))
    assert error.value.code == "DIGEST_UNSUPPORTED"
    with pytest.raises(VerificationError) as error:
        check_digest_signature(one.public_key, b"", bytes(size), one.algorithm)
    assert error.value.code == "DIGEST_UNSUPPORTED"


def test_default_algorithm() -> None:
    """A signer uses its key's own algorithm unless told otherwise."""
    assert signer("ecdsa-p384").algorithm.name == "PKIX_ECDSA_P384_SHA_384"


def test_algorithm_of_another_key() -> None:
    """A signer whose algorithm is not its key's cannot be made."""
    with pytest.raises(VerificationError) as error:
        PrivateKeySigner(signer("ecdsa-p256").crypto, by_name("PKIX_ED25519"))
    assert error.value.code == "KEY_UNREADABLE"


def test_no_private_key() -> None:
    """What is not a private key is refused, not crashed on."""
    with pytest.raises(VerificationError):
        PrivateKeySigner(object())
    with pytest.raises(VerificationError):
        generate("dsa-1024")


def test_repr_keeps_the_secret() -> None:
    """A signer that lands in a log line shows its public key only."""
    one = signer("ed25519")
    assert one.crypto.private_bytes_raw().hex() not in repr(one)
    assert one.public_key.key_id.hex() in repr(one)
