"""The other clients, and our own, with an instance whose checkpoints are cosigned."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.loopback import Witness, make_witness, serving_all
from touchplate.formats.note import parse_note, parse_vkey
from touchplate.formats.witness_policy import parse_policy

from .conftest import EMAIL, SCRIPTS, Instance, _read_url, run, touchplate
from .test_sigstore_js import SigstoreJS, node, package

pytestmark = pytest.mark.slow

__all__ = ["node", "package"]  # fixtures


@dataclass
class Witnessed:
    """An instance of two processes with three witnesses, two of which must cosign."""

    instance: Instance
    witnesses: list[Witness]
    policy: Path


@pytest.fixture(scope="module")
def witnessed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witnessed]:
    """Serve it, as its settings file says."""
    folder = tmp_path_factory.mktemp("witnessed")
    witnesses = [make_witness(name, []) for name in ("north", "south", "west")]
    with serving_all(witnesses), (folder / "log").open("wb") as output:
        policy = folder / "policy"
        lines = "".join(each.line() for each in witnesses)
        policy.write_text(f"{lines}group two 2 north south west\nquorum two\n")
        config = folder / "settings.toml"
        config.write_text('workers = 2\n[witness]\npolicy = "policy"\ndeadline_seconds = 10.0\n')
        config.chmod(0o600)
        data = folder / "data"
        server = subprocess.Popen(
            [SCRIPTS / "touchplate", "serve", "--data", data, "--listen", "127.0.0.1:0",
             "--config", config],
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        )  # fmt: skip
        try:
            instance = Instance(_read_url(server, folder / "log"), data)
            for each in witnesses:
                vkey = instance.fetch("/vkeys").decode().split()[1]
                each.logs = {"127.0.0.1": parse_vkey(vkey)}
            yield Witnessed(instance, witnesses, policy)
        finally:
            server.terminate()
            server.wait(90)
            assert server.stdout is not None
            server.stdout.close()


def files(witnessed: Witnessed, folder: Path) -> tuple[Path, Path, Path]:
    """Give a trust config, an artifact and a path for its bundle."""
    config, artifact = folder / "trust_config.json", folder / "release.tar.gz"
    config.write_bytes(witnessed.instance.fetch("/trust_config.json"))
    artifact.write_bytes(b"release of " + str(folder).encode())
    return config, artifact, artifact.with_suffix(".sigstore.json")


def sigstore(config: Path, *arguments: str) -> None:
    """Run sigstore-python."""
    home = str(config.parent)
    environment = {"HOME": home, "PATH": str(Path(sys.executable).parent)}
    done = run(
        *(sys.executable, "-m", "sigstore", "--trust-config", str(config), *arguments),
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def check(witnessed: Witnessed, config: Path, artifact: Path, bundle: Path, version: str) -> None:
    """Verify with both, and hold the checkpoint to the policy."""
    instance = witnessed.instance
    sigstore(
        config,
        *("verify", "identity", "--bundle", str(bundle), "--cert-oidc-issuer", instance.issuer),
        *("--cert-identity", EMAIL, str(artifact)),
    )
    root = config.with_name("trusted_root.json")
    root.write_text(json.dumps(json.loads(config.read_bytes())["trustedRoot"]))
    done = touchplate(
        *("verify", str(artifact), "--bundle", str(bundle), "--trusted-root", str(root)),
        *("--identity", EMAIL, "--issuer", instance.issuer),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (entry,) = json.loads(bundle.read_bytes())["verificationMaterial"]["tlogEntries"]
    envelope = entry["inclusionProof"]["checkpoint"]["envelope"]
    if version == "1":
        assert len(parse_note(envelope).signatures) == 1
        return
    logs = "".join(f"log {vkey}\n" for vkey in instance.fetch("/vkeys").decode().split())
    parse_policy(logs.encode() + witnessed.policy.read_bytes()).check(envelope)


@pytest.mark.parametrize("version", ["2", "1"])
def test_sigstore_python_signs(witnessed: Witnessed, tmp_path: Path, version: str) -> None:
    """sigstore-python signs with a witnessed log, with either API, and both verifiers accept it."""
    config, artifact, bundle = files(witnessed, tmp_path)
    sigstore(
        config,
        *("sign", "--identity-token", witnessed.instance.token(), "--rekor-version", version),
        *("--bundle", str(bundle), str(artifact)),
    )
    check(witnessed, config, artifact, bundle, version)


@pytest.mark.parametrize("version", ["2", "1"])
def test_we_sign(witnessed: Witnessed, tmp_path: Path, version: str) -> None:
    """What `touchplate sign` writes with a witnessed log is accepted by both."""
    config, artifact, bundle = files(witnessed, tmp_path)
    done = touchplate(
        *("sign", str(artifact), "--identity-token", witnessed.instance.token()),
        *("--bundle", str(bundle), "--trust-config", str(config), "--tlog-version", version),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    check(witnessed, config, artifact, bundle, version)


@pytest.mark.parametrize("version", ["2", "1"])
def test_sigstore_js_accepts(
    witnessed: Witnessed,
    node: Path,
    package: Path,
    tmp_path: Path,
    version: str,
) -> None:
    """sigstore-js accepts what was signed with a witnessed log, and nothing else."""
    config, artifact, bundle = files(witnessed, tmp_path)
    done = touchplate(
        *("sign", str(artifact), "--identity-token", witnessed.instance.token()),
        *("--bundle", str(bundle), "--trust-config", str(config), "--tlog-version", version),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    client = SigstoreJS(node, package, tmp_path, witnessed.instance)
    assert client.verify(bundle, artifact) == 0
    assert client.verify(bundle, artifact, "other@example.com") != 0


def test_check(witnessed: Witnessed, tmp_path: Path) -> None:
    """Both logs are whole while the instance runs, their entries and checkpoints included."""
    config, artifact, bundle = files(witnessed, tmp_path)
    done = touchplate(
        *("sign", str(artifact), "--identity-token", witnessed.instance.token()),
        *("--bundle", str(bundle), "--trust-config", str(config)),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    done = touchplate("log", "check", "--data", str(witnessed.instance.data), "--entries", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    tlog, ct = json.loads(done.stdout)["logs"]
    assert (tlog["whole"], ct["whole"]) == (True, True)
    assert tlog["size"] == tlog["signatures"] >= 1
    assert ct["size"] >= 1


def test_key_is_there(witnessed: Witnessed) -> None:
    """The key for witnesses rests beside the others, as private as they are."""
    key = witnessed.instance.data / "keys" / "tlog-ed25519.pem"
    assert key.stat().st_mode & 0o777 == 0o600
