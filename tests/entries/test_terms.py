"""What entries are found by: the terms of each kind, and of the certificates in them.

The module is long: every kind has its cases, and they share the bodies that are made here.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.entries.worked import VECTORS, Vector
from tests.index.bodies import certificate, email, spki, uri
from touchplate.entries.terms import (
    MAX_SIGNATURES,
    MAX_SUBJECT_DIGESTS,
    NOTHING,
    key_terms,
    terms,
)
from touchplate.entries.terms_certificate import (
    MAX_LAYOUT_BYTES,
    MAX_LAYOUTS,
    CertificateTerms,
    TermsReader,
    read_certificate,
)
from touchplate.entries.terms_found import EntryTerms
from touchplate.entries.terms_pgp import read_pgp_addresses
from touchplate.errors import MalformedError
from touchplate.formats import der
from touchplate.formats.bundle import parse_bundle
from touchplate.formats.certificate import parse_certificate
from touchplate.formats.element import DerError
from touchplate.formats.extensions import BY_NUMBER, decode_extensions
from touchplate.keys.pem import encode_pem

# The worked examples of the first API's search index.
KEY = "85351e7f6a4ee8be6c746dca85e7c394b192192a0169f9e437d09edc9190112b"
ARTIFACT = "sha256:eb54ca97566e82390016d1e5f18b6069646d2ac0cd748647f3fa85f03ccc996e"
PAYLOAD = "sha256:427fa35ff81f40b0a6eb9e45b44ec96eb6aae3c75ab13aa46208d6317e32f8a0"
ENVELOPE = "sha256:fa4ba00846c26efcb13b83458754200ebd27b6b613a556b9d1154b0266a3d2e1"


@pytest.mark.parametrize(
    ("folder", "v1_keys"),
    [
        ("hashedrekord_v001", {KEY, ARTIFACT}),
        ("hashedrekord_v002", {KEY, ARTIFACT}),
        ("dsse_v001", {f"sha256:{KEY}", PAYLOAD, ENVELOPE}),
        ("dsse_v002", {f"sha256:{KEY}", PAYLOAD}),
        ("intoto_v002", {f"sha256:{KEY}", PAYLOAD}),
    ],
)
def test_v1_keys(worked: Callable[[str], Vector], folder: str, v1_keys: set[str]) -> None:
    """The index keys of the worked examples, with the prefix that each kind has."""
    found = terms(worked(folder).body)

    assert set(found.v1_keys) == v1_keys
    assert KEY in found.keys
    assert len(found.v1_keys) == len(v1_keys)


def test_every_kind(vector: Vector) -> None:
    """Each kind that a log takes is found by its digest and its key, in both encodings."""
    found = terms(vector.body)

    assert (found.kind, found.version) == (vector.kind, vector.version)
    assert len(found.digests) >= 1
    assert len(found.keys) == 2


def encoded(data: bytes) -> str:
    """Give standard base64."""
    return b64encode(data).decode()


def made(kind: str, spec: dict[str, Any], version: str = "0.0.1") -> bytes:
    """Give a body of a kind."""
    return json.dumps({"apiVersion": version, "kind": kind, "spec": spec}).encode()


PEM = encode_pem("PUBLIC KEY", spki("old"))
PEM_HASH = sha256(PEM).hexdigest()
HASH = {"algorithm": "sha256", "value": "AB" * 32}
DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        (
            "rekord",
            {
                "data": {"hash": HASH},
                "signature": {"format": "x509", "publicKey": {"content": encoded(PEM)}},
            },
        ),
        ("cose", {"data": {"payloadHash": HASH}, "publicKey": encoded(PEM)}),
        ("alpine", {"package": {"hash": HASH}, "publicKey": {"content": encoded(PEM)}}),
        (
            "jar",
            {"archive": {"hash": HASH}, "signature": {"publicKey": {"content": encoded(PEM)}}},
        ),
    ],
)
def test_historic_kinds(kind: str, spec: dict[str, Any]) -> None:
    """Kinds that only old logs hold are found by digest and key, both without prefix."""
    found = terms(made(kind, spec))

    assert found.digests == (DIGEST,)
    assert found.v1_keys == (DIGEST, PEM_HASH)
    assert found.keys == (PEM_HASH, sha256(spki("old")).hexdigest())


def pgp_packet(tag: int, content: bytes) -> bytes:
    """Give a packet in the newer format."""
    return bytes((0xC0 | tag, len(content))) + content


PGP = pgp_packet(6, b"key") + pgp_packet(13, b"Ann <ann@Example.com>") + pgp_packet(13, b"nobody")
ARMORED = (
    b"-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: x\n\n%b\n=abcd\n"
    b"-----END PGP PUBLIC KEY BLOCK-----" % b64encode(PGP)
)


@pytest.mark.parametrize("key", [PGP, ARMORED])
@pytest.mark.parametrize("kind", ["rekord", "rpm", "helm"])
def test_pgp(kind: str, key: bytes) -> None:
    """A key of OpenPGP names the addresses of its user ids."""
    content = {"content": encoded(key)}
    spec: dict[str, Any] = {
        "rekord": {"data": {"hash": HASH}, "signature": {"format": "pgp", "publicKey": content}},
        "rpm": {"package": {"hash": HASH}, "publicKey": content},
        "helm": {"chart": {"hash": HASH}, "publicKey": content},
    }[kind]

    found = terms(made(kind, spec))

    assert found.identities == ("ann@Example.com",)
    assert found.v1_keys == (DIGEST, sha256(key).hexdigest(), "ann@example.com")


def test_pgp_formats() -> None:
    """Packet lengths of the older format, and of two and five octets, are read."""
    user = b"a@b.example"
    long = user.rjust(300)
    size = len(long)
    assert read_pgp_addresses(bytes((0x80 | 13 << 2, len(user))) + user) == ("a@b.example",)
    assert read_pgp_addresses(b"\xb5" + len(user).to_bytes(2, "big") + user) == ("a@b.example",)
    two = bytes((0xCD, (size - 192 >> 8) + 192, (size - 192) & 0xFF)) + long
    assert read_pgp_addresses(two) == ("a@b.example",)
    assert read_pgp_addresses(b"\xcd\xff" + size.to_bytes(4, "big") + long) == ("a@b.example",)
    with pytest.raises(ValueError, match="packet"):
        read_pgp_addresses(b"\x00\x00\x00")


def test_timestamp_response() -> None:
    """A logged timestamp is found by its own hash, also if nothing else of it can be read."""
    found = terms(made("rfc3161", {"tsr": {"content": encoded(b"a response")}}))

    assert found.digests == (f"sha256:{sha256(b'a response').hexdigest()}",)
    assert found.v1_keys == found.digests


STATEMENT = {
    "subject": [{"name": "a", "digest": {"sha256": "CD" * 32, "sha1": "ee" * 20}}],
    "predicate": {"materials": [{"uri": "b", "digest": {"sha1": "ff" * 20}}]},
}
SUBJECTS = ("sha256:" + "cd" * 32, "sha1:" + "ee" * 20, "sha1:" + "ff" * 20)


def test_subjects_where_the_log_holds_them() -> None:
    """A body with the attestation in it is found by subjects and materials; one without is not."""
    payload = json.dumps(STATEMENT).encode()
    twice = encoded(encoded(payload).encode())
    signature = {"publicKey": encoded(PEM), "sig": encoded(b"c2ln")}
    envelope = {
        "payloadType": "application/vnd.in-toto+json",
        "payload": twice,
        "signatures": [signature],
    }
    with_payload = terms(
        made("intoto", {"content": {"envelope": envelope, "payloadHash": HASH}}, "0.0.2")
    )
    del envelope["payload"]
    without = terms(
        made("intoto", {"content": {"envelope": envelope, "payloadHash": HASH}}, "0.0.2")
    )
    text = json.dumps({"payloadType": "application/vnd.in-toto+json", "payload": encoded(payload)})
    older = terms(
        made(
            "intoto",
            {"content": {"envelope": text, "hash": HASH}, "publicKey": encoded(PEM)},
        )
    )

    assert with_payload.digests == (DIGEST, *SUBJECTS)
    assert without.digests == (DIGEST,)
    assert older.digests == (DIGEST, *SUBJECTS)
    assert set(SUBJECTS) <= set(older.v1_keys)


@pytest.mark.slow
def test_subjects_are_bounded() -> None:
    """A statement with more digests than anybody has is read up to a limit."""
    subjects = [{"digest": {"sha256": f"{number:064x}"}} for number in range(9000)]
    payload = encoded(encoded(json.dumps({"subject": subjects}).encode()).encode())
    envelope = {
        "payloadType": "application/vnd.in-toto+json",
        "payload": payload,
        "signatures": [],
    }

    found = terms(made("intoto", {"content": {"envelope": envelope}}, "0.0.2"))

    assert len(found.digests) == MAX_SUBJECT_DIGESTS


def test_hash_of_the_sender() -> None:
    """The envelope hash of intoto 0.0.2 is nobody's claim, and no term."""
    envelope = {"payloadType": "x", "signatures": []}
    body = made("intoto", {"content": {"envelope": envelope, "hash": HASH}}, "0.0.2")

    assert terms(body).digests == ()


