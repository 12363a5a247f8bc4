"""Real roots from the conformance suite, and roots built here for each rule."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from sigstore.models import TrustedRoot as PeerTrustedRoot

from touchplate.errors import MalformedError, VerificationError
from touchplate.formats.trusted_root import (
    MAX_CHAIN,
    MAX_ENTRIES,
    MEDIA_TYPES,
    TrustedRoot,
    encode_trusted_root,
    host_of,
    parse_trusted_root,
)
from touchplate.keys.signer import generate

START = "2030-01-01T00:00:00Z"
NAME = "log2030-1.example.test"
LOG_SPKI = "MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
LOG_ID = "1IkLYNsH+yf0Ol49kspIO3WAR+bGl2++61qtr+DpdHA="


@cache
def certificate() -> str:
    """Make a self-signed certificate, in base64."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root")])
    start = datetime(2030, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start.replace(2040))
    der = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    return b64encode(der).decode()


def log(**members: Any) -> dict[str, Any]:
    """Give a log entry of the worked example."""
    return {
        "baseUrl": f"https://{NAME}",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": LOG_SPKI,
            "keyDetails": "PKIX_ED25519",
            "validFor": {"start": START},
        },
        "logId": {"keyId": LOG_ID},
        "checkpointKeyId": {"keyId": "1IkLYA=="},
        "operator": "example.test",
        **members,
    }


def key(**members: Any) -> dict[str, Any]:
    """Give a log entry whose key differs from the example's."""
    entry = log(logId=None, checkpointKeyId=None)
    entry["publicKey"].update(members)
    return entry


def authority(**members: Any) -> dict[str, Any]:
    """Give an authority."""
    return {
        "subject": {"organization": "example.test", "commonName": "example-root"},
        "uri": "https://fulcio.example.test",
        "certChain": {"certificates": [{"rawBytes": certificate()}]},
        "validFor": {"start": START, "end": "2031-12-31T23:59:59.999Z"},
        "operator": "example.test",
        **members,
    }


def document(**lists: object) -> bytes:
    """Give a trusted root of these lists."""
    return json.dumps({"mediaType": MEDIA_TYPES[2], **lists}).encode()


def invalid(data: bytes, code: str = "TRUST_ROOT_INVALID") -> MalformedError:
    """Hold that this is no trusted root."""
    with pytest.raises(MalformedError) as error:
        parse_trusted_root(data)
    assert error.value.code == code
    return error.value


def test_worked_example() -> None:
    """The example's log has the name of its host, its ids and an open window."""
    root = parse_trusted_root(document(tlogs=[log()], certificateAuthorities=[authority()]))
    (entry,) = root.tlogs
    assert entry.name == NAME
    assert entry.log_id == b64decode(LOG_ID)
    assert entry.checkpoint_key_id == b64decode("1IkLYA==")
    assert entry.key_details == "PKIX_ED25519"
    assert (entry.operator, entry.valid_until) == ("example.test", None)
    (ca,) = root.certificate_authorities
    assert ca.subject.common_name == "example-root"
    assert len(ca.chain) == 1
    assert root.skipped == ()


def test_ids_are_computed() -> None:
    """Ids that are not given are made from key and name."""
    root = parse_trusted_root(document(tlogs=[log(logId=None, checkpointKeyId=None)]))
    assert root.tlogs[0].log_id == b64decode(LOG_ID)
    assert root.tlogs[0].checkpoint_key_id == b64decode("1IkLYA==")


def test_long_checkpoint_key_id() -> None:
    """A checkpoint key id of 32 bytes counts with its first four."""
    root = parse_trusted_root(document(tlogs=[log(checkpointKeyId={"keyId": LOG_ID})]))
    assert root.tlogs[0].checkpoint_key_id == b64decode("1IkLYA==")


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_media_types(media_type: str) -> None:
    """Both spellings of 0.1 are read, and 0.2."""
    assert parse_trusted_root(document(mediaType=media_type)).media_type == media_type


@pytest.mark.parametrize("media_type", ["", "application/json", MEDIA_TYPES[2] + "x", 1, None])
def test_other_media_types(media_type: str) -> None:
    """Any other media type is refused."""
    invalid(document(mediaType=media_type))


@pytest.mark.parametrize(
    "window", [{}, None, {"end": START}, {"start": None}, {"start": "2030"}, {"start": 5}, "always"]
)
def test_window_without_start(window: object) -> None:
    """A window that lacks its start would never end in the past: the root is refused.

    That holds for each of the four lists, and whether or not the key is one that we can use.
    """
    for name in ("tlogs", "ctlogs"):
        invalid(document(**{name: [log(), key(validFor=window)]}))
        invalid(document(**{name: [key(validFor=window, keyDetails="LMS_SHA256")]}))
    for name in ("certificateAuthorities", "timestampAuthorities"):
        invalid(document(**{name: [authority(validFor=window)]}))


def test_error_names_the_place() -> None:
    """The error says which entry lacks what."""
    error = invalid(document(tlogs=[log(), key(validFor={})]))
    assert error.message == "tlogs[1].publicKey.validFor.start is missing"


