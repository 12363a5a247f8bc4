"""The signing half of the conformance suite's CLI protocol, against our own service."""

import json
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509

if TYPE_CHECKING:
    from tests.compat.conftest import Instance

pytestmark = pytest.mark.slow

CLIENT = Path(__file__).with_name("conformance_client")
EMAIL = "dev@example.com"


def client(*words: str | Path, status: int = 0) -> str:
    """Run the conformance client."""
    done = subprocess.run(
        [sys.executable, CLIENT, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    return done.stderr


@pytest.fixture
def trust(instance: "Instance", tmp_path: Path) -> tuple[str | Path, ...]:
    """Give the words that name the instance's trusted root."""
    config = json.loads(instance.fetch("/trust_config.json"))
    (tmp_path / "root.json").write_text(json.dumps(config["trustedRoot"]))
    (tmp_path / "config.json").write_text(json.dumps(config["signingConfig"]))
    return ("--trusted-root", tmp_path / "root.json")


def check_bundle(bundle: dict[str, Any]) -> None:
    """Require what the suite requires of every bundle: no authority's certificate in it."""
    material = bundle["verificationMaterial"]
    certificate = x509.load_der_x509_certificate(b64decode(material["certificate"]["rawBytes"]))
    extensions = [extension.value for extension in certificate.extensions]
    assert not any(isinstance(each, x509.BasicConstraints) and each.ca for each in extensions)
    assert "x509CertificateChain" not in material


@pytest.mark.parametrize("in_toto", [False, True])
def test_sign_bundle(
    instance: "Instance",
    conformance: Path,
    trust: tuple[str | Path, ...],
    tmp_path: Path,
    in_toto: bool,
) -> None:
    """The suite's artifact and its statement are signed, and the bundle verifies."""
    artifact = conformance / ("statement.json" if in_toto else "a.txt")
    bundle = tmp_path / "bundle.json"
    config = ("--signing-config", tmp_path / "config.json")
    words = (("--in-toto",) if in_toto else ()) + ("--identity-token", instance.token())

    client("sign-bundle", *words, "--bundle", bundle, *trust, *config, artifact)

    members = json.loads(bundle.read_text())
    check_bundle(members)
    subject: str | Path = artifact
    if in_toto:
        payload = b64decode(members["dsseEnvelope"]["payload"])
        assert payload == artifact.read_bytes()
        subject = "sha256:" + json.loads(payload)["subject"][0]["digest"]["sha256"]
    who = ("--certificate-identity", EMAIL, "--certificate-oidc-issuer", instance.issuer)
    client("verify-bundle", "--bundle", bundle, *who, *trust, subject)


def test_bad_token(trust: tuple[str | Path, ...], conformance: Path, tmp_path: Path) -> None:
    """A token that is none leaves no bundle."""
    bundle = tmp_path / "bundle.json"
    config = ("--signing-config", tmp_path / "config.json")
    words = ("--identity-token", "a.b.c", "--bundle", bundle, *trust, *config)
    said = client("sign-bundle", *words, conformance / "a.txt", status=1)
    assert "TOKEN_MALFORMED" in said
    assert not bundle.exists()
