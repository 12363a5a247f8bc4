from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from touchplate.errors import RefusedError, UnavailableError
from touchplate.transport.http import HttpTransport, TransportSettings


def write_certificate(folder: Path, address: str) -> Path:
    """Write a certificate for an address and its key into one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = folder / f"{address}.pem"
    path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return path


class Hello(BaseHTTPRequestHandler):
    """Answers every GET."""

    def do_GET(self) -> None:
        """Say hello."""
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name
        """Say nothing."""


class Quiet(ThreadingHTTPServer):
    """Does not tell of clients that refuse the certificate."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


@pytest.fixture(params=["127.0.0.1"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Serve https on loopback with a certificate for the address given."""
    pem = write_certificate(tmp_path, request.param)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with Quiet(("127.0.0.1", 0), Hello) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_address[1]}/", pem
        server.shutdown()
        thread.join()


def test_trusted(served: tuple[str, Path]) -> None:
    """With its certificate as the authority the service is reached."""
    url, pem = served
    transport = HttpTransport(TransportSettings(ca_file=str(pem)))
    assert transport.request("GET", url).body == b"hello"


def test_system_trust(served: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The authorities of the system are asked, which SSL_CERT_FILE names."""
    url, pem = served
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    assert HttpTransport().request("GET", url).body == b"hello"


def test_untrusted(served: tuple[str, Path]) -> None:
    """A certificate that nobody vouches for ends the connection before anything is sent."""
    url, _ = served
    with pytest.raises(UnavailableError, match="TLS"):
        HttpTransport().request("GET", url)


@pytest.mark.parametrize("served", ["127.0.0.2"], indirect=True)
def test_other_host(served: tuple[str, Path]) -> None:
    """A certificate for another host is refused, even by a trusted authority."""
    url, pem = served
    with pytest.raises(UnavailableError, match="TLS"):
        HttpTransport(TransportSettings(ca_file=str(pem))).request("GET", url)


def test_more_authorities(served: tuple[str, Path]) -> None:
    """Authorities may be added to the system's, and the host is checked with them too."""
    url, pem = served
    certificate = pem.read_text().partition("-----BEGIN CERTIFICATE")
    settings = TransportSettings(more_authorities=certificate[1] + certificate[2])
    assert HttpTransport(settings).request("GET", url).body == b"hello"
    with pytest.raises(UnavailableError, match="TLS"):
        HttpTransport(settings).request("GET", url.replace("127.0.0.1", "localhost"))


def test_public_only(served: tuple[str, Path]) -> None:
    """A name or address of this machine is refused where only public ones are meant."""
    url, _ = served
    transport = HttpTransport(TransportSettings(public_only=True))
    for each in (url, url.replace("127.0.0.1", "localhost")):
        with pytest.raises(RefusedError, match="not public"):
            transport.request("GET", each)
