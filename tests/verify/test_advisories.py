"""Mistakes that others made in verifying, and published: each must fail here.

The classes are those of what was done wrong: the entry not bound to the thing (A), time that
nobody vouched for (B), the wrong certificate (C), policy not applied (D), counting (E), too much
(G), crashes (H), two readings (I), trust from the wrong place (K), errors taken for success (N).
Those of other rooms stand with their rooms, under the same kind of name.
"""

import json
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes

from tests.verify.certificates import (
    NOW,
    TIME_STAMPING,
    Held,
    authority,
    b64,
    build,
    new_key,
    sign,
    spki,
    usage,
)
from tests.verify.mint import (
    ARTIFACT,
    ISSUER,
    KEY,
    NAME,
    SHAPES,
    V2_LOG,
    Mint,
    only_entry,
    pae,
    refused,
    statement_about,
)
from tests.verify.promises import note_id, note_line, sct, stamp
from tests.verify.trust import ca_json, log_json
from touchplate.errors import TouchplateError
from touchplate.keys.public import load_public_key
from touchplate.verify import (
    Options,
    all_of,
    any_of,
    extension,
    glob,
    identity,
    key,
    predicate_type,
)

BODY = {"ENTRY_DIGEST_MISMATCH", "ENTRY_SIGNATURE_MISMATCH", "ENTRY_KEY_MISMATCH"}


def transplanted(mint: Mint, shape: str, **entry_of: Any) -> dict[str, Any]:
    """Give a good bundle whose log entry is a genuine one of another bundle."""
    leaf = mint.leaf()
    members = mint.bundle(shape, leaf=leaf)
    donor = mint.bundle(shape, **{"leaf": leaf, **entry_of})
    members["verificationMaterial"]["tlogEntries"] = donor["verificationMaterial"]["tlogEntries"]
    return members


@pytest.mark.parametrize("shape", SHAPES)
def test_cve_2026_22703_entry_of_another_artifact(mint: Mint, shape: str) -> None:
    """A genuine entry of the same signer about something else vouches for nothing here."""
    assert refused(mint, transplanted(mint, shape, artifact=b"other")) in BODY


@pytest.mark.parametrize("shape", SHAPES)
def test_cve_2022_23649_entry_of_another_signature(mint: Mint, shape: str) -> None:
    """Two signatures of one content by one key are two entries."""
    assert refused(mint, transplanted(mint, shape)) == "ENTRY_SIGNATURE_MISMATCH"


@pytest.mark.parametrize("shape", SHAPES)
def test_cve_2024_51746_entry_with_key_or_hash(mint: Mint, shape: str) -> None:
    """It is not enough that an entry has the same key, or that it has the same hash."""
    same_hash = transplanted(mint, shape, leaf=mint.leaf(key=new_key("p256", 1100)))
    same_key = transplanted(mint, shape, artifact=b"other")

    assert refused(mint, same_hash) in BODY
    assert refused(mint, same_key) in BODY


@pytest.mark.parametrize("shape", SHAPES)
def test_cve_2024_53267_mismatched_but_valid_parts(mint: Mint, shape: str) -> None:
    """Parts that are each valid, taken from two good bundles, are not a good bundle."""
    mine, theirs = mint.bundle(shape), mint.bundle(shape, artifact=b"other")
    content = "dsseEnvelope" if "dsseEnvelope" in mine else "messageSignature"
    swapped = {**mine, content: theirs[content]}
    material = {**mine, "verificationMaterial": theirs["verificationMaterial"]}

    for members in (swapped, material):
        for artifact in (ARTIFACT, b"other"):
            assert refused(mint, members, artifact=artifact)


