"""The verification cases of the Sigstore conformance suite, each by file and by digest.

A refused case must be refused for a reason that the suite's documentation gives for it: a crash,
or a check that fails by accident, is not enough. `allowed` below is that documentation.
"""

import subprocess
import sys
from hashlib import sha256
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

CLIENT = Path(__file__).with_name("conformance_client")
IDENTITY = (
    "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/"
    ".github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main"
)
ISSUER = "https://token.actions.githubusercontent.com"

STRUCTURE = {"BUNDLE_MALFORMED"}
BODY = {"ENTRY_SIGNATURE_MISMATCH", "ENTRY_DIGEST_MISMATCH", "ENTRY_KEY_MISMATCH"}
BODY_SIGNATURE = {"ENTRY_SIGNATURE_MISMATCH"}
TIME = {"CERT_NOT_VALID_AT_TIME"}
NO_PROOF = {"INCLUSION_PROOF_MISSING"}
STAMP = {"TIMESTAMP_INVALID"}
NOTE = {"CHECKPOINT_MALFORMED"}

POSITIVE = (
    "bundle-with-sct-with-extensions",
    "happy-path-intoto-in-dsse-v3",
    "happy-path-v0.1",
    "happy-path-v0.2",
    "happy-path-v0.3",
    "happy-path-v0.3-new-mediaType",
    "intoto-with-custom-trust-root",
    "managed-key-and-trusted-root",
    "managed-key-happy-path",
    "rekor2-checkpoint-cosigned",
    "rekor2-checkpoint-multiple-cosigs",
    "rekor2-checkpoint-origin-not-first",
    "rekor2-checkpoint-two-sigs-cosigned",
    "rekor2-checkpoint-two-sigs-from-origin",
    "rekor2-dsse-happy-path",
    "rekor2-happy-path",
    "rekor2-timestamp-with-embedded-cert",
    "rekor2-timestamp-with-expired-cert-chain",
    "rekor2-timestamp-without-embedded-cert",
    "trust-root-tlog-validity-end-inclusive",
    "trust-root-tsa-validity-end-inclusive",
)

# What a refusal may say: the checks that fail in the case.
NEGATIVE: dict[str, set[str]] = {
    "bundle-empty-certificate-chain": STRUCTURE,
    "bundle-from-wrong-instance": {"LOG_UNKNOWN", "NO_VERIFIED_TIME", "CERT_CHAIN"},
    "bundle-invalid-base64-signature": STRUCTURE,
    "bundle-malformed-json": STRUCTURE,
    "bundle-negative-log-index": STRUCTURE,
    "bundle-unknown-version": {"BUNDLE_VERSION"},
    "bundle-with-root-cert": NO_PROOF | {"IDENTITY_MISMATCH"},
    "checkpoint-bad-keyhint": {"CHECKPOINT_KEYHINT"},
    "checkpoint-wrong-roothash": {"CHECKPOINT_ROOT_MISMATCH"},
    "dsse-invalid-sig": BODY_SIGNATURE | {"SIGNATURE_INVALID"},
    "dsse-mismatch-envelope": BODY,
    "dsse-mismatch-sig": BODY_SIGNATURE,
    "inclusion-proof-corrupted-hash": {"INCLUSION_PROOF_INVALID"},
    "incorrect-public-key": {"SET_INVALID", "INCLUSION_PROOF_INVALID", "ENTRY_KEY_MISMATCH"},
    "integrated-time-in-future": TIME,
    "intoto-expired-certificate": TIME,
    "intoto-log-entry-mismatch": BODY_SIGNATURE,
    "intoto-missing-inclusion-proof": NO_PROOF,
    "intoto-set-outside-signing-cert-validity": TIME,
    "intoto-tsa-timestamp-outside-cert-validity": TIME,
    "invalid-checkpoint-signature": {"CHECKPOINT_SIGNATURE"},
    "invalid-ct-key": {"SCT_INVALID"},
    "invalid-inclusion-proof": NO_PROOF | {"INCLUSION_PROOF_INVALID"},
    "managed-key-no-key": {"KEY_MODE_MISMATCH"},
    "managed-key-wrong-key": {"KEY_UNREADABLE"},
    "message-digest-mismatch": {"DIGEST_MISMATCH"},
    "rekor2-checkpoint-missing-log-signature": NOTE,
    "rekor2-checkpoint-missing-origin": NOTE,
    "rekor2-checkpoint-missing-root-hash": NOTE,
    "rekor2-checkpoint-missing-size": NOTE,
    "rekor2-checkpoint-no-matching-signature": {"CHECKPOINT_KEYHINT", "CHECKPOINT_SIGNATURE"},
    "rekor2-dsse-invalid-sig": BODY_SIGNATURE | {"SIGNATURE_INVALID"},
    "rekor2-dsse-mismatch-envelope": BODY,
    "rekor2-dsse-mismatch-sig": BODY_SIGNATURE,
    "rekor2-no-inclusion-proof": NO_PROOF,
    "rekor2-no-timestamp": {"NO_VERIFIED_TIME"},
    "rekor2-timestamp-outside-trust-root-tsa-validity": STAMP,
    "rekor2-timestamp-outside-tsa-cert-validity": STAMP,
    "rekor2-timestamp-payload-mismatch": STAMP,
    "rekor2-timestamp-untrusted-tsa-with-embedded-cert": STAMP,
    "rekor2-timestamp-untrusted-tsa-without-embedded-cert": STAMP,
    # Its base64 has line breaks, which a strict decoder refuses first.
    "rekor2-timestamp-with-incorrect-time": TIME | STRUCTURE,
    "set-invalid-signature": {"SET_INVALID"},
    "signature-mismatch": BODY_SIGNATURE | {"SIGNATURE_INVALID"},
    "trust-root-tlog-missing-validity-start": {"TRUST_ROOT_INVALID"},
    "wrong-hashedrekord-artifact": {"ENTRY_SIGNATURE_MISMATCH", "ENTRY_DIGEST_MISMATCH"},
    "wrong-hashedrekord-cert-and-sig": {"ENTRY_SIGNATURE_MISMATCH", "ENTRY_KEY_MISMATCH"},
    "wrong-hashedrekord-entry": BODY,
    "wrong-material": {"DIGEST_MISMATCH", "ENTRY_DIGEST_MISMATCH", "SIGNATURE_INVALID"},
}