@pytest.mark.parametrize(
    "members",
    [
        {"keyDetails": "LMS_SHA256"},
        {"keyDetails": "SOMETHING_NEW"},
        {"keyDetails": 0},
        {"keyDetails": 99},
        {"keyDetails": "PKIX_ECDSA_P256_SHA_256"},
        {"keyDetails": "PKCS1_RSA_PKCS1V5"},
        {"rawBytes": ""},
        {"rawBytes": "AAAA"},
        {"rawBytes": b64encode(bytes(5000)).decode()},
    ],
)
def test_unsupported_key_is_skipped(members: dict[str, Any]) -> None:
    """An entry for other clients is left out and named; the others stay."""
    root = parse_trusted_root(document(ctlogs=[key(**members), log()]))
    assert [entry.name for entry in root.ctlogs] == [NAME]
    assert len(root.skipped) == 1
    assert root.skipped[0].startswith("ctlogs[0].publicKey: ")


def test_other_tree_is_skipped() -> None:
    """A log whose tree is of another hash is for other clients."""
    root = parse_trusted_root(document(tlogs=[log(hashAlgorithm="SHA2_512")]))
    assert (root.tlogs, len(root.skipped)) == ((), 1)


def test_unsupported_certificate_is_skipped() -> None:
    """An authority whose certificate does not parse is left out and named."""
    bad = authority(certChain={"certificates": [{"rawBytes": "AAAA"}]})
    root = parse_trusted_root(document(timestampAuthorities=[bad, authority()]))
    assert len(root.timestamp_authorities) == 1
    assert root.skipped[0].startswith("timestampAuthorities[0].certChain: ")


@pytest.mark.slow
def test_pkcs1_key() -> None:
    """The PKCS#1 keys of old certificate logs load, under the name for their size."""
    public = generate("rsa-4096").public_key
    der = public.crypto.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    entry = key(rawBytes=b64encode(der).decode(), keyDetails="PKCS1_RSA_PKCS1V5")
    (found,) = parse_trusted_root(document(ctlogs=[entry])).ctlogs
    assert found.key == public
    assert found.key_details == "PKIX_RSA_PKCS1V15_4096_SHA256"
    assert found.log_id == public.key_id
    root = TrustedRoot(ctlogs=(found,))
    same(parse_trusted_root(encode_trusted_root(root)), root, full=False)


def test_numeric_enums() -> None:
    """Enums come as numbers too."""
    entry = key(keyDetails=7)
    entry["hashAlgorithm"] = 1
    assert parse_trusted_root(document(tlogs=[entry])).tlogs[0].key_details == "PKIX_ED25519"


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("tlogs", log(publicKey=None)),
        ("tlogs", log(baseUrl=5)),
        ("tlogs", log(logId={"keyId": "AAAA"})),
        ("tlogs", log(checkpointKeyId={"keyId": "AAAA"})),
        ("tlogs", key(rawBytes="!")),
        ("tlogs", key(keyDetails=None)),
        ("tlogs", key(keyDetails=[])),
        ("tlogs", 5),
        ("certificateAuthorities", {}),
        ("certificateAuthorities", {"validFor": {"start": START}, "certChain": {}}),
    ],
)
def test_malformed(name: str, entry: object) -> None:
    """A field of the wrong form spoils the document."""
    invalid(document(**{name: [entry]}))


def test_limits() -> None:
    """Entries and chains are bounded."""
    invalid(document(tlogs=[log()] * (MAX_ENTRIES + 1)), "LIMIT_EXCEEDED")
    chain = {"certificates": [{"rawBytes": certificate()}] * (MAX_CHAIN + 1)}
    invalid(document(certificateAuthorities=[authority(certChain=chain)]))
    invalid(b" " * 4_194_305, "LIMIT_EXCEEDED")


def test_window_is_closed() -> None:
    """Both ends belong to the window, to the fraction of a second."""
    root = parse_trusted_root(document(certificateAuthorities=[authority()], tlogs=[log()]))
    start = datetime(2030, 1, 1, tzinfo=UTC)
    end = datetime(2031, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)
    step = timedelta(microseconds=1)
    (ca,) = root.certificate_authorities
    assert [ca.covers(t) for t in (start - step, start, end, end + step)] == [
        False, True, True, False,
    ]  # fmt: skip
    assert [root.tlogs[0].covers(t) for t in (start - step, start, end)] == [False, True, True]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://rekor.sigstore.dev", "rekor.sigstore.dev"),
        ("https://h.example:8443/x?y#z", "h.example"),
        ("rekor.example", "rekor.example"),
        ("rekor.example/path", "rekor.example"),
        ("localhost:8000", "localhost"),
        ("http://user:pass@h.example/", "h.example"),
        ("https://[::1]:80/", "::1"),
        ("", ""),
    ],
)
def test_host(url: str, host: str) -> None:
    """The name of a log is the host of its URL, with or without scheme, without port."""
    assert host_of(url) == host