def test_cve_2024_53267_checkpoint_result(mint: Mint) -> None:
    """A checkpoint that nobody trusted signed is an error, not a value to be overlooked."""
    members = mint.bundle()
    proof = only_entry(members)["inclusionProof"]
    text = proof["checkpoint"]["envelope"].partition("\n\n")[0] + "\n"
    line = note_line("log-v2.example.test", b"abcd", sign(new_key("p256", 1101), text.encode()))
    proof["checkpoint"]["envelope"] = f"{text}\n{line}"

    assert refused(mint, members) == "CHECKPOINT_KEYHINT"


def test_cve_2022_36056_bundle_for_another_blob(mint: Mint) -> None:
    """A bundle of another blob, other identity flags, a spoiled bundle: each is refused."""
    members = mint.bundle("v0.1", artifact=b"other")
    spoiled = mint.bundle("v0.1")
    only_entry(spoiled)["inclusionPromise"]["signedEntryTimestamp"] = b64(b"no signature")

    assert refused(mint, members) == "DIGEST_MISMATCH"
    wrong = identity("mallory@example.com", ISSUER)
    assert refused(mint, mint.bundle("v0.1"), policy=wrong) == "IDENTITY_MISMATCH"
    assert refused(mint, spoiled) == "SET_INVALID"


@pytest.mark.parametrize("shape", ["v0.2", "v1-message", "v1-dsse"])
def test_cve_2024_55655_integrated_time_without_promise(mint: Mint, shape: str) -> None:
    """A time that is only written down is no time."""
    members = mint.bundle(shape)
    del only_entry(members)["inclusionPromise"]

    assert refused(mint, members) == "NO_VERIFIED_TIME"


def test_cve_2026_48816_integrated_time_of_a_v2_entry(mint: Mint) -> None:
    """A v2 entry has no time, whatever it says."""
    members = mint.bundle("v2-message", stamps=lambda value: [])
    only_entry(members)["integratedTime"] = str(int(NOW.timestamp()))

    assert refused(mint, members) == "NO_VERIFIED_TIME"


def test_cve_2026_24122_intermediate_expired(mint: Mint) -> None:
    """A leaf that outlives its issuer is of no use after the issuer's end."""
    short = authority("short", mint.root, number=1102, ends=NOW - timedelta(seconds=1))

    def listed(root: dict[str, Any]) -> None:
        root["certificateAuthorities"] = [ca_json("https://ca.example.test", short, mint.root)]

    members = mint.bundle(leaf=mint.leaf(ca=short))
    assert refused(mint, members, root=mint.trusted_root(listed)) == "CERT_NOT_VALID_AT_TIME"


def test_cve_2026_54787_window_of_a_key(mint: Mint) -> None:
    """A key's own window counts, and cannot be got around by leaving the times out."""
    public = load_public_key(spki(new_key("p256", 101)))
    past = key(public, None, NOW - timedelta(seconds=1))
    timeless = mint.bundle("key-v2", stamps=lambda value: [])

    assert refused(mint, mint.bundle("key-v2"), policy=past) == "KEY_NOT_VALID_AT_TIME"
    assert refused(mint, mint.bundle("key-v1"), policy=past) == "KEY_NOT_VALID_AT_TIME"
    assert refused(mint, timeless, policy=past) == "NO_VERIFIED_TIME"


def test_cve_2025_52556_signature_of_the_timestamp(mint: Mint) -> None:
    """A token with a good chain, and a signature by nobody in it, is refused."""
    along = [mint.tsa.der, mint.tsa_root.der]
    members = mint.bundle(
        stamps=lambda value: [stamp(value, mint.tsa, key=new_key("p256", 1103), certificates=along)]
    )

    assert refused(mint, members) == "TIMESTAMP_INVALID"


