"""The gRPC server: where it listens, what it says of itself, how it ends."""

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from tests.server.conftest import Start, until
from tests.servers.process import free_ports
from touchplate.errors import SettingsError
from touchplate.protobuf import sigstore_rekor_v2_pb2 as v2
from touchplate.server.grpc import GrpcServer, Service, serve_grpc

LOOPBACK = ("127.0.0.1", 0)
NAME = "dev.sigstore.rekor.v2.Rekor"


SECONDS = 60  # what nothing takes


class Sleep:
    """A service whose calls take until they are woken."""

    def __init__(self) -> None:
        self.began = threading.Semaphore(0)
        self.woken = threading.Event()
        self.service = sleeper(self)

    def __call__(self) -> None:
        self.began.release()
        self.woken.wait(SECONDS)


def sleeper(sleep: Callable[[], None] = lambda: None) -> Service:
    """A service whose calls take as long as `sleep`."""

    def call(_: bytes, __: grpc.ServicerContext) -> bytes:
        sleep()
        return b"slept"

    handlers = {"Sleep": grpc.unary_unary_rpc_method_handler(call)}
    return Service(NAME, grpc.method_handlers_generic_handler(NAME, handlers))


def channel(server: GrpcServer) -> grpc.Channel:
    """Connect, without anything tried again."""
    return grpc.insecure_channel(f"127.0.0.1:{server.port}", options=[("grpc.enable_retries", 0)])


def check(to: grpc.Channel, service: str) -> int:
    """Ask for the health of a service."""
    call = to.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    return int(call(health_pb2.HealthCheckRequest(service=service), timeout=SECONDS).status)


def test_health() -> None:
    """The server and each of its services are healthy; an unknown one is not found."""
    server = serve_grpc([sleeper()], LOOPBACK)
    with channel(server) as to:
        serving = health_pb2.HealthCheckResponse.SERVING
        assert check(to, "") == check(to, NAME) == serving
        with pytest.raises(grpc.RpcError) as caught:
            check(to, "another")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    server.stop(1)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection(version: str) -> None:
    """Both versions of reflection name the services and describe each message."""
    server = serve_grpc([sleeper()], LOOPBACK)
    asked = reflection_pb2.ServerReflectionRequest
    with channel(server) as to:
        ask = to.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=asked.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        names, described = ask(
            iter([asked(list_services="*"), asked(file_containing_symbol=NAME)]), timeout=SECONDS
        )
        assert [each.name for each in names.list_services_response.service] == [
            NAME,
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
        ]
        files = [
            FileDescriptorProto.FromString(each)
            for each in described.file_descriptor_response.file_descriptor_proto
        ]
        found = next(file for file in files if file.package == "dev.sigstore.rekor.v2")
        published = v2.DESCRIPTOR.message_types_by_name
        assert {message.name for message in found.message_type} == set(published)
    server.stop(1)


def test_counted() -> None:
    """Each call is told of with how it ended; a method that there is not, never: it is made up."""
    told: list[tuple[str, str, str]] = []

    def call(how: bytes, context: grpc.ServicerContext) -> bytes:
        if how == b"crash":
            raise ZeroDivisionError
        if how == b"refuse":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")
        if how == b"cancel":
            context.abort(grpc.StatusCode.CANCELLED, "gave up")
        return b"done"

    handlers = {"Do": grpc.unary_unary_rpc_method_handler(call)}
    service = Service(NAME, grpc.method_handlers_generic_handler(NAME, handlers))
    server = serve_grpc([service], LOOPBACK, observe=lambda *each: told.append(each))
    ends = {
        b"": "OK",
        b"refuse": "InvalidArgument",
        b"cancel": "Canceled",
        b"crash": "Unknown",
    }
    with channel(server) as to:
        for how in ends:
            with contextlib.suppress(grpc.RpcError):
                assert to.unary_unary(f"/{NAME}/Do")(how, timeout=SECONDS) == b"done"
        for path in (f"/{NAME}/MadeUp", "/made.Up/Do", "/x"):
            with pytest.raises(grpc.RpcError):
                to.unary_unary(path)(b"", timeout=SECONDS)
        assert check(to, NAME) == health_pb2.HealthCheckResponse.SERVING
    server.stop(1)

    assert told == [
        *((NAME, "Do", code) for code in ends.values()),
        ("grpc.health.v1.Health", "Check", "OK"),
    ]


@pytest.mark.slow
def test_end() -> None:
    """Calls under way are answered, new ones are not taken, and the port is free again."""
    sleep = Sleep()
    server = serve_grpc([sleep.service], LOOPBACK)
    with channel(server) as to:
        under_way = to.unary_unary(f"/{NAME}/Sleep").future(b"", timeout=SECONDS)
        assert sleep.began.acquire(timeout=SECONDS)
        # Woken while the server waits for it; too late for that only makes the test an easier one.
        threading.Timer(0.3, sleep.woken.set).start()
        server.stop(SECONDS)
        assert under_way.result() == b"slept"
        with pytest.raises(grpc.RpcError) as caught:
            to.unary_unary(f"/{NAME}/Sleep")(b"", timeout=SECONDS)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", server.port))


