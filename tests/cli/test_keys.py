"""`touchplate keys`: what it says of a key, and its exit status."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from touchplate.keys.public import load_public_key_pem

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.servers.hsm import Token


@pytest.mark.parametrize("kind", ["p256", "p384", "ed25519", "rsa-2048"])
def test_create_and_check(run: Run, tmp_path: Path, kind: str) -> None:
    """A key is made and tried; asked again it is the same one."""
    uri = (tmp_path / "keys" / "ca.pem").as_uri()
    made = run("keys", "create", uri, "--kind", kind, "--json")
    found = run("keys", "check", uri, "--json")
    one, two = json.loads(made.out), json.loads(found.out)

    assert (made.status, found.status) == (0, 0)
    assert one["works"]
    assert one["key_id"] == two["key_id"] == load_public_key_pem(two["public_key"]).key_id.hex()


def test_never_replaced(run: Run, tmp_path: Path) -> None:
    """A key that is there stays: status 1."""
    uri = (tmp_path / "keys" / "ca.pem").as_uri()
    assert run("keys", "create", uri).status == 0
    again = run("keys", "create", uri)

    assert again.status == 1
    assert "FILE_EXISTS" in again.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("uri", "status", "code"),
    [
        ("file:///nowhere/ca.pem", 2, "KEY_NOT_FOUND"),
        ("gopher:x", 2, "SETTINGS_INVALID"),
        ("pkcs11:token=t;object=ca", 2, "SETTINGS_INVALID"),
        ("awskms://127.0.0.1:1/k?region=x", 3, "SERVICE_UNAVAILABLE"),
    ],
)
def test_status(
    run: Run, monkeypatch: pytest.MonkeyPatch, uri: str, status: int, code: str
) -> None:
    """The exit status says who must act, and the JSON document has the code."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "A")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the secret")
    plain = run("keys", "check", uri)
    assert plain.status == status
    assert code in plain.err
    found = run("keys", "check", uri, "--json")

    assert found.status == status
    assert "the secret" not in plain.out + plain.err + found.out + found.err
    if found.out:
        document = json.loads(found.out)
        assert (document["works"], document["code"]) == (False, code)


def test_secrets_are_not_shown(
    run: Run, monkeypatch: pytest.MonkeyPatch, new_token: Callable[[], Token]
) -> None:
    """The PIN is in no output, right or wrong; from a variable as from the URI."""
    token = new_token()
    monkeypatch.setenv("THE_PIN", token.pin)
    said = [
        run("keys", "create", token.uri("ca", "pin-source=env:THE_PIN"), "--json"),
        run("keys", "check", token.uri("ca"), "--json"),
        run("keys", "check", token.uri("ca")),
        run("keys", "check", token.uri("none")),
        run("keys", "check", token.uri("ca") + "&x=1"),
    ]

    assert [each.status for each in said] == [0, 0, 0, 2, 2]
    text = "".join(each.out + each.err for each in said)
    assert token.pin not in text
    assert token.pin.replace(" ", "%20") not in text