def test_cve_2026_39984_decoy_certificate(mint: Mint) -> None:
    """The signer is who the token says signed it, not the first certificate that comes along."""
    decoy = build(
        new_key("p256", 1104),
        "tsa 0",
        mint.tsa_root,
        (usage("digital_signature"), True),
        (TIME_STAMPING, True),
    )
    forger = Held(mint.tsa.der, new_key("p256", 1105))

    def without(root: dict[str, Any]) -> None:
        root["timestampAuthorities"] = [ca_json("https://tsa.example.test", mint.tsa_root)]

    root = mint.trusted_root(without)
    good = mint.bundle(
        stamps=lambda value: [stamp(value, mint.tsa, certificates=[decoy.der, mint.tsa.der])]
    )
    forged = mint.bundle(
        stamps=lambda value: [stamp(value, forger, certificates=[decoy.der, mint.tsa.der])]
    )
    lent = mint.bundle(
        stamps=lambda value: [stamp(value, decoy, named=mint.tsa, certificates=[decoy.der])]
    )

    assert mint.verify(good, root=root).identity == NAME
    assert refused(mint, forged, root=root) == "TIMESTAMP_INVALID"
    assert refused(mint, lent, root=root) == "TIMESTAMP_INVALID"


def test_gitsign_810_first_certificate_signs(mint: Mint) -> None:
    """Of a chain the first certificate is the signer: no other is looked at for the identity."""
    members = mint.bundle("v0.2", leaf=mint.leaf(name="mallory@example.com"))
    chain = members["verificationMaterial"]["x509CertificateChain"]["certificates"]
    chain.append({"rawBytes": b64(mint.leaf().der)})

    assert refused(mint, members) == "IDENTITY_MISMATCH"
    chain.reverse()  # the same key, and not the certificate that was logged
    assert refused(mint, members) == "ENTRY_KEY_MISMATCH"


def test_cve_2026_44310_no_certificate(mint: Mint) -> None:
    """An empty set of certificates is malformed, not a crash."""
    old, new = mint.bundle("v0.2"), mint.bundle()
    old["verificationMaterial"]["x509CertificateChain"]["certificates"] = []
    new["verificationMaterial"]["certificate"] = {}

    assert refused(mint, old) == "BUNDLE_MALFORMED"
    assert refused(mint, new) == "BUNDLE_MALFORMED"


def test_cve_2022_35929_any_attestation_will_do(mint: Mint) -> None:
    """Asked for one type of statement, another is not proof of it."""
    other = all_of(identity(NAME, ISSUER), predicate_type("https://slsa.dev/provenance/v1"))

    assert refused(mint, mint.bundle("v2-dsse"), policy=other) == "PREDICATE_MISMATCH"
    assert refused(mint, mint.bundle("v2-message"), policy=other) == "PREDICATE_MISMATCH"


def test_cve_2022_35930_type_of_this_statement(mint: Mint) -> None:
    """A demand on the statement and one on the signer are met by the same bundle, or not at all."""
    wanted = predicate_type("https://slsa.dev/provenance/v1")
    theirs = mint.leaf(name="mallory@example.com")
    payload = statement_about(ARTIFACT, predicateType="https://slsa.dev/provenance/v1")
    mine = all_of(identity(NAME, ISSUER), wanted)
    either = any_of(mine, all_of(identity("mallory@example.com", ISSUER), predicate_type("x")))

    for policy in (mine, either):
        assert mint.verify(mint.bundle("v2-dsse", payload=payload), policy=policy).statement
        by_another = mint.bundle("v2-dsse", leaf=theirs, payload=payload)
        assert refused(mint, by_another, policy=policy) == "IDENTITY_MISMATCH"
        assert refused(mint, mint.bundle("v2-dsse"), policy=policy) == "PREDICATE_MISMATCH"


