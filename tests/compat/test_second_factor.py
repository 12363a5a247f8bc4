"""A certificate that says how its owner logged in, among other clients."""

import json
import shutil
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from .conftest import EMAIL, Instance, run, touchplate
from .test_sigstore_python import SigstorePython

pytestmark = pytest.mark.slow


def token_with(instance: Instance, **claims: object) -> str:
    """Give a token of the instance's own issuer that says more, signed with its key."""
    head, body, _ = instance.token().split(".")
    said = json.loads(urlsafe_b64decode(body + "=="))
    message = f"{head}.{_part(json.dumps(said | claims).encode())}"
    path = instance.data / "keys" / "issuer.pem"
    key = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    r, s = decode_dss_signature(key.sign(message.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{message}.{_part(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _part(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize(
    ("amr", "status"), [(["pwd", "otp"], 0), (["mfa"], 0), (["pwd"], 1), ([], 1)]
)
def test_sigstore_python(instance: Instance, tmp_path: Path, amr: list[str], status: int) -> None:
    """sigstore-python signs and verifies with it; we read from its bundle how they logged in."""
    config = tmp_path / "trust_config.json"
    config.write_bytes(instance.fetch("/trust_config.json"))
    root = tmp_path / "trusted_root.json"
    root.write_text(json.dumps(json.loads(config.read_bytes())["trustedRoot"]))
    client = SigstorePython(tmp_path, "--trust-config", str(config))
    artifact, bundle = tmp_path / "a.txt", tmp_path / "a.txt.sigstore.json"
    artifact.write_bytes(str(tmp_path).encode())
    token = token_with(instance, amr=amr, acr="urn:level:2") if amr else instance.token()
    client("sign", "--identity-token", token, "--bundle", str(bundle), str(artifact))
    client(
        *("verify", "identity", "--bundle", str(bundle), "--cert-oidc-issuer", instance.issuer),
        *("--cert-identity", EMAIL, str(artifact)),
    )
    who = ("--trusted-root", str(root), "--identity", EMAIL, "--issuer", instance.issuer)
    told = touchplate("verify", str(artifact), *who, "--require-mfa", "--json")

    assert told.returncode == status, told.stdout + told.stderr
    (result,) = json.loads(told.stdout)["results"]
    if status:
        assert result["error"]["code"] == "SECOND_FACTOR_MISSING"
    else:
        assert result["authentication"] == {"amr": amr, "acr": "urn:level:2"}
    explained = touchplate("verify", str(artifact), *who, "--explain").stdout
    assert (f"logged in with {', '.join(amr)}; level urn:level:2" in explained) == bool(amr)
    if shutil.which("openssl") and amr:
        pem = tmp_path / "leaf.pem"
        raw = json.loads(bundle.read_bytes())["verificationMaterial"]["certificate"]["rawBytes"]
        pem.write_text(f"-----BEGIN CERTIFICATE-----\n{raw}\n-----END CERTIFICATE-----\n")
        shown = run("openssl", "x509", "-in", str(pem), "-noout", "-text").stdout
        assert "X509v3 Subject Directory Attributes" in shown
