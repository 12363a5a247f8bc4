import contextlib
import subprocess
import sys
from base64 import b64decode
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import VerificationError
from touchplate.keys.algorithms import ALGORITHMS, Algorithm, by_name
from touchplate.keys.public import (
    PublicKey,
    check_digest_signature,
    check_signature,
    from_crypto,
    load_pkcs1_public_key,
    load_public_key,
    load_public_key_pem,
)
from touchplate.keys.signer import KINDS, generate

PEM = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYaQJfHHAOBanGLQcZwT9EBDKUfXQ
cfrFFawUQcVq8vcO2xP+75ZBCRnuNETDOlP8y+euc06KzUNjuZPTRh3D+w==
-----END PUBLIC KEY-----
"""
SPKI = b64decode("".join(PEM.splitlines()[1:-1]))
HELLO_SIGNATURE = b64decode(
    "MEYCIQCnubkURSBZQOHUQLW32wQJ6bkUe1Gcb9BMQh50y6+yuAIhALGXbDHIxFOxRzij+1KD1IgeN1yVnmjlwJ/j"
    "aUTcNoGu"
)
P256 = by_name("PKIX_ECDSA_P256_SHA_256")


@cache
def key_of(kind: str) -> PublicKey:
    """Make one key of each kind, once."""
    return generate(kind).public_key


def spki_of(crypto: object) -> bytes:
    """Encode a key of the library."""
    der: bytes = crypto.public_bytes(  # type: ignore[attr-defined]  # any public key has it
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    return der


def refuse(der: bytes) -> None:
    """Hold that this is no key for us."""
    with pytest.raises(VerificationError) as error:
        load_public_key(der)
    assert error.value.code == "KEY_UNREADABLE"


def test_pem_and_key_id() -> None:
    """PEM round-trips byte for byte, and the key id is the hash that bundles have as hint."""
    key = load_public_key_pem(PEM)
    assert key.spki == SPKI
    assert key.pem() == PEM
    assert key.key_id == b64decode("YzoeOdN3n2XU1V7/nLG9645oMA5Jh6GJA0r5EZ8SwE0=")
    assert key.kind == "ecdsa-p256"


def test_check_signature() -> None:
    """A signature made elsewhere verifies, over the message and over its digest."""
    key = load_public_key(SPKI)
    check_signature(key, HELLO_SIGNATURE, b"hello\n", P256)
    digest = bytes.fromhex("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03")
    check_digest_signature(key, HELLO_SIGNATURE, digest, P256)


def test_deprecated_name_of_p256() -> None:
    """A deterministic nonce does not show, so detail 6 verifies as 5."""
    key = load_public_key(SPKI)
    check_signature(key, HELLO_SIGNATURE, b"hello\n", by_name("PKIX_ECDSA_P256_HMAC_SHA_256"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_same_as_the_library(kind: str) -> None:
    """Each kind is read as the library reads it, from DER, PEM and object."""
    key = key_of(kind)
    assert spki_of(key.crypto) == key.spki
    assert load_public_key(key.spki) == key
    assert load_public_key_pem(key.pem()) == key
    assert from_crypto(load_der_public_key(key.spki)) == key
    assert hash(load_public_key(key.spki)) == hash(key)
    assert key.kind == kind


@pytest.mark.parametrize("kind", ["ed25519", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87"])
def test_raw(kind: str) -> None:
    """The raw form is the library's."""
    key = key_of(kind)
    raw: bytes = key.crypto.public_bytes_raw()  # type: ignore[union-attr]  # these kinds have it
    assert key.raw() == raw


def test_raw_of_another_kind() -> None:
    """Only Ed25519 and ML-DSA keys have a raw form."""
    with pytest.raises(AssertionError):
        load_public_key(SPKI).raw()