def test_public_key_as_it_was_sent() -> None:
    """Intoto 0.0.2 keeps the PEM as it came; the key term is of its canonical form."""
    sent = b"  header: x\r\n" + PEM.replace(b"\n", b"\r\n")
    envelope = {"payloadType": "x", "signatures": [{"publicKey": encoded(sent), "sig": ""}]}

    found = terms(made("intoto", {"content": {"envelope": envelope}}, "0.0.2"))

    assert found.v1_keys == (f"sha256:{PEM_HASH}",)


NAMES = [
    email("Ann@Example.com"),
    uri("https://ci.example/a"),
    der.ia5_string("host.example", 0x82),
    der.tlv(0x87, bytes((192, 0, 2, 1))),
    der.tlv(0x87, bytes.fromhex("20010db8000000000000000000000001")),
    der.tlv(0x87, bytes.fromhex("00000000000000000000ffffc0000202")),
    der.tlv(0xA0, der.oid("1.3.6.1.4.1.57264.1.7") + der.explicit(0, der.utf8_string("jo@büro"))),
    der.tlv(0xA0, der.oid("1.2.3") + der.explicit(0, der.utf8_string("another kind"))),
    der.tlv(0x81, b"\xff\xfe"),
    der.tlv(0x87, b"short"),
]


