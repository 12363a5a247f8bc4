from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run, Served


def test_life(run: Run, served: Served) -> None:
    """An instance is added, listed, refreshed and removed."""
    added = run("trust", "add", served.url, "--fingerprint", f"SHA256:{served.fingerprint.upper()}")
    name = served.url.removeprefix("http://").replace(":", "-")
    assert added.status == 0, added.err
    assert f"as {name}" in added.out

    assert run("trust", "list").out == f"{name}  {served.url}  sha256:{served.fingerprint}\n"
    assert json.loads(run("trust", "list", "--json").out) == {
        "instances": [{"name": name, "url": served.url, "fingerprint": served.fingerprint}]
    }
    for words in ((), (name,), (served.url,)):
        assert run("trust", "refresh", *words).out == f"refreshed {name}\n"

    assert run("trust", "remove", served.url).status == 0
    assert run("trust", "list").out == ""
    assert run("trust", "remove", name).status == 2


def test_refresh_goes_on(run: Run, served: Served, tmp_path: Path) -> None:
    """An instance that fails does not keep the others from being refreshed."""
    for name in ("first", "second"):
        words = ("--fingerprint", served.fingerprint, "--name", name)
        assert run("trust", "add", served.url, *words).status == 0
    pinned = tmp_path / "home" / "instances" / "first" / "pinned.root.json"
    pinned.write_bytes(pinned.read_bytes() + b" ")

    result = run("trust", "refresh")

    assert result.status == 1
    assert "not refreshed: first" in result.err
    assert "TRUST_REFUSED" in result.err
    assert result.out == "refreshed second\n"


@pytest.mark.parametrize(
    ("fingerprint", "status", "code"),
    [("0" * 64, 1, "TRUST_REFUSED"), ("0" * 63, 2, "DIGEST_MALFORMED"), (None, 2, "USAGE")],
)
def test_wrong_fingerprint(
    run: Run, served: Served, fingerprint: str | None, status: int, code: str
) -> None:
    """Without the right fingerprint nothing is trusted."""
    words = () if fingerprint is None else ("--fingerprint", fingerprint)
    result = run("trust", "add", served.url, *words)
    assert result.status == status
    assert code in result.err
    assert run("trust", "list").out == ""


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("http://sigstore.example.test", 2),
        ("ftp://sigstore.example.test", 2),
        ("sigstore.example.test", 2),
        ("https://", 2),
        ("../..", 2),
    ],
)
def test_bad_url(run: Run, url: str, status: int) -> None:
    """What is no URL that may be fetched is a usage error."""
    assert run("trust", "add", url, "--fingerprint", "0" * 64).status == status


def test_not_an_instance(run: Run, served: Served) -> None:
    """A path below an instance is no instance."""
    result = run("trust", "add", served.url + "/nowhere", "--fingerprint", "0" * 64)
    assert result.status == 1
    assert "NOT_FOUND" in result.err


@pytest.mark.parametrize("name", ["../evil", "a/b", ""])
def test_bad_name(run: Run, served: Served, name: str) -> None:
    """A name that could be a path is refused."""
    words = (served.url, "--fingerprint", served.fingerprint, f"--name={name}")
    result = run("trust", "add", *words)
    assert result.status == 2 or (name == "" and result.status == 0)
