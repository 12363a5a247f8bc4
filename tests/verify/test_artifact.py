"""The artifact: digests, and what is refused instead of one."""

from hashlib import sha256, sha512

import pytest

from touchplate.errors import MalformedError, VerificationError
from touchplate.verify import Artifact

HEX = sha256(b"hello\n").hexdigest()


def test_from_bytes() -> None:
    """Bytes have every digest, and a content."""
    artifact = Artifact.from_bytes(b"hello\n")

    assert artifact.digest("sha256").hex() == HEX
    assert artifact.digest("sha512") == sha512(b"hello\n").digest()
    assert artifact.content() == b"hello\n"


def test_from_source() -> None:
    """What lies elsewhere is hashed when asked, once for each hash, and read only if need be."""
    asked: list[str] = []

    def hash_with(name: str) -> bytes:
        asked.append(name)
        return sha256(b"x").digest()

    artifact = Artifact.from_source(hash_with, lambda: b"x")
    assert artifact.digest("sha256") == artifact.digest("sha256")
    assert (asked, artifact.content()) == (["sha256"], b"x")


@pytest.mark.parametrize("text", [f"sha256:{HEX}", f"sha256:{HEX.upper()}"])
def test_from_digest(text: str) -> None:
    """A digest is taken in either case, and is all that is known."""
    artifact = Artifact.from_digest(text)

    assert artifact.digest("sha256").hex() == HEX
    assert not artifact.knows("sha512")
    with pytest.raises(VerificationError) as other_hash:
        artifact.digest("sha512")
    with pytest.raises(VerificationError) as content:
        artifact.content()
    assert (other_hash.value.code, content.value.code) == ("DIGEST_UNSUPPORTED",) * 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEX,
        f"sha256:{HEX[:-1]}",
        f"sha256:{HEX}0",
        f"sha512:{HEX}",
        f"SHA256:{HEX}",
        f"md5:{HEX[:32]}",
        f"sha256: {HEX[:-1]}",
        f"sha256:{HEX[:-2]}  ",
        "sha256:" + "g" * 64,
        "sha256:" + "\u0660" * 64,
        f"sha256:{HEX}\n",
    ],
)
def test_not_a_digest(text: str) -> None:
    """A digest has one of three names and exactly its number of hex digits."""
    with pytest.raises(MalformedError) as caught:
        Artifact.from_digest(text)
    assert caught.value.code == "DIGEST_MALFORMED"


def test_from_digests() -> None:
    """Digests of the wrong length, or none at all, are refused."""
    assert Artifact.from_digests({"sha256": bytes(32)}).knows("sha256")
    for digests in ({}, {"sha256": bytes(31)}, {"sha512": bytes(32)}):
        with pytest.raises(MalformedError):
            Artifact.from_digests(digests)  # type: ignore[arg-type]  # a wrong one is the point
