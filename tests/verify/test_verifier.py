"""Whole verifications: each shape is proven, and each rule that ties its parts refuses."""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from tests.verify.certificates import NOW, b64, new_key, spki
from tests.verify.mint import ARTIFACT, ISSUER, KEY, KEY_SHAPES, NAME, SHAPES, Mint, refused
from touchplate.errors import MalformedError, RefusedError, VerificationError
from touchplate.formats.bundle import encode_bundle, parse_bundle
from touchplate.keys.public import load_public_key
from touchplate.verify import Artifact, Steps, Verifier, any_of, identity, key


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
