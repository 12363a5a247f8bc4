"""The signature over the artifact or the statement, under every kind of key."""

from hashlib import sha256, sha384, sha512
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from tests.verify.certificates import Held, b64, new_key, sign
from tests.verify.mint import ARTIFACT, NAME, Mint, only_entry, refused
from touchplate.keys import ed25519ph
from touchplate.verify import Artifact, Options


def digest_only(name: str, content: bytes = ARTIFACT) -> Artifact:
    """Give an artifact that is known by one digest."""
    function = {"sha256": sha256, "sha384": sha384, "sha512": sha512}[name]
    return Artifact.from_digest(f"{name}:{function(content).hexdigest()}")


HASHES = {
    "p256": "sha256",
    "p384": "sha384",
    "p521": "sha512",
    "rsa2048": "sha256",
    "rsa3072": "sha256",
}


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["v1-message", "v2-message", "v1-dsse", "v2-dsse"])
@pytest.mark.parametrize("kind", HASHES)
def test_kinds_of_key(mint: Mint, kind: str, shape: str) -> None:
    """ECDSA and RSA keys sign artifacts and statements, by file and by digest."""
    members = mint.bundle(shape, leaf=mint.leaf(key=new_key(kind, 700)))
    name = "sha256" if shape.endswith("dsse") else HASHES[kind]

    assert mint.verify(members).identity == NAME
    assert mint.verify(members, digest_only(name)).identity == NAME


@pytest.mark.parametrize("kind", ["p384", "p521"])
@pytest.mark.parametrize("shape", ["v1-message", "v1-dsse"])
def test_sha256_of_old_signers(mint: Mint, kind: str, shape: str) -> None:
    """Older signers used SHA-256 with the larger curves, and their bundles are proven."""
    leaf = mint.leaf(key=new_key(kind, 701))
    members = mint.bundle(shape, leaf=leaf, hasher=hashes.SHA256())

    assert mint.verify(members).identity == NAME
    assert mint.verify(members, digest_only("sha256")).identity == NAME


@pytest.mark.parametrize("kind", ["p384", "p521"])
def test_digest_of_another_hash(mint: Mint, kind: str) -> None:
    """A digest that the key's signature is not over cannot be enough, and the error says so."""
    members = mint.bundle(leaf=mint.leaf(key=new_key(kind, 702)))
    del members["messageSignature"]["messageDigest"]

    assert refused(mint, members, artifact=digest_only("sha256")) == "DIGEST_UNSUPPORTED"


@pytest.mark.parametrize("shape", ["v1-message", "v2-message"])
def test_rsa_pss(mint: Mint, shape: str) -> None:
    """RSA-PSS signatures are accepted from an RSA key."""
    key = new_key("rsa2048", 703)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    signature = key.sign(ARTIFACT, pss, hashes.SHA256())
    members = mint.bundle(
        shape,
        leaf=mint.leaf(key=key),
        signature=signature,
        details="PKIX_RSA_PSS_2048_SHA256",
    )

    assert mint.verify(members).identity == NAME


def ph_bundle(mint: Mint, shape: str, leaf: Held) -> dict[str, Any]:
    """Give a bundle with an Ed25519ph signature."""
    signature = ed25519ph.sign_digest(leaf.key.private_bytes_raw(), sha512(ARTIFACT).digest())
    return mint.bundle(
        shape,
        leaf=leaf,
        signature=signature,
        hasher=hashes.SHA512(),
        details="PKIX_ED25519_PH",
    )


@pytest.mark.parametrize("shape", ["v1-message", "v2-message"])
def test_ed25519ph(mint: Mint, shape: str) -> None:
    """A logged message signature of an Ed25519 key is of its prehashed form, over SHA-512."""
    members = ph_bundle(mint, shape, mint.leaf(key=new_key("ed25519", 704)))

    assert mint.verify(members).identity == NAME
    assert mint.verify(members, digest_only("sha512")).identity == NAME
    del members["messageSignature"]["messageDigest"]
    assert refused(mint, members, artifact=digest_only("sha256")) == "DIGEST_UNSUPPORTED"


def test_pure_ed25519_is_not_logged(mint: Mint) -> None:
    """A log cannot check a pure signature by a digest: such an entry proves nothing."""
    key = new_key("ed25519", 705)
    members = mint.bundle(
        leaf=mint.leaf(key=key),
        signature=sign(key, ARTIFACT),
        hasher=hashes.SHA512(),
        details="PKIX_ED25519_PH",
    )

    assert refused(mint, members) == "SIGNATURE_INVALID"


def test_pure_ed25519_without_a_log(mint: Mint) -> None:
    """Where no log is asked for, a pure signature is proven by the artifact's bytes only."""
    key = new_key("ed25519", 706)
    members = mint.bundle(
        leaf=mint.leaf(key=key), signature=sign(key, ARTIFACT), hasher=hashes.SHA512()
    )
    members["verificationMaterial"]["tlogEntries"] = []
    options = Options(logs=0)

    assert mint.verify(members, options=options).identity == NAME
    code = refused(mint, members, artifact=digest_only("sha512"), options=options)
    assert code in {"DIGEST_UNSUPPORTED", "SIGNATURE_INVALID"}


@pytest.mark.parametrize("kind", ["ed25519", "ml-dsa-65"])
def test_pure_keys_sign_statements(mint: Mint, kind: str) -> None:
    """Keys that sign messages themselves sign statements, logged as dsse; a digest is enough."""
    members = mint.bundle("v1-dsse", leaf=mint.leaf(key=new_key(kind, 707)))

    assert mint.verify(members).identity == NAME
    assert mint.verify(members, digest_only("sha256")).identity == NAME


def test_message_digest_may_be_absent(mint: Mint) -> None:
    """The digest that the bundle states is a hint: it may be missing, never wrong."""
    members = mint.bundle()
    digest = members["messageSignature"].pop("messageDigest")
    assert mint.verify(members).identity == NAME

    for algorithm, value in (
        ("SHA2_256", b64(bytes(32))),
        ("SHA2_512", digest["digest"]),
        ("SHA3_256", digest["digest"]),
        ("HASH_ALGORITHM_UNSPECIFIED", digest["digest"]),
        ("SHA2_256", ""),
    ):
        stated = {"algorithm": algorithm, "digest": value}
        members["messageSignature"]["messageDigest"] = stated
        assert refused(mint, members) == "DIGEST_MISMATCH"


def test_another_hash_may_be_stated(mint: Mint) -> None:
    """A stated digest of another strong hash is compared under that hash."""
    members = mint.bundle()
    stated = {"algorithm": "SHA2_512", "digest": b64(sha512(ARTIFACT).digest())}
    members["messageSignature"]["messageDigest"] = stated

    assert mint.verify(members).identity == NAME
    assert refused(mint, members, artifact=digest_only("sha256")) == "DIGEST_UNSUPPORTED"


def test_signature_of_another_key(mint: Mint) -> None:
    """The signature is by the certificate's key, though log and timestamp vouch for another's."""
    for shape in ("v1-message", "v2-message", "v1-dsse", "v2-dsse"):
        forged = mint.bundle(shape, leaf=Held(mint.leaf().der, new_key("p256", 708)))
        assert refused(mint, forged) == "SIGNATURE_INVALID"


def test_details_of_another_key(mint: Mint) -> None:
    """A v2 entry names an algorithm of the key that signed."""
    for details in ("PKIX_ECDSA_P384_SHA_384", "PKIX_ED25519", "NONE"):
        members = mint.bundle(details=details)
        assert only_entry(members)
        assert refused(mint, members) == "ENTRY_KEY_MISMATCH"
