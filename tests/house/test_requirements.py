"""The lock files: every package with its hash, no address, and all of pyproject.toml in them."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.docs.pages import REPOSITORY

FILES = sorted((REPOSITORY / "requirements").glob("*.txt"))


def locked(path: Path) -> dict[str, list[str]]:
    """Give the hashes of each package that the file locks."""
    entries: dict[str, list[str]] = {}
    name = ""
    for line in path.read_text("utf-8").splitlines():
        if found := re.match(r"([a-z0-9-]+)==\S+", line):
            name = found[1]
            entries[name] = []
        elif found := re.match(r"    --hash=(sha256:[0-9a-f]{64})( \\)?$", line):
            entries[name].append(found[1])
        else:
            assert re.match(r"    #", line), f"neither package, hash nor origin: {line}"
    return entries


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_hashes(path: Path) -> None:
    """Each package has hashes, and no line holds an address or an option of an index."""
    assert all(locked(path).values())


def test_subsets() -> None:
    """What users install is what was tested: the smaller files are parts of dev.txt."""
    core, dev, server = (locked(path) for path in FILES)

    assert core.items() <= server.items() <= dev.items()


def test_declared() -> None:
    """Every direct dependency of pyproject.toml is locked."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    declared = {
        re.split(r"[=><\[]", each)[0]
        for each in (
            *project["project"]["dependencies"],
            *project["project"]["optional-dependencies"]["server"],
            *project["dependency-groups"]["dev"],
        )
    }

    assert declared - set(locked(REPOSITORY / "requirements" / "dev.txt")) == set()


def test_no_addresses() -> None:
    """No tracked lock file of any client says where packages come from."""
    listed = subprocess.run(
        ["git", "ls-files", "*lock*.json", "*.lock", "*.txt"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    address = re.compile(r'"resolved": "https?:|--(extra-)?index-url|registry\s*=\s*"https?:')
    named = [
        name
        for name in listed.stdout.splitlines()
        if address.search((REPOSITORY / name).read_text("utf-8"))
    ]

    assert named == []
