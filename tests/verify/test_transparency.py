"""Certificate transparency: which promises of logs vouch for a certificate."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from tests.verify.certificates import END, NOW, START, new_key, spki
from tests.verify.mint import NAME, Mint, refused
from tests.verify.promises import sct
from tests.verify.trust import log_json, window
from touchplate.verify import Options

SECOND = timedelta(seconds=1)


def seen(mint: Mint, **changes: Any) -> dict[str, Any]:
    """Give a bundle whose certificate has one varied promise."""
    key = changes.pop("key", mint.ct_key)
    leaf = mint.leaf(scts=lambda tbs, issuer: [sct(tbs, issuer, key, **changes)])
    return mint.bundle(leaf=leaf)


def test_extensions(mint: Mint) -> None:
    """A static log's index in the promise's extensions is part of what was signed."""
    index = bytes.fromhex("0000050000000007")

    assert mint.verify(seen(mint, extensions=index)).identity == NAME


def test_milliseconds(mint: Mint) -> None:
    """A promise has milliseconds, and they count at the end of a window."""
    at = NOW + timedelta(milliseconds=999)

    def until(ends: datetime) -> Any:
        def narrow(root: dict[str, Any]) -> None:
            root["ctlogs"][0]["publicKey"]["validFor"] = window(START, ends)

        return mint.trusted_root(narrow)

    assert mint.verify(seen(mint, at=at), root=until(at)).identity == NAME
    early = until(at - timedelta(milliseconds=1))
    assert refused(mint, seen(mint, at=at), root=early) == "SCT_INVALID"


@pytest.mark.parametrize(
    ("begins", "ends", "proven"),
    [(NOW, NOW, True), (NOW + SECOND, END, False), (START, NOW - SECOND, False)],
)
def test_window(mint: Mint, begins: datetime, ends: datetime, proven: bool) -> None:
    """The log's key counts within its window, both ends included."""

    def narrow(root: dict[str, Any]) -> None:
        root["ctlogs"][0]["publicKey"]["validFor"] = window(begins, ends)

    root = mint.trusted_root(narrow)
    if proven:
        assert mint.verify(mint.bundle(), root=root).identity == NAME
    else:
        assert refused(mint, mint.bundle(), root=root) == "SCT_INVALID"


def test_time_after_the_calendar(mint: Mint) -> None:
    """A promise of a time that no calendar has is refused, not a crash."""

    def far(tbs: bytes, issuer: bytes) -> Sequence[bytes]:
        return [sct(tbs, issuer, mint.ct_key, moment=2**64 - 1)]

    def last(tbs: bytes, issuer: bytes) -> Sequence[bytes]:
        return [sct(tbs, issuer, mint.ct_key, moment=253_402_300_799_999)]

    def open_end(root: dict[str, Any]) -> None:
        root["ctlogs"][0]["publicKey"]["validFor"] = window(START, None)

    root = mint.trusted_root(open_end)
    assert refused(mint, mint.bundle(leaf=mint.leaf(scts=far)), root=root) == "SCT_INVALID"
    assert mint.verify(mint.bundle(leaf=mint.leaf(scts=last)), root=root).identity == NAME


@pytest.mark.parametrize(
    "changes",
    [
        {"key": new_key("p256", 500), "log_id": b"own"},
        {"algorithms": b"\x02\x03"},
        {"algorithms": b"\x04\x01"},
        {"algorithms": b"\x04\x02"},
    ],
    ids=["key", "sha1", "rsa", "dsa"],
)
def test_known_log(mint: Mint, changes: dict[str, Any]) -> None:
    """A promise in the name of a known log must be by its key, with its algorithm."""
    if changes.get("log_id"):
        changes = {**changes, "log_id": sha256(spki(mint.ct_key)).digest()}

    assert refused(mint, seen(mint, **changes)) == "SCT_INVALID"


def test_unknown_log(mint: Mint) -> None:
    """A promise of a log that the trusted root does not list vouches for nothing."""
    assert refused(mint, seen(mint, key=new_key("p256", 501))) == "SCT_INVALID"


def test_unknown_log_beside_a_known_one(mint: Mint) -> None:
    """Several promises may stand there; one of a known log suffices, and each such must hold."""
    stranger = new_key("p256", 502)

    def two(tbs: bytes, issuer: bytes) -> Sequence[bytes]:
        return [sct(tbs, issuer, stranger), sct(tbs, issuer, mint.ct_key)]

    def spoiled(tbs: bytes, issuer: bytes) -> Sequence[bytes]:
        return [sct(tbs, issuer, mint.ct_key), sct(tbs[:-1], issuer, mint.ct_key)]

    assert mint.verify(mint.bundle(leaf=mint.leaf(scts=two))).identity == NAME
    assert refused(mint, mint.bundle(leaf=mint.leaf(scts=spoiled))) == "SCT_INVALID"


def test_none(mint: Mint) -> None:
    """A certificate without a promise is refused, unless none is asked for."""
    bare = mint.bundle(leaf=mint.leaf(drop=["sct"]))

    assert refused(mint, bare) == "SCT_INVALID"
    assert mint.verify(bare, options=Options(certificate_logs=0)).identity == NAME


def test_empty_list(mint: Mint) -> None:
    """An empty list of promises is malformed."""
    empty = mint.bundle(leaf=mint.leaf(scts=lambda tbs, issuer: []))

    assert refused(mint, empty) == "SCT_MALFORMED"


def test_other_issuer(mint: Mint, other: Mint) -> None:
    """The promise names the key of the certificate's direct issuer."""
    leaf = mint.leaf(scts=lambda tbs, issuer: [sct(tbs, spki(other.ca.key), mint.ct_key)])

    assert refused(mint, mint.bundle(leaf=leaf)) == "SCT_INVALID"


def test_rsa_log(mint: Mint) -> None:
    """A log's key may be RSA."""
    key = new_key("rsa2048", 503)

    def listed(root: dict[str, Any]) -> None:
        root["ctlogs"] = [log_json("https://ct.example.test", key)]

    members = seen(mint, key=key, algorithms=b"\x04\x01")
    assert mint.verify(members, root=mint.trusted_root(listed)).identity == NAME


def test_log_listed_twice(mint: Mint) -> None:
    """A log that stands there with two windows is valid in both."""

    def twice(root: dict[str, Any]) -> None:
        [log] = root["ctlogs"]
        later = {**log, "publicKey": {**log["publicKey"], "validFor": window(NOW + SECOND)}}
        root["ctlogs"] = [later, log]

    assert mint.verify(mint.bundle(), root=mint.trusted_root(twice)).identity == NAME


def test_id_is_not_enough(mint: Mint) -> None:
    """A second log under the same id, with another key, does not take the first one's place."""

    def clash(root: dict[str, Any]) -> None:
        second = log_json("https://ct2.example.test", new_key("p256", 504))
        second["logId"] = root["ctlogs"][0]["logId"]
        root["ctlogs"].append(second)

    assert mint.verify(mint.bundle(), root=mint.trusted_root(clash)).identity == NAME