@pytest.mark.parametrize("kind", KINDS)
def test_algorithm_of_another_kind(kind: str) -> None:
    """An algorithm of another kind of key never verifies: nobody but the key chooses it."""
    key = key_of(kind)
    for row in ALGORITHMS:
        if not key.allows(row):
            with pytest.raises(VerificationError) as error:
                check_signature(key, HELLO_SIGNATURE, b"hello\n", row)
            assert error.value.code == "SIGNATURE_INVALID"
            with pytest.raises(VerificationError):
                check_digest_signature(key, HELLO_SIGNATURE, bytes(32), row)


def test_hash_is_part_of_the_algorithm() -> None:
    """SHA-256 under P-384 is another algorithm than the curve's own, and allowed by name only."""
    signer = generate("ecdsa-p384")
    old = by_name("PKIX_ECDSA_P384_SHA_256")
    signature = signer.crypto.sign(b"hello\n", ec.ECDSA(SHA256()))
    check_signature(signer.public_key, signature, b"hello\n", old)
    with pytest.raises(VerificationError):
        check_signature(signer.public_key, signature, b"hello\n", signer.algorithm)


@pytest.mark.parametrize("salt", [padding.PSS.MAX_LENGTH, padding.PSS.DIGEST_LENGTH, 20])
def test_pss_salt(salt: object) -> None:
    """RSA-PSS verifies with any salt length, since Go's signers take the longest."""
    signer = generate("rsa-2048", by_name("PKIX_RSA_PSS_2048_SHA256"))
    scheme = padding.PSS(padding.MGF1(SHA256()), salt)  # type: ignore[arg-type]  # int or marker
    signature = signer.crypto.sign(b"hello\n", scheme, SHA256())
    check_signature(signer.public_key, signature, b"hello\n", signer.algorithm)


def test_pkcs1() -> None:
    """A PKCS#1 key, as old trusted roots have it, is the same key as its SubjectPublicKeyInfo."""
    key = key_of("rsa-3072")
    der = key.crypto.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    assert load_pkcs1_public_key(der) == key


def test_compressed_point() -> None:
    """A compressed point would be a second encoding of the same key, with another key id."""
    point = key_of("ecdsa-p256").crypto.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    refuse(bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200") + point)
    hybrid = bytearray(SPKI)
    hybrid[26] = 6
    refuse(bytes(hybrid))


def test_point_off_the_curve() -> None:
    """A point that is not on the curve is no key."""
    refuse(SPKI[:-1] + bytes((SPKI[-1] ^ 1,)))


@pytest.mark.slow
@pytest.mark.parametrize("bits", [1024, 2056, 3000])
def test_rsa_of_other_sizes(bits: int) -> None:
    """RSA moduli are of 2048, 3072 or 4096 bits."""
    refuse(spki_of(rsa.generate_private_key(65537, bits).public_key()))


def test_rsa_exponent() -> None:
    """An exponent above 2^31 - 1 makes checking slow, and is nobody's."""
    numbers = key_of("rsa-2048").crypto.public_numbers()  # type: ignore[union-attr]  # it is RSA
    big = rsa.RSAPublicNumbers(2**64 + 1, numbers.n)  # type: ignore[union-attr]  # it is RSA
    refuse(spki_of(big.public_key()))


@pytest.mark.slow
def test_other_kinds() -> None:
    """Curves and kinds that Sigstore has not are refused in every form."""
    for crypto in (
        ec.generate_private_key(ec.SECP256K1()).public_key(),
        ed448.Ed448PrivateKey.generate().public_key(),
        dsa.generate_private_key(2048).public_key(),
    ):
        refuse(spki_of(crypto))
        with pytest.raises(VerificationError):
            from_crypto(crypto)
    with pytest.raises(VerificationError):
        from_crypto("a string")


@given(st.sampled_from(KINDS), st.data())
def test_changed_key(kind: str, data: st.DataObject) -> None:
    """A key changed in any byte is another key or none; nothing but our error comes out."""
    der = bytearray(key_of(kind).spki)
    place = data.draw(st.integers(0, len(der) - 1))
    der[place] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(VerificationError):
        key = load_public_key(bytes(der))
        assert key != key_of(kind)
        assert spki_of(key.crypto) == bytes(der)


@given(st.binary(max_size=400))
def test_garbage_keys(data: bytes) -> None:
    """Garbage is no key, whatever reads it."""
    refuse(data)
    with pytest.raises(VerificationError):
        load_pkcs1_public_key(data)


@given(st.text(max_size=300))
def test_garbage_pem(text: str) -> None:
    """Garbage is no PEM, inside the markers or without them."""
    for pem in (text, f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n"):
        with pytest.raises(VerificationError) as error:
            load_public_key_pem(pem)
        assert error.value.code == "KEY_UNREADABLE"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("BEGIN PUBLIC", "BEGIN SECRET"),
        ("END PUBLIC", "END SECRET"),
        ("-----END PUBLIC KEY-----\n", ""),
        ("-----BEGIN PUBLIC KEY-----\n", ""),
        ("D+w==", "D+w==="),
        ("D+w==", "D+w="),
        ("-----BEGIN", "x-----BEGIN"),
    ],
)
def test_other_pem(old: str, new: str) -> None:
    """One whole block of this label and nothing else is a key."""
    assert old in PEM
    with pytest.raises(VerificationError) as error:
        load_public_key_pem(PEM.replace(old, new))
    assert error.value.code == "KEY_UNREADABLE"