def test_names() -> None:
    """Every kind of name that a certificate has is an identity, as the first API writes it."""
    found = CertificateTerms()
    read_certificate(certificate(NAMES), found)

    assert found.names == [
        "Ann@Example.com",
        "https://ci.example/a",
        "host.example",
        "192.0.2.1",
        "2001:db8::1",
        "192.0.2.2",
        "jo@büro",
    ]


@pytest.mark.parametrize("size", [1, 126, 127, 128, 129, 130, 131, 132, 133, 255, 256, 300])
def test_value_sizes(size: int) -> None:
    """Values are read whole whatever the form of their length."""
    found = CertificateTerms()
    made_ = certificate([], {9: "x" * size, 5: "y" * size})
    read_certificate(made_, found)

    assert found.extensions == [(9, "x" * size), (5, "y" * size)]


def test_critical_extension() -> None:
    """The optional flag of an extension is skipped; a value of another type has no text."""
    oid = "1.3.6.1.4.1.57264.1."
    found = CertificateTerms()
    extensions = der.sequence(
        der.sequence(
            der.oid(oid + "20"), der.boolean(True), der.octet_string(der.utf8_string("p"))
        ),
        der.sequence(der.oid(oid + "21"), der.octet_string(der.integer(5))),
        der.sequence(der.oid(oid + "2"), der.octet_string(b"\xff")),
        der.sequence(der.oid(oid + "1"), der.octet_string(b"https://old")),
        der.sequence(der.oid(oid + "300"), der.octet_string(der.utf8_string("far"))),
        der.sequence(der.oid(oid + "20.1"), der.octet_string(der.utf8_string("below"))),
    )
    empty = der.sequence()
    signed = der.sequence(
        der.integer(1), empty, empty, empty, empty, empty, der.explicit(3, extensions)
    )
    read_certificate(der.sequence(signed), found)

    assert found.extensions == [(20, "p"), (1, "https://old")]
    assert found.issuers == ["https://old"]


def read_with(reader: TermsReader, data: bytes) -> tuple[object, ...]:
    """Give what a reader finds, and whether it failed."""
    found = CertificateTerms()
    try:
        reader.read(data, found)
    except DerError as error:
        return (found.spki, found.names, found.issuers, found.extensions, str(error))
    return (found.spki, found.names, found.issuers, found.extensions)


