"""Bundles as JSON: what each version allows, the rules of protobuf JSON, the limits."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.verify.certificates import b64
from tests.verify.mint import KEY_SHAPES, SHAPES, Mint, only_entry
from touchplate.errors import MalformedError
from touchplate.formats import bundle as bundle_module
from touchplate.formats.bundle import (
    MEDIA_TYPE,
    MEDIA_TYPES,
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
from touchplate.formats.jsontext import parse_json

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


ODD: tuple[Any, ...] = (
    None,
    "",
    "0",
    "-1",
    "+1",
    "01",
    "1_0",
    " 1",
    "\u0661",
    "9" * 30,
    "YQ",
    "YQ==",
    "Y Q==",
    "-_8=",
    "SHA2_384",
    "x" * 70_000,
    "YWFh" * 8_000,
    0,
    1,
    1.5,
    1e999,
    True,
    False,
    [],
    {},
    [""],
    [{}],
    ["", ""],
    {"": ""},
    {"rawBytes": "YQ=="},
    {"certificates": []},
    {"hint": "x"},
    {"rfc3161Timestamps": []},
    {"rfc3161Timestamps": ""},
    {"rfc3161Timestamps": {}},
    {"signedEntryTimestamp": "YQ=="},
    *MEDIA_TYPES,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Give every object and array of a document with each of its names or positions."""
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


def changed(members: Any, data: st.DataObject) -> Any:
    """Give a document with a value replaced, taken away, doubled, or set under another name."""
    members = json.loads(json.dumps(members))
    for _ in range(data.draw(st.integers(1, 2))):
        all_places = places(members)
        if not all_places:
            break
        holder, key = data.draw(st.sampled_from(all_places))
        odd = deepcopy(data.draw(st.sampled_from(ODD)))
        what = data.draw(st.sampled_from(["replace", "replace", "delete", "double", "beside"]))
        if what == "delete":
            del holder[key]
        elif what == "double" and isinstance(holder, list):
            holder.append(holder[key])
        elif what == "beside" and isinstance(holder, dict):
            names = [name for place, name in places([good(shape) for shape in SHAPES])]
            holder[data.draw(st.sampled_from([n for n in names if isinstance(n, str)]))] = odd
        else:
            holder[key] = odd
    return members


CODE = "BUNDLE_MALFORMED"
DEEP = '"x":' + "[" * 70 + "]" * 70


def read_any(members: Any) -> Bundle | None:
    """Give what the reader of all forms says of a document."""
    try:
        return bundle_module._any(members)
    except MalformedError:
        return None


@pytest.mark.slow
@settings(max_examples=400)
@given(st.sampled_from([*SHAPES, *KEY_SHAPES]), st.data())
def test_usual_form(shape: str, data: st.DataObject) -> None:
    """What is read in the short way is exactly what the reader of all forms gives."""
    members = changed(good(shape), data)
    usual = bundle_module._usual(members)
    assert usual is None or usual == read_any(members)
    text = json.dumps(members)
    assert read(text) == read_strictly(text)


def read(text: str) -> Bundle | str:
    """Give the bundle in a text, or the message with which it is refused."""
    try:
        return parse_bundle(text.encode())
    except MalformedError as error:
        return error.message


def read_strictly(text: str) -> Bundle | str:
    """Give the same without any short way."""
    try:
        members = parse_json(text.encode(), what="bundle", max_bytes=2**25, error=CODE)
        return bundle_module._any(members)
    except MalformedError as error:
        return error.message


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("more", ['"x":1', '"x":"y"', '"x":{"y":"z"}', '"":null', DEEP])
def test_members_that_nobody_reads(shape: str, more: str) -> None:
    """With another member in any object the answer is that of the strict way, depth included."""
    text = json.dumps(good(shape))
    for at in [place for place, letter in enumerate(text) if letter == "{"]:
        changed = f"{text[: at + 1]}{more},{text[at + 1 :]}"
        found = read(changed)
        assert found == read_strictly(changed)
        assert isinstance(found, str) == (more is DEEP)


