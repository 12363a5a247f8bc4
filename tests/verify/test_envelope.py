"""The envelope of a bundle and the statement in it."""

from hashlib import sha512
from typing import Any

import pytest

from tests.verify.mint import ARTIFACT, KEY, Mint, refused, statement_about


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
    subject = [
        {"digest": {"sha256": "00" * 32}},
        {"digest": {"sha512": sha512(ARTIFACT).hexdigest()}},
    ]
    payload = statement_about(ARTIFACT, subject=subject)

    verdict = mint.verify(mint.bundle("v2-dsse", payload=payload))
    assert verdict.statement is not None
    assert verdict.statement.predicate_type == "https://example.test/p/v1"