def test_note_verifier() -> None:
    """Under Rekor v2 a log has name and key id; under v1 the hash of its key alone."""
    (entry,) = parse_trusted_root(document(tlogs=[log()])).tlogs
    new, old = entry.note_verifier(v1=False), entry.note_verifier(v1=True)
    assert (new.name, new.hint) == (NAME, b64decode("1IkLYA=="))
    assert (old.name, old.hint) == (None, entry.key.key_id[:4])


def test_log_that_signs_no_notes() -> None:
    """A log with an ML-DSA key loads; only its checkpoints cannot be checked."""
    public = generate("ml-dsa-65").public_key
    entry = key(rawBytes=b64encode(public.spki).decode(), keyDetails="ML_DSA_65")
    (found,) = parse_trusted_root(document(tlogs=[entry])).tlogs
    for v1 in (True, False):
        with pytest.raises(VerificationError):
            found.note_verifier(v1=v1)


def same(one: TrustedRoot, other: TrustedRoot, *, full: bool) -> None:
    """Hold that two roots say the same; the operators and key ids count if `full`."""

    def logs(root: TrustedRoot) -> object:
        return [
            (e.base_url, e.key, e.algorithm, e.log_id, e.valid_from, e.valid_until)
            + ((e.operator, e.checkpoint_key_id) if full else ())
            for e in (*root.tlogs, *root.ctlogs)
        ]

    def authorities(root: TrustedRoot) -> object:
        return [
            (a.uri, a.subject, [c.der for c in a.chain], a.valid_from, a.valid_until)
            + ((a.operator,) if full else ())
            for a in (*root.certificate_authorities, *root.timestamp_authorities)
        ]

    assert logs(one) == logs(other)
    assert authorities(one) == authorities(other)


def test_encode() -> None:
    """A root is read back as it was written; 0.1 leaves out what only 0.2 has."""
    root = parse_trusted_root(
        document(
            tlogs=[log()],
            ctlogs=[log(checkpointKeyId=None)],
            certificateAuthorities=[authority()],
            timestampAuthorities=[authority(uri="https://tsa.example.test/api/v1/timestamp")],
        )
    )
    same(parse_trusted_root(encode_trusted_root(root, "v0.2")), root, full=True)
    old = encode_trusted_root(root)
    same(parse_trusted_root(old), root, full=False)
    assert b"operator" not in old
    assert b"checkpointKeyId" not in old


def test_conformance(conformance: Path) -> None:
    """Every root of the suite loads without loss and round-trips, save the one made to fail."""
    paths = [conformance / "trusted_root.production.json"]
    paths += sorted((conformance / "bundle-verify").glob("*/trusted_root.json"))
    assert len(paths) > 30
    for path in paths:
        data = path.read_bytes()
        if path.parent.name == "trust-root-tlog-missing-validity-start_fail":
            invalid(data)
            continue
        root = parse_trusted_root(data)
        assert root.skipped == (), path
        counts = (len(root.tlogs), len(root.ctlogs), len(root.certificate_authorities))
        members = json.loads(data)
        assert counts == tuple(
            len(members.get(name, ())) for name in ("tlogs", "ctlogs", "certificateAuthorities")
        )
        same(parse_trusted_root(encode_trusted_root(root, "v0.2")), root, full=True)


def test_peer_reads_ours(conformance: Path, tmp_path: Path) -> None:
    """sigstore-python reads the root that we write, and finds the same keys and authorities."""
    root = parse_trusted_root((conformance / "trusted_root.production.json").read_bytes())
    path = tmp_path / "trusted_root.json"
    path.write_bytes(encode_trusted_root(root))
    peer = PeerTrustedRoot.from_file(str(path))
    assert len(peer._inner.tlogs) == len(root.tlogs)
    assert len(peer.get_fulcio_certs()) == sum(len(a.chain) for a in root.certificate_authorities)
    assert len(peer.get_timestamp_authorities()) == len(root.timestamp_authorities)


@given(st.data())
def test_changed_document(data: st.DataObject) -> None:
    """A document with any one value replaced loads, or raises our error and nothing else."""
    members: Any = json.loads(document(tlogs=[log()], certificateAuthorities=[authority()]))
    junk = st.one_of(
        st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.just([]), st.just({}),
        st.just([{}]),
    )  # fmt: skip
    places = list(walk(members))
    data.draw(st.sampled_from(places))(data.draw(junk))
    try:
        parse_trusted_root(json.dumps(members).encode())
    except MalformedError as error:
        assert error.code == "TRUST_ROOT_INVALID"  # noqa: PT017 - some changes do no harm


def walk(value: Any) -> list[Callable[[Any], None]]:
    """Give for each place in the document what sets it."""
    found: list[Callable[[Any], None]] = []
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inner in items:
        found.append(lambda junk, name=name: value.__setitem__(name, junk))  # type: ignore[misc]  # default binds
        if isinstance(inner, dict | list):
            found.extend(walk(inner))
    return found
