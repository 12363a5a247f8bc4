"""The log entry of a bundle: of which log, of which kind, and what its body says."""

import base64
import json
from collections.abc import Callable
from hashlib import sha512

import pytest

from tests.verify.certificates import b64, spki
from tests.verify.mint import ARTIFACT, KEY, Mint, jcs, only_entry, refused
from tests.verify.promises import note_id


def test_unknown_kind(mint: Mint) -> None:
    """An entry of a kind that is not known vouches for nothing."""
    members = mint.bundle()
    only_entry(members)["kindVersion"] = {"kind": "rpm", "version": "0.0.1"}
    root = mint.trusted_root()

    assert refused(mint, members, root=root) in {"CHECKPOINT_KEYHINT", "ENTRY_KIND_UNSUPPORTED"}


def test_unknown_kind_alone(mint: Mint) -> None:
    """An entry that is in the log, and is of no kind that we know, is refused for its kind."""
    members = mint.bundle("v1-message", body=lambda body: body.replace(b"hashedrekord", b"helm"))
    entry = only_entry(members)
    entry["kindVersion"] = {"kind": "helm", "version": "0.0.1"}

    assert refused(mint, members) == "ENTRY_KIND_UNSUPPORTED"


@pytest.mark.parametrize(
    ("shape", "kind", "version"),
    [
        ("v1-message", "dsse", "0.0.1"),
        ("v1-dsse", "intoto", "0.0.2"),
        ("v1-dsse", "hashedrekord", "0.0.1"),
        ("v2-dsse", "dsse", "0.0.2"),
        ("v1-message", "", ""),
    ],
)
def test_kind_lie(mint: Mint, shape: str, kind: str, version: str) -> None:
    """An entry is what its body says: a bundle that calls it something else is refused."""
    members = mint.bundle(shape)
    only_entry(members)["kindVersion"] = {"kind": kind, "version": version}

    assert refused(mint, members) in {"ENTRY_KIND_MISMATCH", "ENTRY_KIND_UNSUPPORTED"}


def test_body_names_another_kind(mint: Mint) -> None:
    """The body's own kind must be the one that the bundle states."""
    members = mint.bundle("v1-message", body=lambda body: body.replace(b'"0.0.1"', b'"0.0.3"', 1))

    assert refused(mint, members) == "ENTRY_KIND_MISMATCH"


def test_body_with_more(mint: Mint) -> None:
    """A body has the three members of an entry and no other."""

    def more(body: bytes) -> bytes:
        return body[:-1] + b',"more":1}'

    for shape in ("v1-message", "v1-dsse", "v1-intoto", "v2-message"):
        assert refused(mint, mint.bundle(shape, body=more)) == "ENTRY_MALFORMED"


def test_hash_that_the_key_has_not(mint: Mint) -> None:
    """A digest under a hash that the signature cannot be over is not compared, but refused."""

    def hashed(name: str, digest: bytes) -> Callable[[bytes], bytes]:
        def change(body: bytes) -> bytes:
            members = json.loads(body)
            members["spec"]["data"]["hash"] = {"algorithm": name, "value": digest.hex()}
            return jcs(members)

        return change

    for name, digest in (
        ("sha512", sha512(ARTIFACT).digest()),
        ("sha512", sha512(b"other").digest()),
        ("sha1", bytes(20)),
        ("", b""),
    ):
        members = mint.bundle("v1-message", body=hashed(name, digest))
        assert refused(mint, members) == "ENTRY_DIGEST_MISMATCH"


@pytest.mark.parametrize("shape", ["v1-dsse", "v1-intoto"])
@pytest.mark.parametrize(
    ("algorithm", "value"),
    [("sha512", None), ("", None), ("sha256", "abc"), ("sha256", ""), ("sha256", "zz" * 32)],
)
def test_odd_payload_hash(mint: Mint, shape: str, algorithm: str, value: str | None) -> None:
    """The hash of a payload is SHA-256, by its name and its length."""

    def odd(body: bytes) -> bytes:
        members = json.loads(body)
        spec = members["spec"]
        hashed = spec.get("content", spec)["payloadHash"]
        hashed["algorithm"] = algorithm
        hashed["value"] = hashed["value"] if value is None else value
        return jcs(members)

    assert refused(mint, mint.bundle(shape, body=odd)) == "ENTRY_MALFORMED"


