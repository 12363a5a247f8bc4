"""Keys in AWS KMS: their URIs, what right is missing, and what time everything takes."""

import signal
import socket
import time

import pytest

from tests.keystore.secret_texts import Given
from tests.servers.kms import KmsServer
from tests.servers.process import free_ports
from touchplate.errors import SettingsError, TouchplateError, UnavailableError
from touchplate.keystore import load_signer, probe_uri
from touchplate.keystore.awskms import AwsUri, parse_aws_uri

ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
ARN = f"arn:aws:kms:us-east-2:111122223333:key/{ID}"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (f"awskms:///{ID}", AwsUri(ID, None, None)),
        (f"awskms:{ID}", AwsUri(ID, None, None)),
        ("awskms:///alias/ca?region=eu-west-1", AwsUri("alias/ca", None, "eu-west-1")),
        (f"awskms:///{ARN}", AwsUri(ARN, None, "us-east-2")),
        (f"awskms://kms.example.org/{ID}", AwsUri(ID, "https://kms.example.org", None)),
        (f"awskms://127.0.0.1:4566/{ID}", AwsUri(ID, "http://127.0.0.1:4566", None)),
        (f"awskms://[::1]:4566/{ID}", AwsUri(ID, "http://[::1]:4566", None)),
    ],
)
def test_uri(uri: str, expected: AwsUri) -> None:
    """Upstream's spellings are read; only loopback is spoken to without TLS."""
    assert parse_aws_uri(uri) == expected


@pytest.mark.parametrize(
    "uri",
    [
        "awskms://",
        "awskms:///",
        "awskms://user:pass@host/key",
        "awskms:///key?region=x&endpoint=http://evil",
        "awskms:///key#x",
        "awskms:///key with space",
        "awskms://host:x/key",
        "awskms://127.0.0.1.example.org@evil/key",
    ],
)
def test_bad_uri(uri: str) -> None:
    """Anything else is refused, and a password in it is not shown."""
    with pytest.raises(SettingsError) as caught:
        parse_aws_uri(uri)

    assert "pass" not in str(caught.value).replace("perhaps", "")


def test_sigstore_js_1718_host_that_begins_like_another() -> None:
    """A host that only begins like loopback is spoken to over TLS."""
    assert parse_aws_uri("awskms://127.0.0.1.example.org/k").endpoint == (
        "https://127.0.0.1.example.org"
    )


def fault_of(uri: str, environ: dict[str, str]) -> tuple[str, TouchplateError | None]:
    """Probe a key; give the step that failed, and how."""
    probe = probe_uri(uri, secrets=Given(environ=environ))
    return probe.step, probe.fault


@pytest.mark.slow
def test_missing_right_is_named() -> None:
    """A key that may be read and not used, and one that may not even be read, are told apart."""
    with KmsServer(enforced=True) as server:
        # One key and one user take as many calls as are not held to rights.
        key = server.make_key("ECC_NIST_P256")
        reader = server.make_user("kms:GetPublicKey")
        step, fault = fault_of(server.uri(key), reader)
        assert fault is not None
        assert (step, fault.code) == ("sign", "SERVICE_REFUSED"), fault
        assert "kms:Sign" in str(fault)
        stranger = {**reader, "AWS_ACCESS_KEY_ID": "AKNOBODY"}
        step, fault = fault_of(server.uri(key), stranger)
        assert fault is not None
        assert (step, fault.code) == ("load", "SERVICE_REFUSED"), fault
    with KmsServer(enforced=True) as server:
        key = server.make_key("ECC_NIST_P256")
        signer = server.make_user("kms:Sign")
        step, fault = fault_of(server.uri(key), signer)
        assert fault is not None
        assert (step, fault.code) == ("load", "SERVICE_REFUSED"), fault
        assert "kms:GetPublicKey" in str(fault)
        assert signer["AWS_SECRET_ACCESS_KEY"] not in str(fault)


@pytest.mark.slow
def test_other_keys(shared_kms: KmsServer) -> None:
    """A key that is for encryption, or of a kind that nobody verifies, is refused when loaded."""
    for spec, usage in (("RSA_2048", "ENCRYPT_DECRYPT"), ("ECC_SECG_P256K1", "SIGN_VERIFY")):
        key = shared_kms.make_key(spec, usage)
        step, fault = fault_of(shared_kms.uri(key), shared_kms.environ)
        assert isinstance(fault, SettingsError), fault
        assert step == "load"


@pytest.mark.slow
def test_service_that_hangs(own_kms: KmsServer) -> None:
    """A service that does not answer costs its deadline; when it is back, it signs."""
    uri = own_kms.uri(own_kms.make_key("ECC_NIST_P256"))
    signer = load_signer(uri, secrets=Given(environ=own_kms.environ))
    assert own_kms.program is not None
    own_kms.program.signal_group(signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(UnavailableError):
        signer.sign(b"x")
    assert time.monotonic() - began < 6
    own_kms.program.signal_group(signal.SIGCONT)

    assert signer.sign(b"x")


@pytest.mark.slow
def test_nobody_there() -> None:
    """Where nothing listens, the answer comes at once; where nobody answers, in time."""
    environ = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "the secret"}
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for number in (port, silent.getsockname()[1]):
            began = time.monotonic()
            _, fault = fault_of(f"awskms://127.0.0.1:{number}/k?region=x", environ)
            assert isinstance(fault, UnavailableError)
            assert "the secret" not in str(fault)
            assert time.monotonic() - began < 6