LAID_OUT: Final = (
    certificate(NAMES[:3], {1: "https://i", 8: "https://i", 20: "push", 9: "x" * 200}),
    certificate(NAMES, {1: "https://i"}),
    certificate([], {}),
)


@pytest.mark.parametrize("like", LAID_OUT)
def test_layout(like: bytes) -> None:
    """A certificate of a layout that was met twice is not walked, and gives its own values."""
    reader = TermsReader()
    for _ in range(2):
        read_with(reader, like)
    other = like.replace(b"nn@Example.com", b"\xff\xfe@Example.com").replace(b"x" * 200, b"y" * 200)
    other = other.replace(b"host.example", b"elsewhere.it")

    assert len(other) == len(like)
    for data in (like, other):
        assert read_with(reader, data) == read_with(TermsReader(), data)
    ((layout, *_),) = ([each for each in reader._layouts.values() if each],)
    assert int.from_bytes(other, "little") & layout.looked_at == layout.octets


@settings(max_examples=300)
@given(st.data())
def test_layout_of_changed_certificates(data: st.DataObject) -> None:
    """Whatever octets are changed, a reader that knows the layout finds what the walk finds."""
    like = data.draw(st.sampled_from(LAID_OUT))
    reader = TermsReader()
    for _ in range(2):
        read_with(reader, like)
    changed = bytearray(like)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(like) - 1))] = data.draw(st.integers(0, 255))

    assert read_with(reader, bytes(changed)) == read_with(TermsReader(), bytes(changed))


@pytest.mark.parametrize("size", range(12))
def test_layout_and_short_extensions(size: int) -> None:
    """The walk looks beyond a short extension: what it sees there is a part of the layout."""
    extension = der.sequence(der.oid("2.5.29.17")[:size])
    signed = der.sequence(
        *(der.integer(1), *[der.sequence()] * 5, der.explicit(3, der.sequence(extension)))
    )
    tail = der.oid("2.5.29.17") + der.octet_string(der.sequence(der.ia5_string("a.example", 0x82)))
    reader = TermsReader()
    for after in (bytes(40), bytes(40), tail + bytes(40 - len(tail)), b"\xff" * 40):
        made_ = der.sequence(signed, after)
        assert read_with(reader, made_) == read_with(TermsReader(), made_)


def test_layouts_are_bounded() -> None:
    """Certificates of ever new lengths, and very long ones, do not fill the memory."""
    reader = TermsReader()
    for size in range(1, 2 * MAX_LAYOUTS):
        read_with(reader, certificate([], {9: "x" * size}))
    long = certificate([], {9: "x" * MAX_LAYOUT_BYTES})
    read_with(reader, long)

    assert len(reader._layouts) <= MAX_LAYOUTS
    assert all(size <= MAX_LAYOUT_BYTES for size, _ in reader._layouts)


def test_bundles_of_the_suite(conformance: Path) -> None:
    """Real certificates give the names and extensions that the strict reader gives."""
    seen = 0
    for path in sorted(conformance.rglob("*.sigstore.json")):
        try:
            bundle = parse_bundle(path.read_bytes())
            raw = json.loads(path.read_bytes())["verificationMaterial"]
            first = raw.get("certificate") or raw["x509CertificateChain"]["certificates"][0]
            leaf = parse_certificate(b64decode(first["rawBytes"]))
            known = decode_extensions(leaf)
        except (MalformedError, KeyError, TypeError):
            continue
        found = CertificateTerms()
        read_certificate(leaf.der, found)
        named = {BY_NUMBER[n].name: text for n, text in found.extensions if n in BY_NUMBER}
        assert named == known
        assert {name.value for name in leaf.alternative_names} <= set(found.names)
        assert found.spki == leaf.spki
        assert bundle is not None
        seen += 1
    assert seen > 10


def test_production_entry(conformance: Path) -> None:
    """A body that a public log made is found by what its bundle says."""
    for path in sorted(conformance.rglob("*.sigstore.json")):
        members = json.loads(path.read_bytes())
        entries = members.get("verificationMaterial", {}).get("tlogEntries") or []
        digest = members.get("messageSignature", {}).get("messageDigest", {}).get("digest")
        if len(entries) == 1 and digest and entries[0].get("canonicalizedBody"):
            found = terms(b64decode(entries[0]["canonicalizedBody"]))
            if found.identities:
                assert f"sha256:{b64decode(digest).hex()}" in found.digests
                assert found.issuers
                return
    pytest.fail("no such bundle in the suite")


