"""The import budget: which modules the commands that must be fast may load (modules, not time)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Served

# Rooms of ours, and packages of others, that verifying may load: nothing that speaks to a network,
# a clock or a server, and none of the libraries that take longer to import than to verify.
VERIFY_ROOMS = {"cli", "entries", "errors", "formats", "keys", "merkle", "trust", "verify"}
VERIFY_PACKAGES = {"cryptography", "touchplate", "_cffi_backend", "_openssl"}
# Parts of the standard library and of `cryptography` that are dear, or have no business there.
NEVER = {
    "asyncio",
    "concurrent",
    "cryptography.hazmat.asn1",
    "cryptography.x509",
    "email",
    "http",
    "logging",
    "multiprocessing",
    "msgspec",
    "pathlib",
    "rich",
    "select",
    "shutil",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
    "tempfile",
    "tuf",
    "urllib",
    "urllib3",
    "zipfile",
}
VERIFY_MODULES = 180
VERSION_MODULES = {
    "touchplate",
    "touchplate.cli",
    "touchplate.cli.__main__",
    "touchplate.cli.verbs",
    "touchplate.cli.version",
}

PROGRAM = """
import sys
before = set(sys.modules)
from touchplate.cli.__main__ import main
status = main(sys.argv[1:])
print(*sorted(set(sys.modules) - before), file=sys.stderr)
sys.exit(status)
"""


def modules_of(*words: str | Path) -> set[str]:
    """Run a command in a fresh interpreter and give the modules that it loaded."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}{PROGRAM}", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.split())


def dear_in(loaded: set[str]) -> set[str]:
    """Give the modules among these that must not be there."""
    return {name for name in loaded if any(f"{name}.".startswith(f"{bad}.") for bad in NEVER)}


def test_version() -> None:
    """`--version` loads five modules of ours, and of the rest only what importing itself needs."""
    loaded = modules_of("--version")
    assert {name for name in loaded if name.startswith("touchplate")} == VERSION_MODULES
    rest = {name.partition(".")[0] for name in loaded - VERSION_MODULES}
    assert rest <= {"importlib", "warnings", "_warnings"}


def test_verify(signed: Path, served: Served) -> None:
    """`verify` loads no HTTP client, no server, no TUF, and no more modules than is agreed."""
    root = signed.parent / "root.json"
    loaded = modules_of("verify", signed, "--trusted-root", root, *served.who)

    rooms = {name.split(".")[1] for name in loaded if name.startswith("touchplate.")}
    packages = {name.partition(".")[0] for name in loaded}
    assert rooms <= VERIFY_ROOMS
    assert packages - set(sys.stdlib_module_names) - VERIFY_PACKAGES == set()
    assert {
        name for name in loaded if any(f"{name}.".startswith(f"{bad}.") for bad in NEVER)
    } == set()
    assert len(loaded) <= VERIFY_MODULES


def test_verify_with_instance(
    signed: Path, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither does `verify` against an instance that was added."""
    folder = tmp_path / "home" / "instances" / "ours"
    (folder / "targets").mkdir(parents=True)
    (folder / "instance.json").write_text('{"url":"u","tuf_url":"t","fingerprint":"f"}')
    (folder / "targets" / "trusted_root.json").write_bytes(served.trusted_root)

    monkeypatch.setenv("TOUCHPLATE_HOME", str(tmp_path / "home"))
    loaded = modules_of("verify", signed, *served.who)

    assert {
        name for name in loaded if any(f"{name}.".startswith(f"{bad}.") for bad in NEVER)
    } == set()
