"""An instance whose log was rotated, as users of sigstore-python and of our own command see it."""

from pathlib import Path

import pytest

from .conftest import EMAIL, Instance, touchplate
from .test_sigstore_python import (
    SigstorePython,
    entry_of,
    verify_with_ours,
)

pytestmark = pytest.mark.slow


def trust(instance: Instance, folder: Path, number: int) -> tuple[SigstorePython, Path]:
    """Give the client and a trusted root, both with the trust of now."""
    import json

    home = folder / f"home{number}"
    home.mkdir()
    config = home / "trust_config.json"
    config.write_bytes(instance.fetch("/trust_config.json"))
    root = home / "trusted_root.json"
    root.write_text(json.dumps(json.loads(config.read_bytes())["trustedRoot"]))
    return SigstorePython(home, "--trust-config", str(config)), root


@pytest.mark.timeout(900)  # thirty commands, most of which take seconds to start
def test_before_and_after(own: Instance, tmp_path: Path) -> None:
    """Bundles of each tree verify with both clients; the old trust knows only the old ones."""
    made: list[tuple[Path, Path, str]] = []
    roots: list[Path] = []
    by_tuf = SigstorePython(tmp_path, "--instance", f"{own.url}/tuf")
    root = tmp_path / "root.json"
    root.write_bytes(own.fetch("/tuf/1.root.json"))
    by_tuf("trust-instance", str(root))
    for number in range(3):
        client, trusted_root = trust(own, tmp_path, number)
        roots.append(trusted_root)
        token = own.token()
        for rekor in ("1", "2"):
            artifact = tmp_path / f"release{number}.{rekor}"
            artifact.write_bytes(artifact.name.encode())
            bundle = artifact.with_name(f"{artifact.name}.sigstore.json")
            client(
                *("sign", "--identity-token", token, "--rekor-version", rekor),
                *("--bundle", str(bundle), str(artifact)),
            )
            made.append((bundle, artifact, rekor))
        if number < 2:
            done = touchplate("log", "rotate", "--data", str(own.data))
            assert done.returncode == 0, done.stderr
    newest, trusted_root = trust(own, tmp_path, 9)
    for bundle, artifact, rekor in made:
        assert entry_of(bundle) == ("hashedrekord", {"1": "0.0.1", "2": "0.0.2"}[rekor])
        assert verify_with_ours(own, bundle, artifact, trusted_root) == 0
    # All in one call: the client takes seconds to start. Each bundle stands beside its artifact.
    artifacts = [str(artifact) for _, artifact, _ in made]
    for client in (newest, by_tuf):
        common = ("verify", "identity", "--cert-oidc-issuer", own.issuer, "--cert-identity")
        said = client(*common, EMAIL, *artifacts)
        assert [each for each in artifacts if f"OK: {each}\n" not in said] == []
        client.refuses(*common, "other@example.com", *artifacts)
    for number, (bundle, artifact, _) in enumerate(made):
        known = verify_with_ours(own, bundle, artifact, roots[0])
        assert known == (0 if number < 2 else 1)


def test_stale_trust_is_told(own: Instance, tmp_path: Path) -> None:
    """Who signs or verifies with the trust of before the rotation is told to fetch it again."""
    client, old = trust(own, tmp_path, 1)
    assert touchplate("log", "rotate", "--data", str(own.data)).returncode == 0
    client, _ = trust(own, tmp_path, 2)
    artifact = tmp_path / "release"
    artifact.write_bytes(b"release")
    bundle = tmp_path / "release.sigstore.json"
    client(*("sign", "--identity-token", own.token(), "--bundle", str(bundle), str(artifact)))
    done = touchplate(
        *("verify", str(artifact), "--bundle", str(bundle), "--trusted-root", str(old)),
        *("--identity", "dev@example.com", "--issuer", own.issuer),
    )
    assert done.returncode == 1
    assert "LOG_UNKNOWN" in done.stdout + done.stderr
    assert "refresh" in done.stdout + done.stderr
