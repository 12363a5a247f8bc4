"""Whole verifications: each shape is proven, and each rule that ties its parts refuses."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha512
from typing import Any

import pytest

from tests.verify.mint import (
    ARTIFACT,
    ISSUER,
    KEY_SHAPES,
    NAME,
    NOW,
    SHAPES,
    Mint,
    b64,
    jcs,
    new_key,
    note_id,
    only_entry,
    spki,
    stamp,
    statement_about,
)
from touchplate.errors import MalformedError, RefusedError, TouchplateError, VerificationError
from touchplate.formats.bundle import encode_bundle, parse_bundle
from touchplate.formats.trusted_root import TrustedRoot
from touchplate.keys.public import load_public_key
from touchplate.verify import (
    Artifact,
    Options,
    Policy,
    Steps,
    Verifier,
    any_of,
    identity,
    key,
)

KEY = key(load_public_key(spki(new_key("p256", 101))))


def refused(
    mint: Mint,
    members: dict[str, Any],
    *,
    artifact: Artifact | bytes = ARTIFACT,
    policy: Policy | None = None,
    options: Options | None = None,
    root: TrustedRoot | None = None,
) -> str:
    """Give the code with which a bundle is refused."""
    with pytest.raises(TouchplateError) as caught:
        mint.verify(members, artifact, policy, options, root)
    return caught.value.code


@pytest.mark.parametrize("shape", SHAPES)
def test_keyless(mint: Mint, shape: str) -> None:
    """Every shape of bundle with a certificate is proven, by file and by digest."""
    members = mint.bundle(shape)
    digest = Artifact.from_digest(
        "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    )

    for artifact in (ARTIFACT, digest):
        verdict = mint.verify(members, artifact)
        assert (verdict.identity, verdict.issuer) == (NAME, ISSUER)
        assert [time.at for time in verdict.times] == [NOW]
        assert (verdict.statement is not None) == shape.endswith(("dsse", "intoto"))
        assert len(verdict.entries) == 1


@pytest.mark.parametrize("shape", KEY_SHAPES)
def test_key(mint: Mint, shape: str) -> None:
    """A bundle of a key is proven with the key, and names no identity."""
    verdict = mint.verify(mint.bundle(shape), policy=KEY)

    assert (verdict.identity, verdict.issuer, verdict.certificate) == (None, None, None)
    assert verdict.key.spki == spki(new_key("p256", 101))


@pytest.mark.parametrize("shape", SHAPES)
def test_encoded_again(mint: Mint, shape: str) -> None:
    """A bundle written again as version 0.3 proves the same."""
    again = encode_bundle(parse_bundle(json.dumps(mint.bundle(shape)).encode()))

    assert mint.verify(again).identity == NAME


@pytest.mark.parametrize("kind", ["ed25519"])
def test_log_of_ed25519(kind: str) -> None:
    """A v2 log whose key is Ed25519 is known by the hash of name and key."""
    mint = Mint.new(2000, v2_kind=kind)

    assert mint.verify(mint.bundle("v2-message")).identity == NAME


@pytest.mark.parametrize("ca_kind", ["p384", "rsa2048", "ed25519", "ml-dsa-65"])
def test_authority_of_another_kind(ca_kind: str) -> None:
    """A chain may be of any kind of key that certificates are signed with."""
    mint = Mint.new(3000, ca_kind=ca_kind)

    assert mint.verify(mint.bundle("v2-message")).identity == NAME


def test_trusted_root_v0_2(mint: Mint) -> None:
    """The second form of the trusted root, with checkpoint key ids and operators, serves too."""

    def second(members: dict[str, Any]) -> None:
        members["mediaType"] = "application/vnd.dev.sigstore.trustedroot.v0.2+json"
        for log in members["tlogs"]:
            log["checkpointKeyId"] = {"keyId": b64(base64.b64decode(log["logId"]["keyId"])[:4])}
            log["operator"] = "example"

    root = mint.trusted_root(second)
    assert mint.verify(mint.bundle("v2-message"), root=root).identity == NAME
    assert mint.verify(mint.bundle("v0.1"), root=root).identity == NAME


def test_verdict_is_no_bool(mint: Mint) -> None:
    """A verdict cannot be mistaken for a yes or a no."""
    with pytest.raises(TypeError, match="not a yes or no"):
        bool(mint.verify(mint.bundle()))


def test_steps_tell_the_story(mint: Mint) -> None:
    """Each step is recorded with what it rests on."""
    verdict = mint.verify(mint.bundle("v2-dsse"))

    assert [step.name for step in verdict.steps] == [
        "policy",
        "known logs",
        "signing time",
        "certificate chain",
        "certificate profile",
        "certificate transparency",
        "signature",
        "log inclusion",
        "log entry",
        "identity",
    ]
    facts = "\n".join(fact for step in verdict.steps for fact in step.evidence)
    assert "2030-06-01T12:00:00+00:00 by https://tsa.example.test" in facts
    assert f"email {NAME}" in facts
    assert "hashedrekord 0.0.2" in facts


def test_steps_of_a_failure(mint: Mint) -> None:
    """Who hands in the record sees how far a refused verification came."""
    steps = Steps()
    with pytest.raises(VerificationError):
        mint.verify(mint.bundle(), b"another", steps=steps)

    *passed, failed = steps.taken
    assert all(step.error is None for step in passed)
    assert (failed.name, failed.error and failed.error.code) == ("signature", "DIGEST_MISMATCH")


def test_one_verifier_many_threads(mint: Mint) -> None:
    """A verifier is shared: what it keeps does not mix up bundles."""
    from concurrent.futures import ThreadPoolExecutor

    verifier = Verifier(mint.trusted_root())
    bundles = [parse_bundle(json.dumps(mint.bundle(shape)).encode()) for shape in SHAPES] * 6
    artifact = Artifact.from_bytes(ARTIFACT)
    with ThreadPoolExecutor(4) as pool:
        verdicts = list(
            pool.map(lambda item: verifier.verify(item, artifact, identity(NAME, ISSUER)), bundles)
        )

    assert {verdict.identity for verdict in verdicts} == {NAME}


def test_wrong_artifact(mint: Mint) -> None:
    """Each shape is about its artifact and no other."""
    codes = {shape: refused(mint, mint.bundle(shape), artifact=b"other") for shape in SHAPES}

    dsse = {"v1-dsse", "v1-intoto", "v2-dsse"}
    assert {codes[shape] for shape in dsse} == {"SUBJECT_MISMATCH"}
    assert {codes[shape] for shape in SHAPES if shape not in dsse} == {"DIGEST_MISMATCH"}


def test_identity_for_a_key_bundle(mint: Mint) -> None:
    """A bundle of a key is not proven by asking for an identity, even one named in its hint."""
    assert refused(mint, mint.bundle("key-v2")) == "KEY_MODE_MISMATCH"


def test_key_for_a_certificate_bundle(mint: Mint) -> None:
    """A bundle of a certificate is not proven by the certificate's bare key."""
    leaf = mint.leaf()
    bare = key(leaf.certificate.public_key)

    assert refused(mint, mint.bundle(leaf=leaf), policy=bare) == "KEY_MODE_MISMATCH"