def test_ghsa_r2xv_vpr2_42m9_statement_by_a_key(mint: Mint) -> None:
    """A statement that a bare key signed is held to every rule: type, subject, signature, log."""
    good = mint.bundle("key-v2-dsse")
    other = mint.bundle("key-v2-dsse", payload=statement_about(b"other"))
    kind = mint.bundle("key-v2-dsse", payload_type="application/json")
    moved = {**good, "dsseEnvelope": other["dsseEnvelope"]}
    typed = all_of(KEY, predicate_type("https://slsa.dev/provenance/v1"))

    assert mint.verify(good, policy=KEY).statement is not None
    assert refused(mint, other, policy=KEY) == "SUBJECT_MISMATCH"
    assert refused(mint, kind, policy=KEY) == "STATEMENT_INVALID"
    assert refused(mint, moved, policy=KEY, artifact=b"other") == "TIMESTAMP_INVALID"
    moved["verificationMaterial"]["timestampVerificationData"] = None
    assert refused(mint, moved, policy=KEY, artifact=b"other") in BODY
    assert refused(mint, good, policy=typed) == "PREDICATE_MISMATCH"


@pytest.mark.parametrize("shape", ["v0.1", "v1-message", "v2-message"])
def test_cve_2023_33959_digest_that_the_sender_states(mint: Mint, shape: str) -> None:
    """What is verified is what we hash ourselves: a stated digest does not stand for it."""
    members = mint.bundle(shape)
    members["messageSignature"]["messageDigest"]["digest"] = b64(sha256(b"other").digest())
    bare = mint.bundle(shape)
    del bare["messageSignature"]["messageDigest"]

    assert refused(mint, members) == "DIGEST_MISMATCH"
    assert refused(mint, members, artifact=b"other") == "SIGNATURE_INVALID"
    assert refused(mint, bare, artifact=b"other") == "SIGNATURE_INVALID"


@pytest.mark.parametrize(
    "pattern",
    [
        "https://github.com/example/*/release.yml",
        "https://github.com/exam*/other/*",
        "github.com/example/*",
        "https://github.com/example",
        "https://github.com/*ample/project",
    ],
)
def test_cve_2021_41087_pattern_for_the_whole_name(mint: Mint, pattern: str) -> None:
    """A pattern that fits a part of the name, or ends before it, does not fit."""
    members = mint.bundle(leaf=mint.leaf(name="https://github.com/example/project/build.yml"))

    assert refused(mint, members, policy=glob(pattern, ISSUER)) == "IDENTITY_MISMATCH"


@pytest.mark.parametrize("pattern", ["[!x]ev@example.com", "[a-z]ev@*", "?ev@example.com", "!*x*"])
def test_ghsa_pmwq_pjrm_6p5r_negation_in_a_pattern(mint: Mint, pattern: str) -> None:
    """Only the star is special: what other languages read as a class or a negation is literal."""
    assert refused(mint, mint.bundle(), policy=glob(pattern, ISSUER)) == "IDENTITY_MISMATCH"


def test_cve_2023_47122_key_that_the_log_gives(mint: Mint) -> None:
    """A log's key comes from the trusted root: one that came with the entry signs for nobody."""
    forger = mint.with_(v2_key=new_key("p256", 1107))
    leaf = mint.leaf()
    own_id = forger.bundle(leaf=leaf)
    borrowed = forger.bundle(leaf=leaf)
    only_entry(borrowed)["logId"] = only_entry(mint.bundle())["logId"]

    assert refused(mint, own_id) == "LOG_UNKNOWN"
    assert refused(mint, borrowed) == "CHECKPOINT_KEYHINT"
    text = only_entry(borrowed)["inclusionProof"]["checkpoint"]["envelope"].partition("\n\n")[0]
    hint = note_id(V2_LOG, mint.v2_key)[:4]
    line = note_line(V2_LOG, hint, sign(forger.v2_key, f"{text}\n".encode()))
    only_entry(borrowed)["inclusionProof"]["checkpoint"]["envelope"] = f"{text}\n\n{line}"
    assert refused(mint, borrowed) == "CHECKPOINT_SIGNATURE"


