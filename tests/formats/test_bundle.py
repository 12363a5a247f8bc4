"""Bundles as JSON: what each version allows, the rules of protobuf JSON, the limits."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.verify.mint import KEY_SHAPES, SHAPES, Mint, b64, only_entry
from touchplate.errors import MalformedError
from touchplate.formats.bundle import (
    MEDIA_TYPE,
    Bundle,
    CertificateMaterial,
    Envelope,
    MessageSignature,
    PublicKeyHint,
    encode_bundle,
    encode_entry,
    parse_bundle,
    parse_entry,
)

MINT = Mint.new(6000)


def parse(members: Any) -> Bundle:
    """Parse a bundle that is given as members."""
    return parse_bundle(json.dumps(members).encode())


def refused(members: Any) -> str:
    """Give the code with which it is refused."""
    with pytest.raises(MalformedError) as caught:
        parse(members)
    return caught.value.code


def good(shape: str = "v1-message") -> dict[str, Any]:
    """Give a good bundle as members."""
    return MINT.bundle(shape)


@pytest.mark.parametrize("shape", [*SHAPES, *KEY_SHAPES])
def test_there_and_back(shape: str) -> None:
    """Written again, in version 0.3, a bundle holds the same."""
    first = parse(good(shape))
    again = parse_bundle(encode_bundle(first))

    assert json.loads(encode_bundle(first))["mediaType"] == MEDIA_TYPE
    assert (again.entries, again.timestamps, again.content, again.version) == (
        first.entries,
        first.timestamps,
        first.content,
        "0.3",
    )
    assert again.material == first.material
    assert isinstance(first.material, PublicKeyHint if shape in KEY_SHAPES else CertificateMaterial)
    assert isinstance(
        first.content, Envelope if shape.endswith(("dsse", "intoto")) else MessageSignature
    )


def test_entry_there_and_back() -> None:
    """A log's answer alone is read and written."""
    entry = parse(good()).entries[0]

    assert parse_entry(encode_entry(entry)) == entry
    assert parse_entry(json.dumps(only_entry(good("v2-message"))).encode()).is_v2


@pytest.mark.parametrize(
    "media",
    [
        None,
        "",
        1,
        "application/vnd.dev.sigstore.bundle.v0.4+json",
        "application/vnd.dev.sigstore.bundle+json;version=99.9",
        "application/vnd.dev.sigstore.bundle+json; version=0.3",
        "application/vnd.dev.sigstore.bundle.v0.3+json ",
        "application/json",
    ],
)
def test_media_type(media: object) -> None:
    """Only the four media types that exist."""
    code = refused({**good(), "mediaType": media})
    assert code == ("BUNDLE_MALFORMED" if media == 1 else "BUNDLE_VERSION")


def test_protobuf_json() -> None:
    """Numbers may be strings or numbers, enums names or numbers, base64 of either alphabet."""
    members = good()
    entry = only_entry(members)
    entry["logIndex"] = int(entry["logIndex"])
    entry["inclusionProof"]["treeSize"] = int(entry["inclusionProof"]["treeSize"])
    members["messageSignature"]["messageDigest"]["algorithm"] = 1
    signature = members["messageSignature"]["signature"]
    members["messageSignature"]["signature"] = (
        signature.replace("+", "-").replace("/", "_").rstrip("=")
    )
    members["unknown"] = {"field": 1}

    assert parse(members).content == parse(good_with(signature)).content


def good_with(signature: str) -> dict[str, Any]:
    """Give a good bundle with this signature."""
    members = good()
    members["messageSignature"]["signature"] = signature
    return members


def test_defaults() -> None:
    """What has its default may be left out, or be null."""
    members = good("v2-message")
    entry = only_entry(members)
    entry["logIndex"] = None
    entry["inclusionPromise"] = None
    del entry["inclusionProof"]["hashes"]
    del entry["kindVersion"]

    found = parse(members).entries[0]
    assert (found.log_index, found.integrated_time, found.promise) == (0, 0, None)
    assert found.proof is not None
    assert (found.proof.hashes, found.kind) == ((), "")


