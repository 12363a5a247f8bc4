"""The import budget: which modules the commands that must be fast may load (modules, not time)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Served

# Modules of ours that one verification loads, of a version 2 bundle under `--trusted-root`. A new
# one belongs here only if it is needed before the first check, or if every verification needs it.
VERIFY_OURS = """
touchplate
touchplate.cli
touchplate.cli.__main__
touchplate.cli.environment
touchplate.cli.failure
touchplate.cli.inputs
touchplate.cli.parser
touchplate.cli.text
touchplate.cli.verbs
touchplate.cli.verdict
touchplate.cli.verify
touchplate.entries
touchplate.entries.admission
touchplate.entries.body
touchplate.entries.claim
touchplate.entries.compare
touchplate.entries.dsse_v001
touchplate.entries.dsse_v002
touchplate.entries.hashedrekord_v001
touchplate.entries.hashedrekord_v002
touchplate.entries.intoto_v002
touchplate.entries.kinds
touchplate.entries.pem
touchplate.entries.protojson
touchplate.errors
touchplate.formats
touchplate.formats.authentication
touchplate.formats.base64text
touchplate.formats.bundle
touchplate.formats.certificate
touchplate.formats.checkpoint
touchplate.formats.dsse
touchplate.formats.element
touchplate.formats.extensions
touchplate.formats.jcs
touchplate.formats.jsontext
touchplate.formats.limits
touchplate.formats.note
touchplate.formats.sct
touchplate.formats.standard_extensions
touchplate.formats.statement
touchplate.formats.timestamp
touchplate.formats.timetext
touchplate.formats.trusted_root
touchplate.keys
touchplate.keys.algorithms
touchplate.keys.pem
touchplate.keys.public
touchplate.keys.schemes
touchplate.keys.signer
touchplate.merkle
touchplate.merkle.proof
touchplate.merkle.tree
touchplate.verify
touchplate.verify.artifact
touchplate.verify.certification
touchplate.verify.content
touchplate.verify.inclusion
touchplate.verify.options
touchplate.verify.path
touchplate.verify.policy
touchplate.verify.steps
touchplate.verify.times
touchplate.verify.transparency
touchplate.verify.trust
touchplate.verify.verdict
touchplate.verify.verifier
touchplate.verify.x509_signature
"""
# Packages of others: nothing that speaks to a network, a clock or a server, and none of the
# libraries that take longer to import than to verify.
VERIFY_PACKAGES = {"cryptography", "touchplate", "_cffi_backend", "_openssl"}
# Parts of the standard library and of `cryptography` that are dear, or have no business there.
NEVER = {
    "asyncio",
    "concurrent",
    "cryptography.hazmat.asn1",
    "cryptography.x509",
    "dataclasses",
    "email",
    "http",
    "inspect",
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
if sys.version_info >= (3, 14):
    # argparse itself loads them for its colours, wanted or not, and what they need.
    NEVER -= {"dataclasses", "inspect"}
    VERIFY_MODULES += 10
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
    # The last four are loaded at start by versions before 3.14 anyway.
    assert rest <= {"importlib", "warnings", "_warnings", "io", "abc", "_abc", "_collections_abc"}


def test_verify(signed: Path, served: Served) -> None:
    """`verify` loads just these modules of ours, and nothing dear of others."""
    root = signed.parent / "root.json"
    loaded = modules_of("verify", signed, "--trusted-root", root, *served.who)

    packages = {name.partition(".")[0] for name in loaded}
    assert sorted(name for name in loaded if name.startswith("touchplate")) == VERIFY_OURS.split()
    assert packages - set(sys.stdlib_module_names) - VERIFY_PACKAGES == set()
    assert dear_in(loaded) == set()
    assert len(loaded) <= VERIFY_MODULES


def test_verify_with_instance(
    signed: Path, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against an instance that was added it loads the trust store too, and no more."""
    folder = tmp_path / "home" / "instances" / "ours"
    (folder / "targets").mkdir(parents=True)
    (folder / "instance.json").write_text('{"url":"u","tuf_url":"t","fingerprint":"f"}')
    (folder / "targets" / "trusted_root.json").write_bytes(served.trusted_root)

    monkeypatch.setenv("TOUCHPLATE_HOME", str(tmp_path / "home"))
    loaded = modules_of("verify", signed, *served.who)

    ours = {name for name in loaded if name.startswith("touchplate")}
    assert ours - set(VERIFY_OURS.split()) == {"touchplate.trust", "touchplate.trust.store"}
    assert dear_in(loaded) == set()