def test_cve_2023_25656_many_signatures(mint: Mint) -> None:
    """Thousands of signatures are not worked through."""
    envelope, note = mint.bundle("v2-dsse"), mint.bundle()
    envelope["dsseEnvelope"]["signatures"] *= 10_000
    checkpoint = only_entry(note)["inclusionProof"]["checkpoint"]
    text, _, line = checkpoint["envelope"].partition("\n\n")
    checkpoint["envelope"] = f"{text}\n\n" + line * 101

    assert refused(mint, envelope) == "DSSE_SIGNATURE_COUNT"
    assert refused(mint, note) == "CHECKPOINT_MALFORMED"


def test_cve_2026_39395_malformed_statement(mint: Mint) -> None:
    """A payload that does not parse is an error in every shape, not a statement of no type."""
    for shape in ("v1-dsse", "v1-intoto", "v2-dsse"):
        for payload in (b"", b"{", b"[]", b"null", b'{"_type":"x"}', b'{"predicateType":"a"}\xff'):
            members = mint.bundle(shape, payload=payload)
            assert refused(mint, members) in {"STATEMENT_INVALID", "BUNDLE_MALFORMED"}


def test_cve_2026_48815_extension_policies(mint: Mint) -> None:
    """An extension that is asked for is compared."""
    asked = all_of(identity(NAME, ISSUER), extension("sourceRepositoryUri", "https://example.test"))

    assert refused(mint, mint.bundle(), policy=asked) == "EXTENSION_MISMATCH"


def test_cve_2026_49834_one_log_many_times(mint: Mint) -> None:
    """Entries, or certificate promises, of one log satisfy a threshold of one."""
    members = mint.bundle("v1-message")
    for index in range(3):
        entry = dict(only_entry(members))
        entry["logIndex"] = str(2_000_000 + index)
        mint.promise(entry, NOW)
        members["verificationMaterial"]["tlogEntries"].append(entry)

    def many(tbs: bytes, issuer: bytes) -> Sequence[bytes]:
        return [
            sct(tbs, issuer, mint.ct_key, at=NOW + timedelta(seconds=second)) for second in range(3)
        ]

    assert refused(mint, members, options=Options(logs=2)) == "LOG_THRESHOLD"
    promised = mint.bundle(leaf=mint.leaf(scts=many))
    assert refused(mint, promised, options=Options(certificate_logs=2)) == "SCT_INVALID"


def test_sigstore_js_1702_duplicates(mint: Mint) -> None:
    """The same entry twice is refused as such."""
    members = mint.bundle("v1-message")
    members["verificationMaterial"]["tlogEntries"] *= 2

    assert refused(mint, members, options=Options(logs=2)) == "BUNDLE_LIMIT"


def test_ghsa_3633_5h82_39pq_one_key_under_two_ids(mint: Mint) -> None:
    """One key that is listed under two names is one voice, for logs and for authorities."""
    log = new_key("ed25519", 1106)
    twins = mint.with_(v2_key=log)
    leaf = mint.leaf()
    names = ("log-v2.example.test", "twin.example.test")

    def listed(root: dict[str, Any]) -> None:
        root["tlogs"] = [log_json(f"https://{name}", log, name) for name in names]
        entry = root["timestampAuthorities"][0]
        root["timestampAuthorities"].append({**entry, "uri": "https://twin.example.test"})

    root = mint.trusted_root(listed)
    members = twins.bundle(
        leaf=leaf,
        stamps=lambda value: [
            stamp(value, mint.tsa),
            stamp(value, mint.tsa, at=NOW + timedelta(seconds=1)),
        ],
    )
    second = json.loads(json.dumps(only_entry(members)))
    text = second["inclusionProof"]["checkpoint"]["envelope"].partition("\n\n")[0] + "\n"
    text = text.replace(*names)
    twin_id = note_id(names[1], log)
    line = note_line(names[1], twin_id[:4], sign(log, text.encode()))
    second["inclusionProof"]["checkpoint"]["envelope"] = f"{text}\n{line}"
    second["logId"]["keyId"] = b64(twin_id)
    members["verificationMaterial"]["tlogEntries"].append(second)

    assert len(mint.verify(members, root=root).entries) == 2
    assert refused(mint, members, root=root, options=Options(logs=2)) == "LOG_THRESHOLD"
    two_stamps = Options(timestamp_authorities=2)
    assert refused(mint, members, root=root, options=two_stamps) == "LOG_THRESHOLD"