MODES = ("PATH", "DIGEST")


@pytest.fixture(scope="module")
def client() -> ModuleType:
    """Give the conformance client as a module: a process for each case would cost a minute."""
    loader = SourceFileLoader("conformance_client", str(CLIENT))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def arguments(suite: Path, name: str, mode: str) -> list[str]:
    """Give the words that the suite calls the client with."""
    folder = suite / "bundle-verify" / name
    artifact = folder / "artifact"
    if not artifact.exists():
        artifact = suite / "bundle-verify" / "a.txt"
    words = ["verify-bundle", "--bundle", str(folder / "bundle.sigstore.json")]
    if (folder / "key.pub").exists():
        words += ["--key", str(folder / "key.pub")]
    else:
        words += ["--certificate-identity", read(folder / "identity", IDENTITY)]
        words += ["--certificate-oidc-issuer", read(folder / "issuer", ISSUER)]
    if (folder / "trusted_root.json").exists():
        words += ["--trusted-root", str(folder / "trusted_root.json")]
    digest = sha256(artifact.read_bytes()).hexdigest()
    return [*words, str(artifact) if mode == "PATH" else f"sha256:{digest}"]


def read(path: Path, default: str) -> str:
    """Give the one line of a file, or the default."""
    return path.read_text(encoding="utf-8").strip() if path.exists() else default


@pytest.fixture(autouse=True)
def production(conformance: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cases without a trusted root of their own are of the public instance."""
    root = conformance / "trusted_root.production.json"
    monkeypatch.setenv("TOUCHPLATE_PRODUCTION_ROOT", str(root))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", POSITIVE)
def test_proven(
    conformance: Path,
    client: ModuleType,
    capsys: pytest.CaptureFixture[str],
    name: str,
    mode: str,
) -> None:
    """A good bundle is proven, with the file and with its digest alone."""
    status = client.main(arguments(conformance, name, mode))

    assert (status, capsys.readouterr().err) == (0, "")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NEGATIVE)
def test_refused(
    conformance: Path,
    client: ModuleType,
    capsys: pytest.CaptureFixture[str],
    name: str,
    mode: str,
) -> None:
    """A bad bundle is refused for a defect that it has."""
    status = client.main(arguments(conformance, f"{name}_fail", mode))

    code = capsys.readouterr().err.partition(":")[0]
    assert (status, code in NEGATIVE[name]) == (1, True), code


def test_all_cases_are_here(conformance: Path) -> None:
    """No case of the suite is left out, and none is expected that is not there."""
    folders = {path.name for path in (conformance / "bundle-verify").iterdir() if path.is_dir()}
    assert folders == {*POSITIVE, *(f"{name}_fail" for name in NEGATIVE)}


@pytest.mark.parametrize(("name", "status"), [("happy-path-v0.3", 0), ("wrong-material_fail", 1)])
def test_as_a_process(conformance: Path, name: str, status: int) -> None:
    """Started as the suite starts it, the client says by its exit code what it found."""
    command = [sys.executable, str(CLIENT), *arguments(conformance, name, "PATH")]
    ended = subprocess.run(command, capture_output=True, check=False, timeout=60)

    assert ended.returncode == status
