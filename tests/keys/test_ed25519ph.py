"""Vectors: RFC 8032 §7.3, and an entry made with an independent implementation."""

from base64 import b64decode
from hashlib import sha512

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import VerificationError
from touchplate.keys import ed25519ph
from touchplate.keys.algorithms import by_name
from touchplate.keys.public import check_digest_signature, check_signature, load_public_key
from touchplate.keys.signer import PrivateKeySigner

SEED = bytes.fromhex("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42")
PUBLIC = bytes.fromhex("ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf")
SIGNATURE = bytes.fromhex(
    "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41"
    "31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406"
)
DIGEST = sha512(b"abc").digest()
PH = by_name("PKIX_ED25519_PH")
ORDER = 2**252 + 27742317777372353535851937790883648493


def refuse(signature: bytes, digest: bytes = DIGEST, public: bytes = PUBLIC) -> None:
    """Hold that this does not verify."""
    with pytest.raises(VerificationError) as error:
        ed25519ph.check_digest(public, signature, digest)
    assert error.value.code == "SIGNATURE_INVALID"


def test_rfc_8032() -> None:
    """The RFC's signature is the one we make, and verifies."""
    assert ed25519ph.sign_digest(SEED, DIGEST) == SIGNATURE
    ed25519ph.check_digest(PUBLIC, SIGNATURE, DIGEST)


def test_log_entry() -> None:
    """A hashedrekord entry's signature verifies from its SHA-512 digest alone."""
    key = load_public_key(b64decode("MCowBQYDK2VwAyEAHh6Yj+LL9JAwpvKlsXA/ivMVDWvGFD9bIDyDY/3QcR8="))
    digest = b64decode(
        "zC3r59OGoaoqTuIUzitI7ZmSHgIydNXyRuS14S/1WSXaqMfeSLNKjEr7iESLSzY16PqNMvX1qEJBfxYvqJgMmw=="
    )
    signature = b64decode(
        "tUzKJ3nw/aYb+J5Y15FCaPzFHSmmkmV0iT9VWrEtMeZHUMc4cMJe3Fxb3BRgyeH2tCJWN2froftnlPs5H1+nBA=="
    )
    check_digest_signature(key, signature, digest, PH)


def test_not_the_pure_scheme() -> None:
    """A pure Ed25519 signature of the digest is no prehashed one, and the reverse."""
    private = Ed25519PrivateKey.from_private_bytes(SEED)
    refuse(private.sign(DIGEST))
    refuse(private.sign(b"abc"))
    signer = PrivateKeySigner(private, PH)
    with pytest.raises(VerificationError):
        check_signature(signer.public_key, signer.sign(b"abc"), b"abc", by_name("PKIX_ED25519"))


def test_scalar_beyond_the_order() -> None:
    """S + L is refused (RFC 8032 §5.1.7), else every signature would have a second form."""
    scalar = int.from_bytes(SIGNATURE[32:], "little") + ORDER
    refuse(SIGNATURE[:32] + scalar.to_bytes(32, "little"))


@given(st.integers(0, 511))
def test_flipped_bit(bit: int) -> None:
    """A signature that differs in any one bit does not verify."""
    changed = bytearray(SIGNATURE)
    changed[bit // 8] ^= 1 << bit % 8
    refuse(bytes(changed))


@given(st.binary(max_size=80), st.binary(min_size=32, max_size=32))
def test_garbage(signature: bytes, public: bytes) -> None:
    """Garbage in signature and key raises our error and nothing else."""
    refuse(signature)
    refuse(SIGNATURE, public=public)


def test_digest_length_is_a_bug_when_signing() -> None:
    """Callers check the length before; a wrong one is a bug of ours."""
    with pytest.raises(AssertionError):
        ed25519ph.sign_digest(SEED, b"short")