def test_cve_2024_45395_many_entries(mint: Mint) -> None:
    """The number of entries, timestamps and subjects is bounded."""
    members = mint.bundle()
    entry = only_entry(members)
    members["verificationMaterial"]["tlogEntries"] = [
        {**entry, "logIndex": str(index)} for index in range(1000)
    ]
    subject = {"digest": {"sha256": "00" * 32}}
    payload = statement_about(ARTIFACT, subject=[subject] * 1025)

    assert refused(mint, members) == "BUNDLE_LIMIT"
    assert refused(mint, mint.bundle("v2-dsse", payload=payload)) == "STATEMENT_INVALID"


@pytest.mark.slow
def test_cve_2024_29903_small_values(mint: Mint) -> None:
    """Megabytes of brackets are refused before they become as many objects."""
    members = mint.bundle()
    members["unknown"] = [[]] * 1_000_000
    predicate = {"found": [1] * 500_000}
    payload = statement_about(ARTIFACT, predicate=predicate)

    assert refused(mint, members) == "LIMIT_EXCEEDED"
    assert mint.verify(mint.bundle("v2-dsse", payload=payload)).statement is not None
    payload = statement_about(ARTIFACT, predicate={"found": [1] * 2_100_000})
    assert refused(mint, mint.bundle("v2-dsse", payload=payload)) == "LIMIT_EXCEEDED"


def test_sigstore_js_1657_length_in_bytes(mint: Mint) -> None:
    """The lengths in what an envelope's signature is over count bytes, not characters."""
    kind = "application/vnd.in-toto+json; n=\u00e9"
    members = mint.bundle("v2-dsse", payload_type=kind)
    # Its signature holds: what is refused is the type, which comes after.
    assert refused(mint, members) == "STATEMENT_INVALID"

    payload = statement_about(ARTIFACT)
    characters = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    assert characters != pae(kind, payload)
    leaf = mint.leaf()
    wrong = mint.bundle(
        "v2-dsse",
        leaf=leaf,
        payload_type=kind,
        signature=sign(leaf.key, characters, hashes.SHA256()),
    )
    assert refused(mint, wrong) == "SIGNATURE_INVALID"


def test_duplicate_members(mint: Mint) -> None:
    """A document that two parsers read in two ways is refused, in the bundle and in the payload."""
    text = json.dumps(mint.bundle())
    twice = text.replace('"messageSignature"', '"messageSignature": {}, "messageSignature"')
    payload = statement_about(ARTIFACT).replace(b'"subject"', b'"subject": [], "subject"')

    with pytest.raises(TouchplateError) as caught:
        mint.verify(twice.encode())
    assert caught.value.code == "BUNDLE_MALFORMED"
    assert refused(mint, mint.bundle("v2-dsse", payload=payload)) == "STATEMENT_INVALID"


def test_two_contents(mint: Mint) -> None:
    """A bundle with two contents, or two kinds of signer, is refused: nobody may choose."""
    contents = mint.bundle("v2-message") | {"dsseEnvelope": mint.bundle("v2-dsse")["dsseEnvelope"]}
    signers = mint.bundle("v2-message")
    signers["verificationMaterial"]["publicKey"] = {"hint": "x"}

    assert refused(mint, contents) == "BUNDLE_MALFORMED"
    assert refused(mint, signers) == "BUNDLE_MALFORMED"
    assert refused(mint, signers, policy=KEY) == "BUNDLE_MALFORMED"
