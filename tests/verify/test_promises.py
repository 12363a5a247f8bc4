"""When, by the promises of v1 logs and the windows of their keys; and times that cannot be told."""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from tests.verify.certificates import END, NOW, START, b64, new_key, spki
from tests.verify.mint import NAME, Mint, only_entry, refused
from tests.verify.promises import stamp
from tests.verify.trust import log_json, window

SECOND = timedelta(seconds=1)


def test_promise_on_a_v2_entry(mint: Mint) -> None:
    """A v2 log makes no promises: one in its entry is refused, though the key did sign it."""
    both = mint.with_(v2_key=mint.v1_key)
    root = mint.trusted_root(lambda members: members["tlogs"].pop(1))
    members = both.bundle("v2-message")
    entry = only_entry(members)
    mint.promise(entry, NOW)

    assert refused(mint, members, root=root) == "SET_INVALID"


@pytest.mark.parametrize("name", ["integratedTime", "logIndex", "canonicalizedBody"])
def test_promise_binds(mint: Mint, name: str) -> None:
    """The promise is over the time, the index and the body."""
    members = mint.bundle("v1-message")
    entry = only_entry(members)
    entry[name] = b64(b"{}") if name == "canonicalizedBody" else str(int(entry[name]) + 1)

    assert refused(mint, members) == "SET_INVALID"


def test_promise_of_another_key(mint: Mint) -> None:
    """The promise is by the log whose entry it is."""
    members = mint.bundle("v1-message")
    mint.with_(v1_key=new_key("p256", 340)).promise(only_entry(members), NOW)

    assert refused(mint, members) == "SET_INVALID"


@pytest.mark.parametrize(("kind", "is_taken"), [("p384", True), ("rsa2048", False)])
def test_promise_by_kind_of_key(mint: Mint, kind: str, is_taken: bool) -> None:
    """V1 logs sign with ECDSA and SHA-256, whatever the curve; RSA with the same hash is none."""
    other = mint.with_(v1_key=new_key(kind, 360))
    members = other.bundle("v1-message")

    def listed(root: dict[str, Any]) -> None:
        root["tlogs"][0] = log_json("https://log-v1.example.test", other.v1_key)

    root = mint.trusted_root(listed)
    if is_taken:
        assert mint.verify(members, root=root).times[0].source == "log"
    else:
        assert refused(mint, members, root=root) == "SET_INVALID"


def test_promise_with_ed25519(mint: Mint) -> None:
    """V1 logs sign with ECDSA: a promise is not looked for under another kind of key."""
    strange = new_key("ed25519", 350)
    members = mint.bundle("v1-message")
    entry = only_entry(members)
    entry["logId"]["keyId"] = b64(sha256(spki(strange)).digest())

    def listed(root: dict[str, Any]) -> None:
        root["tlogs"][0] = log_json("https://log-v1.example.test", strange)

    assert refused(mint, members, root=mint.trusted_root(listed)) == "SET_INVALID"


@pytest.mark.parametrize(
    ("begins", "ends", "proven"),
    [(NOW, NOW, True), (NOW + SECOND, END, False), (START, NOW - SECOND, False)],
)
@pytest.mark.parametrize(("shape", "log"), [("v1-message", 0), ("v2-message", 1)])
def test_window_of_the_log(
    mint: Mint, shape: str, log: int, begins: datetime, ends: datetime, proven: bool
) -> None:
    """A log's key counts within its window: at the promised time, or at some verified time."""

    def narrow(root: dict[str, Any]) -> None:
        root["tlogs"][log]["publicKey"]["validFor"] = window(begins, ends)

    root = mint.trusted_root(narrow)
    if proven:
        assert mint.verify(mint.bundle(shape), root=root).identity == NAME
    else:
        assert refused(mint, mint.bundle(shape), root=root) == "LOG_KEY_NOT_VALID_AT_TIME"


def test_window_of_a_v1_log_without_promise(mint: Mint) -> None:
    """Without a promise a v1 entry has no time: the timestamp's must lie in the key's window."""
    members = mint.bundle("v1-message", stamps=lambda value: [stamp(value, mint.tsa)])
    del only_entry(members)["inclusionPromise"]

    def narrow(root: dict[str, Any]) -> None:
        root["tlogs"][0]["publicKey"]["validFor"] = window(NOW + SECOND)

    assert mint.verify(members).times[0].source == "tsa"
    root = mint.trusted_root(narrow)
    assert refused(mint, members, root=root) == "LOG_KEY_NOT_VALID_AT_TIME"


def test_a_log_listed_twice(mint: Mint) -> None:
    """A log that stands in the trusted root with two windows is valid in both."""

    def twice(root: dict[str, Any]) -> None:
        for log in tuple(root["tlogs"]):
            later = {**log, "publicKey": {**log["publicKey"], "validFor": window(NOW + SECOND)}}
            root["tlogs"].insert(0, later)

    root = mint.trusted_root(twice)
    assert mint.verify(mint.bundle("v1-message"), root=root).identity == NAME
    assert mint.verify(mint.bundle("v2-message"), root=root).identity == NAME


def test_time_after_the_calendar(mint: Mint) -> None:
    """A promised time beyond the year 9999 is refused, not a crash."""
    members = mint.bundle("v1-message")
    mint.promise(only_entry(members), 253_402_300_800)

    assert refused(mint, members) == "SET_INVALID"