def test_other_key(mint: Mint) -> None:
    """A key proves only its own signatures."""
    wrong = key(load_public_key(spki(new_key("p256", 102))))

    assert refused(mint, mint.bundle("key-v2"), policy=wrong) == "SIGNATURE_INVALID"


def test_key_or_identity(mint: Mint) -> None:
    """A policy may accept a key or an identity, and finds the right key among several."""
    wrong = key(load_public_key(spki(new_key("p256", 102))))
    either = any_of(identity(NAME, ISSUER), wrong, KEY)

    assert mint.verify(mint.bundle("key-v2"), policy=either).certificate is None
    assert mint.verify(mint.bundle("v2-message"), policy=either).identity == NAME


@pytest.mark.parametrize("shape", ["key-v1", "key-v2", "key-v2-dsse"])
def test_one_of_several_keys(mint: Mint, shape: str) -> None:
    """Of several keys the one that signed is found, wherever it stands; if none did, none is."""
    mine = load_public_key(spki(new_key("p256", 101)))
    others = [key(load_public_key(spki(new_key("p256", number)))) for number in (110, 111)]
    members = mint.bundle(shape)

    for policy in (any_of(*others, key(mine)), any_of(key(mine), *others)):
        assert mint.verify(members, policy=policy).key == mine
    assert refused(mint, members, policy=any_of(*others)) == "SIGNATURE_INVALID"


def test_key_without_logs(mint: Mint) -> None:
    """Where no log is trusted, a key's signature stands alone; where one is, it is required."""
    members = mint.bundle("key-v2")
    members["verificationMaterial"]["tlogEntries"] = []
    members["verificationMaterial"]["timestampVerificationData"] = None
    bare = mint.trusted_root(lambda root: root.update(tlogs=[]))

    assert mint.verify(members, policy=KEY, root=bare).entries == ()
    assert refused(mint, members, policy=KEY) == "LOG_UNKNOWN"


def test_identity_without_logs(mint: Mint) -> None:
    """With a certificate a log is required, whether or not one is trusted."""
    bare = mint.trusted_root(lambda root: root.update(tlogs=[]))

    assert refused(mint, mint.bundle(), root=bare) == "LOG_UNKNOWN"


def test_two_signatures(mint: Mint) -> None:
    """An envelope with two signatures is refused, also when both are good."""
    members = mint.bundle("v2-dsse")
    members["dsseEnvelope"]["signatures"] *= 2
    none = mint.bundle("v2-dsse")
    none["dsseEnvelope"]["signatures"] = []

    assert refused(mint, members) == "DSSE_SIGNATURE_COUNT"
    assert refused(mint, none) == "DSSE_SIGNATURE_COUNT"


