"""sigstore-python, as its users run it, against our service and our bundles."""

import json
import sys
from pathlib import Path

import pytest

from .conftest import EMAIL, Instance, run, touchplate

pytestmark = pytest.mark.slow

PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
PREDICATE = {
    "buildDefinition": {
        "buildType": "https://example.com/build/v1",
        "externalParameters": {"ref": "refs/tags/v1"},
        "resolvedDependencies": [],
    },
    "runDetails": {"builder": {"id": "https://example.com/builder"}},
}


class SigstorePython:
    """The `sigstore` command with its caches in a folder of the test."""

    def __init__(self, home: Path, *options: str) -> None:
        self.options = options
        self.environment = {
            "HOME": str(home),
            "PATH": str(Path(sys.executable).parent),
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_DATA_HOME": str(home / "data"),
        }

    def __call__(self, *arguments: str) -> str:
        done = run(
            sys.executable, "-m", "sigstore", *self.options, *arguments, env=self.environment
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def refuses(self, *arguments: str) -> None:
        done = run(
            sys.executable, "-m", "sigstore", *self.options, *arguments, env=self.environment
        )
        assert done.returncode != 0, done.stdout + done.stderr


@pytest.fixture
def by_file(instance: Instance, tmp_path: Path) -> SigstorePython:
    """The client with the instance's trust config given as a file."""
    config = tmp_path / "trust_config.json"
    config.write_bytes(instance.fetch("/trust_config.json"))
    return SigstorePython(tmp_path, "--trust-config", str(config))


@pytest.fixture
def by_tuf(instance: Instance, tmp_path: Path) -> SigstorePython:
    """The client that trusts the instance through its TUF repository."""
    root = tmp_path / "root.json"
    root.write_bytes(instance.fetch("/tuf/1.root.json"))
    client = SigstorePython(tmp_path, "--instance", f"{instance.url}/tuf")
    client("trust-instance", str(root))
    return client


@pytest.fixture
def trusted_root(instance: Instance, tmp_path: Path) -> Path:
    """The instance's trusted root as a file, for our own verifier."""
    path = tmp_path / "trusted_root.json"
    config = json.loads(instance.fetch("/trust_config.json"))
    path.write_text(json.dumps(config["trustedRoot"]))
    return path


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A file to sign, another one for every test."""
    path = tmp_path / "release.tar.gz"
    path.write_bytes(b"release of " + str(tmp_path).encode())
    return path


def entry_of(bundle: Path) -> tuple[str, str]:
    """Give kind and version of a bundle's first log entry."""
    parsed = json.loads(bundle.read_bytes())
    kind = parsed["verificationMaterial"]["tlogEntries"][0]["kindVersion"]
    return kind["kind"], kind["version"]


def verify_with_sigstore(
    client: SigstorePython, instance: Instance, bundle: Path, artifact: Path
) -> None:
    """Let sigstore-python verify, and see that it would refuse another identity."""
    common = ("verify", "identity", "--bundle", str(bundle), "--cert-oidc-issuer", instance.issuer)
    client(*common, "--cert-identity", EMAIL, str(artifact))
    client.refuses(*common, "--cert-identity", "other@example.com", str(artifact))


def verify_with_ours(
    instance: Instance, bundle: Path, artifact: Path, trusted_root: Path, email: str = EMAIL
) -> int:
    """Let our own command verify, offline, from the trusted root file."""
    done = touchplate(
        *("verify", str(artifact), "--bundle", str(bundle), "--trusted-root", str(trusted_root)),
        *("--identity", email, "--issuer", instance.issuer),
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.returncode


@pytest.mark.parametrize(("rekor", "version"), [("2", "0.0.2"), ("1", "0.0.1")])
def test_signs_a_file(
    instance: Instance,
    by_file: SigstorePython,
    artifact: Path,
    trusted_root: Path,
    rekor: str,
    version: str,
) -> None:
    """sigstore-python signs a file here, with either log, and both verifiers accept it."""
    bundle = artifact.with_suffix(".sigstore.json")
    by_file(
        *("sign", "--identity-token", instance.token(), "--rekor-version", rekor),
        *("--bundle", str(bundle), str(artifact)),
    )
    assert entry_of(bundle) == ("hashedrekord", version)
    verify_with_sigstore(by_file, instance, bundle, artifact)
    assert verify_with_ours(instance, bundle, artifact, trusted_root) == 0
    assert verify_with_ours(instance, bundle, artifact, trusted_root, "x@example.com") == 1


@pytest.mark.parametrize("rekor", ["2", "1"])
def test_signs_a_statement(
    instance: Instance,
    by_file: SigstorePython,
    artifact: Path,
    trusted_root: Path,
    tmp_path: Path,
    rekor: str,
) -> None:
    """sigstore-python attests to a file here, with either log, and both verifiers accept it."""
    predicate = tmp_path / "predicate.json"
    predicate.write_text(json.dumps(PREDICATE))
    bundle = artifact.with_suffix(".sigstore.json")
    by_file(
        *("attest", "--identity-token", instance.token(), "--rekor-version", rekor),
        *("--predicate", str(predicate), "--predicate-type", PREDICATE_TYPE),
        *("--bundle", str(bundle), str(artifact)),
    )
    assert entry_of(bundle) == {"2": ("hashedrekord", "0.0.2"), "1": ("dsse", "0.0.1")}[rekor]
    verify_with_sigstore(by_file, instance, bundle, artifact)
    assert verify_with_ours(instance, bundle, artifact, trusted_root) == 0


@pytest.mark.parametrize("log", ["2", "1"])
def test_accepts_our_bundle(
    instance: Instance, by_file: SigstorePython, artifact: Path, tmp_path: Path, log: str
) -> None:
    """sigstore-python accepts what `touchplate sign` writes, with either log."""
    config = tmp_path / "ours.json"
    config.write_bytes(instance.fetch("/trust_config.json"))
    bundle = artifact.with_suffix(".sigstore.json")
    done = touchplate(
        *("sign", str(artifact), "--identity-token", instance.token(), "--bundle", str(bundle)),
        *("--trust-config", str(config), "--tlog-version", log),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    verify_with_sigstore(by_file, instance, bundle, artifact)


def test_accepts_our_statement(
    instance: Instance, by_file: SigstorePython, artifact: Path, tmp_path: Path
) -> None:
    """sigstore-python accepts a statement that `touchplate sign --in-toto` signed."""
    import hashlib

    statement = tmp_path / "statement.json"
    digest = hashlib.sha256(artifact.read_bytes()).hexdigest()
    statement.write_text(
        json.dumps(
            {
                "_type": "https://in-toto.io/Statement/v1",
                "subject": [{"name": artifact.name, "digest": {"sha256": digest}}],
                "predicateType": PREDICATE_TYPE,
                "predicate": PREDICATE,
            }
        )
    )
    config = tmp_path / "ours.json"
    config.write_bytes(instance.fetch("/trust_config.json"))
    bundle = tmp_path / "statement.sigstore.json"
    done = touchplate(
        *("sign", "--in-toto", str(statement), "--identity-token", instance.token()),
        *("--trust-config", str(config), "--bundle", str(bundle)),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    verify_with_sigstore(by_file, instance, bundle, artifact)


def test_through_tuf(instance: Instance, by_tuf: SigstorePython, artifact: Path) -> None:
    """After `trust-instance`, sigstore-python signs and verifies from our TUF repository alone."""
    bundle = artifact.with_suffix(".sigstore.json")
    by_tuf("sign", "--identity-token", instance.token(), "--bundle", str(bundle), str(artifact))
    verify_with_sigstore(by_tuf, instance, bundle, artifact)
