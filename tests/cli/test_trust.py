from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from touchplate.formats.signing_config import parse_client_trust_config
from touchplate.formats.trusted_root import parse_trusted_root

if TYPE_CHECKING:
    from tests.cli.conftest import Run, Served


@pytest.mark.slow
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
    nothing = run("trust", "list")
    assert (nothing.status, nothing.out) == (0, "")
    assert "no instance is trusted here yet" in nothing.err
    assert run("trust", "remove", name).status == 2


@pytest.mark.slow
def test_export(run: Run, served: Served, signed: Path) -> None:
    """What was fetched is given as one file, byte for byte, and verifies without the store."""
    assert run("trust", "export").status == 2
    name = ("--name", "ours")
    assert run("trust", "add", served.url, "--fingerprint", served.fingerprint, *name).status == 0
    fetched = signed.parent / "home" / "instances" / "ours" / "targets" / "trusted_root.json"

    for words in ((), ("ours",), (served.url,)):
        assert run("trust", "export", *words).out.encode() == fetched.read_bytes()
    for _ in range(2):
        result = run("trust", "export", "ours", "--output", "root.json")
        assert (result.status, result.out) == (0, "wrote root.json\n")
    assert (signed.parent / "root.json").read_bytes() == fetched.read_bytes()

    assert run("trust", "export", "--trust-config", "--output", "both.json").status == 0
    both = parse_client_trust_config((signed.parent / "both.json").read_bytes())
    assert both.trusted_root == parse_trusted_root(fetched.read_bytes())
    assert both.signing_config == served.world.signing_config

    assert run("trust", "remove", "ours").status == 0
    assert run("verify", signed, "--trusted-root", "root.json", *served.who).status == 0
    assert run("verify", signed, "--trust-config", "both.json", *served.who).status == 0


@pytest.mark.slow
def test_export_nothing_spoilt(run: Run, served: Served, tmp_path: Path) -> None:
    """What can not be read, or not be written, is not handed on."""
    words = ("--fingerprint", served.fingerprint, "--name", "ours")
    assert run("trust", "add", served.url, *words).status == 0
    assert run("trust", "export", "--output", "nowhere/root.json").status == 2
    targets = tmp_path / "home" / "instances" / "ours" / "targets"
    for name, more in (
        ("signing_config.v0.2.json", ("--trust-config",)),
        ("trusted_root.json", ()),
    ):
        (targets / name).write_bytes(b"{}")
        result = run("trust", "export", *more)
        assert (result.status, result.out) == (2, "")


@pytest.mark.slow
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
        ("../..", 2),
    ],
)
def test_bad_url(run: Run, url: str, status: int) -> None:
    """What is no URL that may be fetched is a usage error."""
    result = run("trust", "add", url, "--fingerprint", "0" * 64)
    assert result.status == status
    assert url.removeprefix("http://") in result.err


def test_not_an_instance(run: Run, served: Served) -> None:
    """A path below an instance is no instance."""
    result = run("trust", "add", served.url + "/nowhere", "--fingerprint", "0" * 64)
    assert result.status == 1
    assert "NOT_FOUND" in result.err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["../evil", "a/b", ""])
def test_bad_name(run: Run, served: Served, name: str) -> None:
    """A name that could be a path is refused."""
    words = (served.url, "--fingerprint", served.fingerprint, f"--name={name}")
    result = run("trust", "add", *words)
    assert result.status == 2 or (name == "" and result.status == 0)
