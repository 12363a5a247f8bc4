"""Keys exchanged while sigstore-python and our own command sign: before, during and after."""

import json
from pathlib import Path

import pytest

from tests.server.conftest import until

from .conftest import Instance, touchplate
from .test_rotated import trust
from .test_sigstore_js import SigstoreJS, node, package
from .test_sigstore_python import SigstorePython, verify_with_ours, verify_with_sigstore

__all__ = ["node", "package"]

pytestmark = pytest.mark.slow

# What our own command says with the trust of before the rotation.
CODES = {"ca": "CERT_CHAIN", "tsa": "TIMESTAMP_INVALID", "ct": "SCT_INVALID"}


def states(instance: Instance) -> dict[str, str]:
    """Give the state of each key, by its name."""
    done = touchplate("rotate", "list", "--json", "--data", str(instance.data))
    assert done.returncode == 0, done.stderr
    return {each["name"]: each["state"] for each in json.loads(done.stdout)["keys"]}


@pytest.mark.timeout(900)  # commands that each take seconds to start
@pytest.mark.parametrize("role", ["ca", "tsa", "ct"])
def test_before_during_and_after(own: Instance, tmp_path: Path, role: str) -> None:
    """Bundles of each time verify with both clients, which change nothing; no restart is needed.

    One client has followed the trust repository since before the rotation.
    """
    by_tuf = SigstorePython(tmp_path, "--instance", f"{own.url}/tuf")
    root = tmp_path / "root.json"
    root.write_bytes(own.fetch("/tuf/1.root.json"))
    by_tuf("trust-instance", str(root))
    home = {"TOUCHPLATE_HOME": str(tmp_path / "ours"), "PATH": "/usr/bin:/bin"}
    added = touchplate("trust", "add", own.url, "--fingerprint", fingerprint(own), env=home)
    assert added.returncode == 0, added.stderr
    _, before_root = trust(own, tmp_path, 0)
    made: list[tuple[Path, Path]] = []

    def sign(time: str) -> None:
        for name in ("theirs", "ours"):
            artifact = tmp_path / f"{time}.{name}"
            artifact.write_bytes(artifact.name.encode())
            bundle = artifact.with_name(f"{artifact.name}.sigstore.json")
            if name == "theirs":
                words = ("--identity-token", own.token(), "--bundle", str(bundle), str(artifact))
                by_tuf("sign", *words)
            else:
                done = touchplate(
                    *("sign", str(artifact), "--identity-token", own.token()), env=home
                )
                assert done.returncode == 0, done.stderr
            made.append((bundle, artifact))

    sign("before")
    done = touchplate("rotate", role, "--overlap", "20s", "--data", str(own.data))
    assert done.returncode == 0, done.stderr
    _, during_root = trust(own, tmp_path, 1)
    sign("during")
    until(lambda: states(own) | {role: "retired", f"{role}-2": "signs"} == states(own))
    sign("after")
    newest, trusted_root = trust(own, tmp_path, 2)
    # Nothing is published at the change: who asked during the overlap knows all.
    assert json.loads(during_root.read_text()) == json.loads(trusted_root.read_text())
    for bundle, artifact in made:
        verify_with_sigstore(newest, own, bundle, artifact)
        verify_with_sigstore(by_tuf, own, bundle, artifact)
        assert verify_with_ours(own, bundle, artifact, trusted_root) == 0
    for place, (bundle, artifact) in enumerate(made):
        known = verify_with_ours(own, bundle, artifact, before_root)
        # A slow machine may sign the second ones after the change.
        assert known == (0 if place < 2 else 1) or 2 <= place < 4


@pytest.mark.parametrize("role", ["ca", "tsa", "ct"])
def test_stale_trust_is_told(own: Instance, tmp_path: Path, role: str) -> None:
    """Who verifies with the trust of before is told what to do; who signs looks again by itself."""
    home = {"TOUCHPLATE_HOME": str(tmp_path / "ours"), "PATH": "/usr/bin:/bin"}
    added = touchplate("trust", "add", own.url, "--fingerprint", fingerprint(own), env=home)
    assert added.returncode == 0, added.stderr
    _, old = trust(own, tmp_path, 1)
    done = touchplate("rotate", role, "--overlap", "0", "--data", str(own.data))
    assert done.returncode == 0, done.stderr
    # Each worker takes it up within seconds.
    artifact = tmp_path / "release"
    artifact.write_bytes(b"release")
    bundle = tmp_path / "release.sigstore.json"

    def is_new() -> bool:
        words = ("--identity-token", own.token(), "--overwrite")
        done = touchplate("sign", str(artifact), *words, env=home)
        assert done.returncode == 0, done.stderr
        return verify_with_ours(own, bundle, artifact, old) == 1

    until(is_new)
    words = ("--identity", "dev@example.com", "--issuer", own.issuer)
    told = touchplate("verify", str(artifact), "--trusted-root", str(old), *words)
    assert told.returncode == 1
    assert CODES[role] in told.stdout + told.stderr
    assert "refresh" in told.stdout + told.stderr
    done = touchplate("verify", str(artifact), *words, env=home)
    assert done.returncode == 0, done.stdout + done.stderr


def test_sigstore_js(own: Instance, node: Path, package: Path, tmp_path: Path) -> None:
    """sigstore-js verifies bundles of before and after rotations, also to a new root.

    It finds issuers by their names and key identifiers, of which there are several then.
    """
    home = {"TOUCHPLATE_HOME": str(tmp_path / "ours"), "PATH": "/usr/bin:/bin"}
    added = touchplate("trust", "add", own.url, "--fingerprint", fingerprint(own), env=home)
    assert added.returncode == 0, added.stderr
    client = SigstoreJS(node, package, tmp_path, own)
    made: list[Path] = []

    def sign() -> None:
        artifact = tmp_path / f"release{len(made)}"
        artifact.write_bytes(artifact.name.encode())
        done = touchplate("sign", str(artifact), "--identity-token", own.token(), env=home)
        assert done.returncode == 0, done.stderr
        made.append(artifact)

    sign()
    for words in (("ca",), ("tsa",), ("ct",), ("ca", "--new-root"), ("tsa", "--new-root")):
        done = touchplate("rotate", *words, "--overlap", "0", "--data", str(own.data))
        assert done.returncode == 0, done.stderr
        until(lambda: "announced" not in states(own).values())
        sign()
    _, root = trust(own, tmp_path, 1)
    newest = json.loads(root.read_text())
    for name in ("certificateAuthorities", "timestampAuthorities", "ctlogs"):
        assert len(newest[name]) > 1
        newest[name] = newest[name][-1:]
    root.write_text(json.dumps(newest))

    def is_by_newest() -> bool:
        sign()
        bundle = Path(f"{made[-1]}.sigstore.json")
        return verify_with_ours(own, bundle, made[-1], root) == 0

    until(is_by_newest)
    for artifact in made:
        assert client.verify(Path(f"{artifact}.sigstore.json"), artifact) == 0


def fingerprint(instance: Instance) -> str:
    """Give the fingerprint of the instance's first root."""
    from hashlib import sha256

    return sha256(instance.fetch("/tuf/1.root.json")).hexdigest()