@pytest.mark.parametrize(
    ("hint", "keyid", "proven"),
    [("", "", True), ("a", "", True), ("", "a", True), ("a", "a", True), ("a", "b", False)],
)
def test_names_of_the_key(mint: Mint, hint: str, keyid: str, proven: bool) -> None:
    """The hint of the bundle and the key id of the envelope, if both are given, are one."""
    members = mint.bundle("key-v2-dsse")
    members["verificationMaterial"]["publicKey"] = {"hint": hint}
    members["dsseEnvelope"]["signatures"][0]["keyid"] = keyid

    if proven:
        assert mint.verify(members, policy=KEY).statement is not None
    else:
        assert refused(mint, members, policy=KEY) == "BUNDLE_MALFORMED"


def test_payload_type(mint: Mint) -> None:
    """An envelope of another type is refused, although it is properly signed and logged."""
    members = mint.bundle("v2-dsse", payload_type="application/json")

    assert refused(mint, members) == "STATEMENT_INVALID"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"subject": []}, "STATEMENT_INVALID"),
        ({"_type": "https://in-toto.io/Statement/v2"}, "STATEMENT_INVALID"),
        ({"predicateType": ""}, "STATEMENT_INVALID"),
        ({"subject": [{"name": "hello.txt", "digest": {}}]}, "STATEMENT_INVALID"),
        ({"subject": [{"name": "hello.txt", "digest": {"sha256": "00" * 32}}]}, "SUBJECT_MISMATCH"),
        (
            {"subject": [{"digest": {"sha1": "f572d396fae9206628714fb2ce00f72e94f2258f"}}]},
            "SUBJECT_MISMATCH",
        ),
    ],
)
def test_statement(mint: Mint, changes: dict[str, Any], code: str) -> None:
    """A signed and logged payload must be a statement about this artifact, by a strong digest."""
    payload = statement_about(ARTIFACT, **changes)

    assert refused(mint, mint.bundle("v2-dsse", payload=payload)) == code


def test_any_subject(mint: Mint) -> None:
    """One subject of several suffices, under any of the strong hashes, with or without a name."""
    from hashlib import sha512

    subject = [
        {"digest": {"sha256": "00" * 32}},
        {"digest": {"sha512": sha512(ARTIFACT).hexdigest()}},
    ]
    payload = statement_about(ARTIFACT, subject=subject)

    verdict = mint.verify(mint.bundle("v2-dsse", payload=payload))
    assert verdict.statement is not None
    assert verdict.statement.predicate_type == "https://example.test/p/v1"


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


@pytest.mark.parametrize("shape", SHAPES)
def test_identity_and_issuer_each(mint: Mint, shape: str) -> None:
    """A wrong identity alone, and a wrong issuer alone, are refused."""
    members = mint.bundle(shape)

    name = identity("dev@example.co", ISSUER)
    assert refused(mint, members, policy=name) == "IDENTITY_MISMATCH"
    issuer = identity(NAME, "https://issuer.example.tes")
    assert refused(mint, members, policy=issuer) == "ISSUER_MISMATCH"


def test_empty_policy(mint: Mint) -> None:
    """A policy that would accept anybody is refused before any work."""
    from touchplate.verify import all_of, extension

    for policy in (
        extension("sourceRepositoryUri", "https://example.test/r"),
        all_of(extension("issuer", ISSUER)),
    ):
        with pytest.raises(RefusedError) as caught:
            mint.verify(mint.bundle(), policy=policy)
        assert caught.value.code == "POLICY_EMPTY"


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
    from tests.verify.mint import note_line, sign

    line = note_line(
        "log-v2.example.test", note_id("", mint.v2_key)[:4], sign(mint.v2_key, text.encode())
    )
    del entry["logIndex"]
    entry["inclusionProof"] = {"checkpoint": {"envelope": f"{text}\n{line}"}}

    assert mint.verify(members).entries[0].log_index == 0


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


def test_same_twice(mint: Mint) -> None:
    """The same entry or the same timestamp twice is refused: it can only be there to be counted."""
    entries = mint.bundle()
    entries["verificationMaterial"]["tlogEntries"] *= 2
    stamps = mint.bundle()
    stamps["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] *= 2

    assert refused(mint, entries) == "BUNDLE_LIMIT"
    assert refused(mint, stamps) == "BUNDLE_LIMIT"


def test_key_window(mint: Mint) -> None:
    """A key with a window proves signatures made inside it, both ends included, and no others."""
    public = load_public_key(spki(new_key("p256", 101)))
    second = timedelta(seconds=1)
    members = mint.bundle("key-v2")

    for begins, ends in ((NOW, NOW), (None, NOW), (NOW, None)):
        assert mint.verify(members, policy=key(public, begins, ends)).key == public
    for begins, ends in ((NOW + second, None), (None, NOW - second)):
        policy = key(public, begins, ends)
        assert refused(mint, members, policy=policy) == "KEY_NOT_VALID_AT_TIME"
    members["verificationMaterial"]["timestampVerificationData"] = None
    assert mint.verify(members, policy=key(public)).times == ()
    assert refused(mint, members, policy=key(public, NOW)) == "NO_VERIFIED_TIME"


def test_malformed_is_told_apart(mint: Mint) -> None:
    """What is no bundle is malformed, and not merely unproven."""
    with pytest.raises(MalformedError):
        mint.verify(b"{}")