def test_rsa_under_another_name() -> None:
    """An RSA key that is bound to PSS is another kind; the library reads it."""
    plain = key_of("rsa-2048").spki
    pss = bytes.fromhex("300b06092a864886f70d01010a")
    bits = plain[4 + 15 :]
    der = b"\x30\x82" + (len(pss) + len(bits)).to_bytes(2) + pss + bits

    assert isinstance(load_der_public_key(der), rsa.RSAPublicKey)
    with pytest.raises(VerificationError) as error:
        load_public_key(der)
    assert error.value.code == "KEY_UNREADABLE"


def test_pem_with_other_line_ends() -> None:
    """Line ends and space around the lines do not matter; two keys or a private one do."""
    assert load_public_key_pem(PEM.replace("\n", "\r\n")).spki == SPKI
    assert load_public_key_pem(f"\n  {PEM.replace(chr(10), chr(10) + '  ')}\n").spki == SPKI
    for text in (PEM + PEM, PEM.replace("PUBLIC", "PRIVATE"), PEM * 200):
        with pytest.raises(VerificationError):
            load_public_key_pem(text)


def algorithms_of(kind: str) -> tuple[Algorithm, ...]:
    """Give what a kind of key signs with."""
    return key_of(kind).algorithms


@given(st.sampled_from(KINDS), st.binary(max_size=300))
def test_garbage_signature(kind: str, signature: bytes) -> None:
    """A garbage signature does not verify under any algorithm, and nothing else happens."""
    for row in algorithms_of(kind):
        with pytest.raises(VerificationError) as error:
            check_signature(key_of(kind), signature, b"hello\n", row)
        assert error.value.code == "SIGNATURE_INVALID"


def test_imports() -> None:
    """Reading an EC key and checking with it loads neither X.509 nor the other kinds of key."""
    program = (
        "import sys; from base64 import b64decode\n"
        "from touchplate.keys.public import *; from touchplate.keys.algorithms import by_name\n"
        f"key = load_public_key(bytes.fromhex('{SPKI.hex()}'))\n"
        f"check_signature(key, bytes.fromhex('{HELLO_SIGNATURE.hex()}'), b'hello\\n',"
        " by_name('PKIX_ECDSA_P256_SHA_256'))\n"
        "print(*[m for m in sys.modules if m.startswith(('cryptography.', 'Crypto'))])\n"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    for name in ("cryptography.x509", "cryptography.hazmat.primitives.serialization"):
        assert name not in loaded
    for kind in ("ed25519", "mldsa"):
        assert f"cryptography.hazmat.primitives.asymmetric.{kind}" not in loaded
    assert not [name for name in loaded if name.startswith("Crypto.")]