def test_payload_type_that_was_logged(mint: Mint) -> None:
    """An intoto entry names the type of its payload, which is the envelope's."""

    def other(body: bytes) -> bytes:
        return body.replace(b"vnd.in-toto+json", b"vnd.in-toto+yaml")

    assert refused(mint, mint.bundle("v1-intoto", body=other)) == "ENTRY_DIGEST_MISMATCH"


def test_key_called_a_certificate(mint: Mint) -> None:
    """In a body, what is called a certificate is not the public key of the same bytes."""

    def renamed(body: bytes) -> bytes:
        members = json.loads(body)
        held = members["spec"]["signature"]["publicKey"]
        text = base64.b64decode(held["content"]).replace(b"PUBLIC KEY", b"CERTIFICATE")
        held["content"] = b64(text)
        return jcs(members)

    members = mint.bundle("key-v1", body=renamed)
    assert refused(mint, members, policy=KEY) == "ENTRY_KEY_MISMATCH"


def test_v1_log_entry_called_v2(mint: Mint) -> None:
    """The log id decides the log: an entry cannot be moved to the other one of an instance."""
    members = mint.bundle("v2-message")
    from hashlib import sha256

    only_entry(members)["logId"]["keyId"] = b64(sha256(spki(mint.v1_key)).digest())
    assert refused(mint, members) == "CHECKPOINT_KEYHINT"
    members = mint.bundle("v1-message")
    only_entry(members)["logId"]["keyId"] = b64(note_id("", mint.v2_key))
    assert refused(mint, members) == "SET_INVALID"


def test_index_zero_and_one_leaf(mint: Mint) -> None:
    """The first entry of a log has no index in JSON and an empty proof, and is proven."""
    from touchplate.merkle.tree import leaf_hash

    members = mint.bundle()
    entry = only_entry(members)
    root = leaf_hash(base64.b64decode(entry["canonicalizedBody"]))
    text = f"log-v2.example.test\n1\n{b64(root)}\n"
    from tests.verify.certificates import sign
    from tests.verify.promises import note_line

    line = note_line(
        "log-v2.example.test", note_id("", mint.v2_key)[:4], sign(mint.v2_key, text.encode())
    )
    del entry["logIndex"]
    entry["inclusionProof"] = {"checkpoint": {"envelope": f"{text}\n{line}"}}

    assert mint.verify(members).entries[0].log_index == 0


def test_unknown_log(mint: Mint, other: Mint) -> None:
    """A bundle of another instance is refused, with its log as the reason."""
    assert refused(mint, other.bundle("v2-message")) == "LOG_UNKNOWN"
    assert refused(mint, other.bundle("v0.1")) == "LOG_UNKNOWN"


def test_entries_of_unknown_logs_count_for_nothing(mint: Mint, other: Mint) -> None:
    """An entry of an unknown log is skipped, and one of a known log must hold all the same."""
    members = mint.bundle("v2-message")
    stranger = only_entry(other.bundle("v2-message"))
    members["verificationMaterial"]["tlogEntries"].append(stranger)

    assert len(mint.verify(members).entries) == 1
    only_entry(members)["inclusionProof"]["hashes"][0] = b64(bytes(32))
    assert refused(mint, members) == "INCLUSION_PROOF_INVALID"


def test_no_entry(mint: Mint) -> None:
    """Without a log entry nothing is proven."""
    members = mint.bundle()
    members["verificationMaterial"]["tlogEntries"] = []

    assert refused(mint, members) == "LOG_UNKNOWN"