def test_end_of_patience() -> None:
    """A call that takes longer than the time to drain is broken off."""
    sleep = Sleep()
    server = serve_grpc([sleep.service], LOOPBACK)
    with channel(server) as to:
        under_way = to.unary_unary(f"/{NAME}/Sleep").future(b"", timeout=SECONDS)
        assert sleep.began.acquire(timeout=SECONDS)
        # Its thread cannot be broken off, and is waited for.
        under_way.add_done_callback(lambda _: sleep.woken.set())
        server.stop(0.1)
        assert under_way.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)


def test_too_many_calls() -> None:
    """More calls than may run or wait are refused at once; the others are answered."""
    sleep = Sleep()
    server = serve_grpc([sleep.service], LOOPBACK, max_calls=4)
    with channel(server) as to:
        futures = [to.unary_unary(f"/{NAME}/Sleep").future(b"", timeout=SECONDS) for _ in range(10)]
        until(lambda: sum(future.done() for future in futures) == 6)
        refused = [future.code() for future in futures if future.done()]
        sleep.woken.set()
        codes = [future.code() for future in futures]
    assert refused == [grpc.StatusCode.RESOURCE_EXHAUSTED] * 6
    assert codes.count(grpc.StatusCode.OK) == 4
    server.stop(5)


def test_address_taken() -> None:
    """An address that is taken stops the start, and the text names it."""
    with socket.socket() as taken:
        taken.bind(LOOPBACK)
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"127.0.0.1:{port}") as caught:
            serve_grpc([], ("127.0.0.1", port))
    assert caught.value.code == "SETTINGS_INVALID"


def test_share_port() -> None:
    """Two servers listen on one port if both are told to share it, else not."""
    first = serve_grpc([sleeper()], LOOPBACK, share_port=True)
    second = serve_grpc([sleeper()], ("127.0.0.1", first.port), share_port=True)
    assert first.port == second.port
    with pytest.raises(SettingsError):
        serve_grpc([], ("127.0.0.1", first.port))
    first.stop(1)
    second.stop(1)


@pytest.fixture
def tls(tmp_path: Path) -> tuple[Path, Path]:
    """The files of a certificate for 127.0.0.1 and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return tmp_path / "cert.pem", tmp_path / "key.pem"


def test_tls(tls: tuple[Path, Path]) -> None:
    """With a certificate the port speaks TLS, and nothing else."""
    server = serve_grpc([sleeper()], LOOPBACK, tls=tls)
    credentials = grpc.ssl_channel_credentials(tls[0].read_bytes())
    with grpc.secure_channel(f"127.0.0.1:{server.port}", credentials) as to:
        assert to.unary_unary(f"/{NAME}/Sleep")(b"", timeout=SECONDS) == b"slept"
    with channel(server) as to:
        with pytest.raises(grpc.RpcError) as caught:
            to.unary_unary(f"/{NAME}/Sleep")(b"", timeout=SECONDS)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    server.stop(1)


def test_tls_files(tls: tuple[Path, Path], tmp_path: Path) -> None:
    """A file that is not there, or is no certificate, stops the start."""
    with pytest.raises(SettingsError) as caught:
        serve_grpc([], LOOPBACK, tls=(tmp_path / "none.pem", tls[1]))
    assert caught.value.code == "FILE_UNREADABLE"
    tls[0].write_text("no certificate")
    with pytest.raises(SettingsError) as caught:
        serve_grpc([], LOOPBACK, tls=tls)
    assert caught.value.code == "SETTINGS_INVALID"


LOADED = """
import sys
import touchplate.server.run, touchplate.server.serving, touchplate.server.build
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"grpc", "google"}))
print(*sorted(name for name in sys.modules if name.startswith("touchplate.protobuf")))
"""


@pytest.mark.slow
def test_loaded_on_use() -> None:
    """A server that is not to speak gRPC loads nothing of it."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED], check=True, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.stdout.split() == []


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_process(start: Start, tmp_path: Path, workers: str) -> None:
    """`--grpc-listen` serves the log by gRPC too, from each worker, and SIGTERM ends both."""
    (port,) = free_ports(1)
    options = ("--grpc-listen", f"127.0.0.1:{port}", "--workers", workers)
    server = start(tmp_path / "data", *options)
    server.wait_until_ready()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as to:
        call = to.unary_unary(f"/{NAME}/GetCheckpoint")
        with ThreadPoolExecutor(4) as threads:
            answers = set(threads.map(lambda _: call(b"", timeout=SECONDS), range(8)))
    assert len(answers) == 1
    assert server.get("/checkpoint")[1] in answers.pop()
    assert server.stop() == 0
