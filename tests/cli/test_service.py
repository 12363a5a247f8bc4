from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from touchplate.cli.service import load_server
from touchplate.errors import SettingsError

if TYPE_CHECKING:
    from tests.cli.conftest import Run


def test_not_installed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the service's packages `serve` and `token` say what to install."""

    def missing(name: str) -> ModuleType:
        raise ModuleNotFoundError(f"No module named 'uvicorn' (for {name})", name="uvicorn")

    monkeypatch.setattr("touchplate.cli.service.import_module", missing)
    for words in (("serve",), ("token", "--email", "a@example.com")):
        result = run(*words)
        assert result.status == 2
        assert "touchplate[server]" in result.err


def test_our_own_fault() -> None:
    """A module of ours that is missing is our fault, and not an installation's."""
    with pytest.raises(ModuleNotFoundError):
        load_server("no_such_module")


def test_error_is_settings() -> None:
    """What is missing is named."""
    assert importlib.import_module("touchplate.server.settings") is load_server("settings")
    assert issubclass(SettingsError, Exception)


def test_token_without_instance(run: Run, tmp_path: Path) -> None:
    """A folder without an instance mints nothing."""
    for folder in (tmp_path / "none", tmp_path):
        tmp_path.chmod(0o700)
        result = run("token", "--data", folder, "--email", "a@example.com")
        assert result.status == 2
        assert result.out == ""
    assert "there is no folder" in run("token", "--data", "no", "--email", "a@example.com").err


def test_damaged_folder(run: Run, tmp_path: Path) -> None:
    """A file of the folder that is damaged or missing is named, and where to get it from."""
    words = ("token", "--data", tmp_path, "--email", "a@example.com")
    (tmp_path / "instance.json").write_text("x")
    damaged = run(*words)
    instance = {"format": 1, "url": "https://sign.example.org", "url_follows_listen": False}
    more = {"created_at": "2026-11-23T12:00:00+00:00", "ca_key": "ecdsa-p256", "complete": True}
    (tmp_path / "instance.json").write_text(json.dumps(instance | more))
    missing = run(*words)

    for result, code, name in (
        (damaged, "SETTINGS_INVALID", "instance.json"),
        (missing, "KEY_NOT_FOUND", "issuer.pem"),
    ):
        assert result.status == 2
        assert code in result.err
        assert name in result.err
        assert "from the backup" in result.err


def test_data_is_a_file(run: Run, tmp_path: Path) -> None:
    """A file is no folder for an instance."""
    (tmp_path / "file").write_bytes(b"")
    result = run("serve", "--data", tmp_path / "file", "--listen", "127.0.0.1:0")
    assert result.status == 2
    assert "file is not a folder" in result.err


@pytest.mark.parametrize("minutes", ["", "-1", "x", "0", "1441", "999999", "1.5"])
def test_token_lifetime(run: Run, minutes: str) -> None:
    """A lifetime is a number of minutes."""
    assert run("token", "--email", "a@example.com", "--minutes", minutes).status == 2


@pytest.mark.parametrize(
    "words", [("--listen", "nowhere"), ("--url", "ftp://x"), ("--ca-key", "rsa")]
)
def test_serve_settings(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    """A setting that cannot be is refused before a folder is made."""
    assert run("serve", "--data", tmp_path / "data", *words).status == 2
    assert not (tmp_path / "data").exists()