@pytest.mark.parametrize("shape", SHAPES)
def test_members_that_stand_twice(shape: str) -> None:
    """No member of any object may stand twice, whatever its first value is."""
    members = good(shape)
    for holder, name in places(members):
        if not isinstance(holder, dict):
            continue
        for first in ("null", "1", '"x"', "{}", json.dumps(holder[name])):
            before = dict(holder)
            holder[f"#{name}"] = 0
            text = json.dumps(members).replace(json.dumps(f"#{name}") + ": 0", f'"{name}": {first}')
            del holder[f"#{name}"]
            assert holder == before
            assert f"the member {name!r} occurs twice" in str(read(text))


@pytest.mark.parametrize("shape", SHAPES)
def test_half_of_a_surrogate_pair(shape: str) -> None:
    """A text that is no text is refused wherever it stands."""
    members = good(shape)
    for holder, name in places(members):
        before = holder[name]
        if isinstance(before, str):
            for half in ("\ud800", before + "\udfff"):
                holder[name] = half
                assert "surrogate" in str(read(json.dumps(members)))
            holder[name] = before


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("before", "after"), [(" ", "\r\n\t "), ("", "x"), ("", "\x0b"), ("\ufeff", "")]
)
def test_around_the_object(shape: str, before: str, after: str) -> None:
    """White space of JSON may stand around a bundle, and nothing else."""
    text = before + json.dumps(good(shape)) + after
    found = read(text)
    assert found == read_strictly(text)
    assert isinstance(found, Bundle) == (after == "\r\n\t ")


@pytest.mark.slow
@pytest.mark.parametrize("odd", range(len(ODD)))
@pytest.mark.parametrize("shape", [*SHAPES, *KEY_SHAPES])
def test_usual_form_at_each_place(shape: str, odd: int) -> None:
    """So it is with each odd value in each single place, and with each member gone."""
    members = good(shape)
    for number in range(len(places(members))):
        again = json.loads(json.dumps(members))
        holder, key = places(again)[number]
        holder[key] = ODD[odd]
        usual = bundle_module._usual(again)
        assert usual is None or usual == read_any(again), (key, ODD[odd])
        del holder[key]
        usual = bundle_module._usual(again)
        assert usual is None or usual == read_any(again), key


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_usual(shape: str) -> None:
    """Bundles of every version with a certificate are read in the short way."""
    members = good(shape)
    members["verificationMaterial"].setdefault("tlogEntries", [])
    is_one = len(members["verificationMaterial"]["tlogEntries"]) == 1
    assert (bundle_module._usual(members) is not None) == is_one
    if is_one:
        text = json.dumps(members)
        assert bundle_module._is_all(members, text.count('"'))
        for quotes in (-2, 2):
            assert not bundle_module._is_all(members, text.count('"') + quotes)


@pytest.mark.parametrize("shape", SHAPES)
def test_null_is_no_string(shape: str) -> None:
    """What may be null is counted as that, so that no other member hides in its place."""
    members = good(shape)
    material = members["verificationMaterial"]
    entry = (material.get("tlogEntries") or [{}])[0]
    for holder, name in ((entry, "inclusionPromise"), (material, "timestampVerificationData")):
        before = holder.get(name)
        holder[name] = None
        text = json.dumps(members)
        if bundle_module._usual(members) is not None:
            assert bundle_module._is_all(members, text.count('"'))
        if before is not None:
            holder[name] = before


def test_one_member_beside_another() -> None:
    """A second signer, content or timestamp is never overlooked."""
    for shape in SHAPES:
        for name, above in (
            ("publicKey", "verificationMaterial"),
            ("certificate", "verificationMaterial"),
            ("x509CertificateChain", "verificationMaterial"),
            ("messageSignature", None),
            ("dsseEnvelope", None),
        ):
            for value in ({}, {"hint": "x"}, {"signature": "YQ=="}):
                members = good(shape)
                (members if above is None else members[above]).setdefault(name, value)
                usual = bundle_module._usual(members)
                assert usual is None or usual == read_any(members), (shape, name)