def test_key_terms() -> None:
    """A key or a certificate in a file leads to what its entries are found by."""
    der_ = certificate([email("a@b.example")], {8: "https://i"}, key="k")
    pem = encode_pem("CERTIFICATE", der_)

    assert key_terms(PEM) == (PEM_HASH, sha256(spki("old")).hexdigest())
    assert key_terms(pem) == (sha256(pem).hexdigest(), sha256(spki("k")).hexdigest())
    with pytest.raises(MalformedError):
        key_terms(b"no PEM at all")


def test_many_signatures() -> None:
    """Signatures beyond the limit are not read, and one that is broken does not hide the next."""
    pems = [encode_pem("PUBLIC KEY", spki(f"k{number}")) for number in range(MAX_SIGNATURES + 5)]
    signatures: list[Any] = [{"signature": "", "verifier": encoded(pem)} for pem in pems]
    signatures[1] = {"verifier": "%"}
    signatures[2] = 5

    found = terms(made("dsse", {"payloadHash": HASH, "signatures": signatures}))

    assert len(found.v1_keys) == 1 + MAX_SIGNATURES - 2
    assert f"sha256:{sha256(pems[3]).hexdigest()}" in found.v1_keys


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda each: (
        st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=8), each, max_size=3)
    ),
    max_leaves=8,
)


@given(st.data())
def test_hostile_members(data: st.DataObject) -> None:
    """A body with any member replaced by anything is read as far as it goes, without an error."""
    folders = [path for path in VECTORS.iterdir() if path.is_dir()]
    folder = data.draw(st.sampled_from(sorted(folders)))
    body = json.loads((folder / "body.json").read_bytes())
    place = body
    while True:
        name = data.draw(st.sampled_from(sorted(place)))
        if isinstance(place[name], dict) and data.draw(st.booleans()):
            place = place[name]
            continue
        if isinstance(place[name], list) and data.draw(st.booleans()):
            place = place[name][0]
            continue
        break
    place[name] = data.draw(json_values)

    assert isinstance(terms(json.dumps(body).encode()), EntryTerms)


@given(st.binary(max_size=200))
def test_hostile_bytes(data: bytes) -> None:
    """Bytes that are no entry have no terms."""
    assert isinstance(terms(data), EntryTerms)


@given(st.data())
def test_hostile_certificates(data: st.DataObject) -> None:
    """A certificate with flipped bytes gives what it gives, and the entry stays to be found."""
    raw = bytearray(certificate(NAMES, {8: "https://i", 20: "push"}))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    pem = encode_pem("CERTIFICATE", cut) if cut else PEM
    spec = {"data": {"hash": HASH}, "signature": {"publicKey": {"content": encoded(pem)}}}

    found = terms(made("hashedrekord", spec))

    assert found.digests == (DIGEST,)
    assert sha256(pem).hexdigest() in found.v1_keys


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b"[" * 100_000,
        b'{"kind":"hashedrekord","apiVersion":"0.0.1"}',
        b'{"kind":5,"apiVersion":"0.0.1","spec":{}}',
        b'{"kind":"\\ud800","apiVersion":"0.0.1","spec":{}}',
        b'{"kind":"%b","apiVersion":"0.0.1","spec":{}}' % (b"x" * 65),
        b"\xff\xfe",
        b"1" * 10_000,
    ],
    ids=range(11),
)
def test_no_entry(body: bytes) -> None:
    """What is no entry is found by nothing."""
    assert terms(body) == NOTHING


@pytest.mark.parametrize("kind", ["tuf", "something"])
def test_unknown_kind(kind: str) -> None:
    """A kind without terms is found by its kind."""
    assert terms(made(kind, {"a": 1})) == EntryTerms(kind, "0.0.1")


@pytest.mark.parametrize(
    "value", [{"algorithm": "\ud800", "value": "00"}, {"algorithm": ["x"], "value": 1}, 7, [], {}]
)
def test_broken_digest_hides_no_signer(value: object) -> None:
    """An entry whose digest is not one is found by its key all the same."""
    spec = {"data": {"hash": value}, "signature": {"publicKey": {"content": encoded(PEM)}}}

    assert terms(made("hashedrekord", spec)).v1_keys == (PEM_HASH,)