ENTRY = ("verificationMaterial", "tlogEntries", 0)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("verificationMaterial",), None),
        (("verificationMaterial",), []),
        (("verificationMaterial", "certificate"), None),
        (("verificationMaterial", "certificate", "rawBytes"), "AAAA"),
        (("verificationMaterial", "certificate", "rawBytes"), None),
        (("verificationMaterial", "tlogEntries"), {}),
        (("verificationMaterial", "timestampVerificationData"), []),
        ((*ENTRY, "logIndex"), "-1"),
        ((*ENTRY, "logIndex"), "1.0"),
        ((*ENTRY, "logIndex"), 1.5),
        ((*ENTRY, "logIndex"), True),
        ((*ENTRY, "logIndex"), "9223372036854775808"),
        ((*ENTRY, "integratedTime"), "-1"),
        ((*ENTRY, "logId"), None),
        ((*ENTRY, "logId", "keyId"), b64(bytes(31))),
        ((*ENTRY, "inclusionPromise"), {}),
        ((*ENTRY, "inclusionProof", "treeSize"), "-5"),
        ((*ENTRY, "inclusionProof", "hashes"), ["!"]),
        ((*ENTRY, "canonicalizedBody"), "\u00e9"),
        (("messageSignature",), None),
        (("messageSignature", "signature"), ""),
        (("messageSignature", "signature"), "INVALID!!!BASE64!!!ENCODING===="),
        (("messageSignature", "signature"), 5),
        (("messageSignature", "messageDigest", "algorithm"), "MD5"),
        (("messageSignature", "messageDigest", "algorithm"), 99),
        (("dsseEnvelope",), {}),
    ],
    ids=str,
)
def test_malformed(path: tuple[Any, ...], value: object) -> None:
    """Each field has one form."""
    members: Any = good()
    holder = members
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = value

    assert refused(members) == "BUNDLE_MALFORMED"


def test_error_names_the_field() -> None:
    """The message says where in the document the fault is."""
    members = good()
    only_entry(members)["logIndex"] = "x"
    with pytest.raises(MalformedError, match=r"verificationMaterial\.tlogEntries\[0\]\.logIndex"):
        parse(members)


def test_versions() -> None:
    """A chain is for 0.1 and 0.2, a certificate for 0.3, a promise a must for 0.1."""
    chain, single = good("v0.2"), good("v1-message")
    promise_less = good("v0.1")
    del only_entry(promise_less)["inclusionPromise"]

    assert refused({**chain, "mediaType": MEDIA_TYPE}) == "BUNDLE_VERSION_RULE"
    assert refused({**single, "mediaType": chain["mediaType"]}) == "BUNDLE_VERSION_RULE"
    assert refused(promise_less) == "BUNDLE_VERSION_RULE"


def test_limits() -> None:
    """Counts and sizes are bounded."""
    material = ("verificationMaterial",)
    cases: list[tuple[tuple[Any, ...], Any]] = [
        ((*material, "tlogEntries"), [only_entry(good())] * 33),
        ((*ENTRY, "inclusionProof", "hashes"), [b64(bytes(32))] * 65),
        ((*ENTRY, "inclusionProof", "checkpoint", "envelope"), "x" * 65_537),
        ((*ENTRY, "canonicalizedBody"), b64(bytes(1024 * 1024 + 1))),
        (("messageSignature", "signature"), b64(bytes(16_385))),
        (
            (*material, "timestampVerificationData"),
            {"rfc3161Timestamps": [{"signedTimestamp": "AAAA"}] * 33},
        ),
        ((*material, "tlogEntries"), [only_entry(good())] * 2),
        (
            (*material, "timestampVerificationData"),
            {"rfc3161Timestamps": [{"signedTimestamp": "AAAA"}] * 2},
        ),
    ]
    for path, value in cases:
        members: Any = good()
        holder = members
        for name in path[:-1]:
            holder = holder[name]
        holder[path[-1]] = value
        assert refused(members) == "BUNDLE_LIMIT", path
    chain = good("v0.2")
    certificates = chain["verificationMaterial"]["x509CertificateChain"]["certificates"]
    certificates *= 11
    assert refused(chain) == "BUNDLE_LIMIT"


def test_at_the_limits() -> None:
    """As much of each thing as is allowed."""
    members = good()
    material = members["verificationMaterial"]
    entry = only_entry(members)
    entry["inclusionProof"]["hashes"] = [b64(bytes(32))] * 64
    entry["inclusionProof"]["checkpoint"]["envelope"] = "x" * 65_536
    members["messageSignature"]["signature"] = b64(bytes(16_384))
    material["tlogEntries"] = [{**entry, "logIndex": str(index)} for index in range(32)]
    material["timestampVerificationData"] = {
        "rfc3161Timestamps": [{"signedTimestamp": b64(bytes(index + 1))} for index in range(32)]
    }

    bundle = parse_bundle(json.dumps(members).encode())
    assert (len(bundle.entries), len(bundle.timestamps)) == (32, 32)


def test_depth() -> None:
    """A document that is nested too deeply is refused before it is read."""
    members = json.dumps(good())[:-1] + ', "x": ' + "[" * 100_000 + "]" * 100_000 + "}"
    with pytest.raises(MalformedError) as caught:
        parse_bundle(members.encode())
    assert caught.value.code == "LIMIT_EXCEEDED"


@given(st.binary(max_size=100))
def test_noise(data: bytes) -> None:
    """Noise is refused with our own error."""
    with pytest.raises(MalformedError):
        parse_bundle(data)
    with pytest.raises(MalformedError):
        parse_entry(data)
