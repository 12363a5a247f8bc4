"""What each version of a bundle must and must not hold, and how much of it."""

import pytest

from tests.verify.certificates import b64
from tests.verify.mint import NAME, SHAPES, Mint, only_entry, refused
from tests.verify.promises import stamp
from touchplate.verify import Options


@pytest.mark.parametrize(
    ("media", "shape", "material"),
    [
        ("application/vnd.dev.sigstore.bundle.v0.3+json", "v0.2", "x509CertificateChain"),
        ("application/vnd.dev.sigstore.bundle+json;version=0.3", "v0.2", "x509CertificateChain"),
        ("application/vnd.dev.sigstore.bundle+json;version=0.2", "v1-message", "certificate"),
        ("application/vnd.dev.sigstore.bundle+json;version=0.1", "v1-message", "certificate"),
    ],
)
def test_material_of_another_version(mint: Mint, media: str, shape: str, material: str) -> None:
    """A chain is for versions 0.1 and 0.2 only, a bare certificate for 0.3."""
    members = mint.bundle(shape)
    assert material in members["verificationMaterial"]
    members["mediaType"] = media

    assert refused(mint, members) == "BUNDLE_VERSION_RULE"


def test_v0_1_needs_the_promise(mint: Mint) -> None:
    """Version 0.1 has an inclusion promise, even beside a good timestamp."""
    members = mint.bundle("v0.1", stamps=lambda value: [stamp(value, mint.tsa)])
    assert mint.verify(members).identity == NAME
    del only_entry(members)["inclusionPromise"]

    assert refused(mint, members) == "BUNDLE_VERSION_RULE"


@pytest.mark.parametrize("shape", SHAPES)
def test_proof_is_required(mint: Mint, shape: str) -> None:
    """No version does without a proof and its checkpoint."""
    without, half = mint.bundle(shape), mint.bundle(shape)
    del only_entry(without)["inclusionProof"]
    del only_entry(half)["inclusionProof"]["checkpoint"]

    assert refused(mint, without) == "INCLUSION_PROOF_MISSING"
    assert refused(mint, half) == "INCLUSION_PROOF_MISSING"


def test_promise_alone(mint: Mint) -> None:
    """Only version 0.1, and only if the caller asks for it, may rely on the promise alone."""
    lenient = Options(accept_promise_alone=True)
    old, newer = mint.bundle("v0.1"), mint.bundle("v0.2")
    for members in (old, newer):
        del only_entry(members)["inclusionProof"]

    assert mint.verify(old, options=lenient).identity == NAME
    assert refused(mint, newer, options=lenient) == "INCLUSION_PROOF_MISSING"
    spoiled = mint.bundle("v0.1")
    only_entry(spoiled)["inclusionProof"]["hashes"].pop()
    assert refused(mint, spoiled, options=lenient) == "INCLUSION_PROOF_INVALID"


def test_oversize(mint: Mint) -> None:
    """More than the limits allow is refused before any signature is looked at."""
    many = mint.bundle()
    entry = only_entry(many)
    many["verificationMaterial"]["tlogEntries"] = [
        {**entry, "logIndex": str(number)} for number in range(33)
    ]
    stamps = mint.bundle(
        stamps=lambda value: [stamp(value, mint.tsa, fraction=f".{n}1") for n in range(33)]
    )
    hashes = mint.bundle()
    only_entry(hashes)["inclusionProof"]["hashes"] = [b64(bytes(32))] * 65
    long = mint.bundle()
    only_entry(long)["inclusionProof"]["checkpoint"]["envelope"] += "\u2014 x AAAAAAA=\n" * 6000

    for members in (many, stamps, hashes, long):
        assert refused(mint, members) == "BUNDLE_LIMIT"


@pytest.mark.slow
def test_same_twice(mint: Mint) -> None:
    """The same entry or the same timestamp twice is refused: it can only be there to be counted."""
    entries = mint.bundle()
    entries["verificationMaterial"]["tlogEntries"] *= 2
    stamps = mint.bundle()
    stamps["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] *= 2

    assert refused(mint, entries) == "BUNDLE_LIMIT"
    assert refused(mint, stamps) == "BUNDLE_LIMIT"
