"""Keys that move into an HSM and a key service, and from one to the next, while people sign."""

from pathlib import Path

import pytest

from tests.flows.test_keys_elsewhere import EMAIL, PASSPHRASE, Instance, instance
from tests.server.conftest import until
from tests.servers.hsm import PIN, HsmServer
from tests.servers.kms import KmsServer
from touchplate.errors import VerificationError
from touchplate.formats.signing_config import parse_client_trust_config
from touchplate.transport.http import HttpTransport
from touchplate.verify import Artifact, identity, verify

__all__ = ["instance"]

pytestmark = pytest.mark.slow


def test_rotated_by_uri(
    instance: Instance,
    own_hsm: HsmServer,
    own_kms: KmsServer,
    tmp_path: Path,
) -> None:
    """Each role's key is exchanged for one in the HSM or the key service; workers take it up.

    Who keeps a key elsewhere gets none in a file by mistake, and old bundles verify.
    """
    instance.serve("--workers", "2")
    data = str(instance.data)
    before = instance.sign(b"before")
    instance.verify(before, b"before")
    for role in ("ca", "tsa", "ct"):
        said = instance.run("rotate", role, "--overlap", "0", "--data", data, status=2)
        assert "--key URI" in said
    pin = f"pin-source=file:{tmp_path / 'pin'}"
    new = {
        "ca": own_hsm.token.uri("ca-2", pin),
        "ct": own_hsm.token.uri("ct-2", pin),
        "tsa": own_kms.uri(own_kms.make_key("ECC_NIST_P256")),
    }
    for role in ("ca", "ct"):
        instance.run("keys", "create", new[role])
    for role, uri in new.items():
        words = ("rotate", role, "--key", uri, "--overlap", "0", "--data", data)
        assert f"{role}-2  key SHA-256" in instance.run(*words)
        assert not (instance.data / "keys" / f"{role}-2.pem").exists()
    assert instance.config is not None
    (authority,) = instance.config.signing_config.ca_urls
    answer = HttpTransport().request("GET", f"{authority.url}/trust_config.json")
    instance.config = parse_client_trust_config(answer.body)
    root = instance.config.trusted_root
    assert len(root.ctlogs) == 2
    new_keys = (root.certificate_authorities[1], root.timestamp_authorities[1], root.ctlogs[1])
    only_new = instance.config.trusted_root._replace(
        certificate_authorities=new_keys[:1],
        timestamp_authorities=new_keys[1:2],
        ctlogs=new_keys[2:],
    )

    def is_taken_up() -> bool:
        bundle = instance.sign(b"after")
        instance.verify(bundle, b"after")
        try:
            policy = identity(EMAIL, f"{authority.url}/oidc")
            verify(bundle, Artifact.from_bytes(b"after"), policy, only_new)
        except VerificationError:
            return False
        return True

    until(is_taken_up)
    instance.verify(before, b"before")
    instance.stop()
    instance.serve("--workers", "2")
    assert is_taken_up()
    instance.verify(before, b"before")
    instance.stop()
    said = instance.run("log", "check", "--data", data) + instance.log.read_text()
    assert "ct-2: whole: " in said
    said += instance.run("keys", "list", "--data", data)
    assert "ca-2" in said
    assert PIN not in said
    assert PASSPHRASE not in said
