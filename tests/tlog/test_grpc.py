"""gRPC of the log, through a real client: the same answers as over HTTP."""

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.empty_pb2 import Empty

from tests.tlog.service import Service
from tests.tlog.test_v2 import check_answer
from tests.tlog.test_v2_fault import FAULTS, FailingLog
from touchplate.protobuf import sigstore_rekor_v2_pb2 as v2
from touchplate.protobuf.google_api_pb2 import HttpBody
from touchplate.protobuf.sigstore_rekor_v1_pb2 import TransparencyLogEntry
from touchplate.server import grpc as server_grpc
from touchplate.server.grpc import GrpcServer, serve_grpc
from touchplate.tlog import TlogSettings
from touchplate.tlog.grpc import SERVICE, rekor_handler
from touchplate.transport.asgi import TooOftenError
from touchplate.transport.grpc import TakeRequest

Requests = Callable[[int], list[bytes]]
Worked = Callable[[str], bytes]
HTTP = "/api/v2/log/entries"
SECONDS = 20


class Client:
    """A channel to one server."""

    def __init__(self, server: GrpcServer, **options: Any) -> None:
        self.channel = grpc.insecure_channel(
            f"127.0.0.1:{server.port}", options=[("grpc.enable_retries", 0), *options.items()]
        )

    def call(self, name: str, request: Any, answer: Any, timeout: float = SECONDS) -> Any:
        """Call a method; give its answer and the call."""
        method = self.channel.unary_unary(
            f"/{SERVICE}/{name}",
            request_serializer=lambda message: (
                message if isinstance(message, bytes) else message.SerializeToString()
            ),
            response_deserializer=answer.FromString,
        )
        return method.with_call(request, timeout=timeout)

    def create(self, request: Any, timeout: float = SECONDS) -> Any:
        """Create an entry of a message or of its JSON."""
        if isinstance(request, bytes) and request.startswith(b"{"):
            request = json_format.Parse(request, v2.CreateEntryRequest())
        return self.call("CreateEntry", request, TransparencyLogEntry, timeout)

    def refused(self, request: Any, timeout: float = SECONDS) -> grpc.RpcError:
        """Create an entry that is refused."""
        with pytest.raises(grpc.RpcError) as caught:
            self.create(request, timeout)
        return caught.value


def start(service: Service, take_request: TakeRequest | None = None) -> GrpcServer:
    """Serve the log of this service on a free port."""
    found = server_grpc.Service(SERVICE, rekor_handler(service.shards, take_request))
    return serve_grpc([found], ("127.0.0.1", 0))


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    """A client of the log of `service`."""
    server = start(service)
    made = Client(server)
    yield made
    made.channel.close()
    server.stop(5)


def with_log(settings: TlogSettings | None = None) -> Iterator[tuple[Service, Client]]:
    """Serve another log."""
    service = Service(settings)
    server = start(service)
    made = Client(server)
    yield service, made
    made.channel.close()
    server.stop(5)
    service.close()


def initial(call: Any) -> dict[str, str]:
    """Give the headers of an answer."""
    return dict(call.initial_metadata() or ())


def as_json(entry: TransparencyLogEntry) -> dict[str, Any]:
    """Give an entry as protobuf's own library writes it."""
    found: dict[str, Any] = json.loads(
        json_format.MessageToJson(entry, always_print_fields_with_no_presence=True)
    )
    return found


@pytest.mark.parametrize(
    "folder", ["hashedrekord_v002", "hashedrekord_v002_ed25519ph", "dsse_v002"]
)
def test_worked_example(service: Service, client: Client, worked: Worked, folder: str) -> None:
    """The published requests lead to the published leaves, and the answer proves them."""
    entry, call = client.create(worked(f"{folder}/request.json"))
    assert initial(call)["x-http-code"] == "201"
    assert entry.canonicalized_body == worked(f"{folder}/body.json")
    assert check_answer(service, json.dumps(as_json(entry)).encode())["logIndex"] == "0"
    assert entry.inclusion_proof.tree_size == 1


def test_same_answer_as_http(service: Service, client: Client, requests_v2: Requests) -> None:
    """HTTP's JSON is the JSON of the message that gRPC gives, whichever came first."""
    requests = requests_v2(5)
    for request in requests[:4]:
        service.call("POST", HTTP, request)
    over_grpc, _ = client.create(requests[4])
    over_http = json.loads(service.call("POST", HTTP, requests[4]).body)
    assert len(over_grpc.inclusion_proof.hashes) == 1
    assert over_http.pop("inclusionPromise") is None
    assert as_json(over_grpc) == over_http
    body = service.call("POST", HTTP, requests[2]).body
    assert json_format.Parse(body, TransparencyLogEntry()) == client.create(requests[2])[0]


@pytest.mark.slow
def test_at_once(service: Service, client: Client, requests_v2: Requests) -> None:
    """Many calls at once have an index each, equal ones share theirs."""
    requests = requests_v2(60) * 2
    with ThreadPoolExecutor(24) as threads:
        entries = [entry for entry, _ in threads.map(client.create, requests)]
    assert sorted({entry.log_index for entry in entries}) == list(range(60))
    assert service.tiles.checkpoint().size == 60


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (v2.CreateEntryRequest(), "invalid type, must be either hashedrekord or dsse"),
        (b"\xff\xff", "Error parsing message"),
        (
            v2.CreateEntryRequest(hashed_rekord_request_v002=v2.HashedRekordRequestV002()),
            "invalid hashedrekord request: ",
        ),
        (
            v2.CreateEntryRequest(dsse_request_v002=v2.DSSERequestV002()),
            "signatures is not as it should be",
        ),
    ],
)
def test_bad_request(service: Service, client: Client, request_: Any, message: str) -> None:
    """What is no entry is INVALID_ARGUMENT, and nothing is written."""
    error = client.refused(request_)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith(message)
    assert service.tiles.checkpoint().size == 0


def test_unknown_algorithm_number(client: Client, worked: Worked) -> None:
    """Enums are open: a number without a name is no algorithm."""
    request = json_format.Parse(worked("hashedrekord_v002/request.json"), v2.CreateEntryRequest())
    request.hashed_rekord_request_v002.signature.verifier.key_details = 99
    error = client.refused(request)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_envelope_not_taken(worked: Worked) -> None:
    """With the setting off an envelope is refused, as upstream does."""
    for _, client in with_log(TlogSettings(accept_dsse_v002=False)):
        error = client.refused(worked("dsse_v002/request.json"))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert error.details() == "invalid type, must be hashedrekord"


def test_conflict(requests_v2: Requests) -> None:
    """With the setting on the same entry again is ALREADY_EXISTS, and metadata says where."""
    for _, client in with_log(TlogSettings(duplicate_is_conflict=True)):
        first, second = requests_v2(2)
        client.create(first)
        client.create(second)
        error = client.refused(second)
        assert error.code() is grpc.StatusCode.ALREADY_EXISTS
        assert error.details().endswith("transparency log with index 1")
        assert initial(error)["x-log-index"] == "1"


def test_frozen(requests_v2: Requests) -> None:
    """A frozen log is UNIMPLEMENTED with upstream's metadata, and can still be read."""
    for service, client in with_log():
        first, second = requests_v2(2)
        client.create(first)
        service.tiles.freeze("Log frozen — Mon Jan  2 15:04:05 UTC 2006")
        for request in (second, second, b"\x08"):
            error = client.refused(request)
            if request == second:
                assert (error.code(), error.details()) == (
                    grpc.StatusCode.UNIMPLEMENTED,
                    "log frozen",
                )
                text = "This log has been frozen, please switch to the latest log."
                assert initial(error)["x-http-error-message"] == text
                assert initial(error)["x-http-code"] == "405"
        body, _ = client.call("GetCheckpoint", Empty(), HttpBody)
        assert b"\nLog frozen" in body.data


@pytest.mark.parametrize("name", [name for name in FAULTS if name != "too long"])
def test_not_appended(requests_v2: Requests, name: str) -> None:
    """What the log says has the code of the table; when to come again is told in gRPC's way."""
    error, fault = FAULTS[name]
    service = Service()
    tiles = service.tiles
    service.log.tiles = FailingLog(tiles, error, late=name == "own proof")  # type: ignore[assignment]  # all of it that is used
    server = start(service)
    client = Client(server)
    found = client.refused(requests_v2(1)[0])
    assert found.code().value[0] == fault.code
    assert found.details() == fault.message
    if fault.status == 503:
        seconds = fault.headers[0][1]
        assert initial(found)["retry-after"] == seconds
        assert dict(found.trailing_metadata())["grpc-retry-pushback-ms"] == f"{seconds}000"
    client.channel.close()
    server.stop(5)
    service.close()


class StuckLog(FailingLog):
    """A tile log that never answers."""

    def append(self, _submission: Any) -> Any:
        """Give a future that stays open."""
        self.asked = Future[Any]()
        return self.asked


@pytest.mark.slow
def test_deadline(requests_v2: Requests) -> None:
    """A call ends with its deadline, and what it waited for is given up."""
    service = Service()
    stuck = StuckLog(service.tiles, FAULTS["busy"][0], late=False)
    service.log.tiles = stuck  # type: ignore[assignment]  # all of it that is used
    server = start(service)
    client = Client(server)
    error = client.refused(requests_v2(1)[0], timeout=0.3)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    client.channel.close()
    server.stop(5)  # would wait for a call that still held its thread
    assert stuck.asked.cancelled() or not stuck.asked.done()
    service.close()


def test_bug_is_not_shown(requests_v2: Requests, caplog: pytest.LogCaptureFixture) -> None:
    """An error that nobody expected is INTERNAL without its text, which the operator reads."""
    service = Service()
    service.log.tiles = None  # type: ignore[assignment]  # a bug
    server = start(service)
    client = Client(server)
    error = client.refused(requests_v2(1)[0])
    assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "internal server error")
    assert "CreateEntry failed" in caplog.text
    client.channel.close()
    server.stop(5)
    service.close()


@pytest.mark.slow
def test_files(service: Service, client: Client, requests_v2: Requests) -> None:
    """The reading calls give the files that HTTP gives."""
    service.call_all("POST", HTTP, requests_v2(260))
    for name, request, path in (
        ("GetCheckpoint", Empty(), "/checkpoint"),
        ("GetTile", v2.TileRequest(L=0, N="000"), "/tile/0/000"),
        ("GetTile", v2.TileRequest(L=0, N="001.p/4"), "/tile/0/001.p/4"),
        ("GetTile", v2.TileRequest(L=1, N="000.p/1"), "/tile/1/000.p/1"),
        ("GetEntryBundle", v2.EntryBundleRequest(N="000"), "/tile/entries/000"),
        ("GetEntryBundle", v2.EntryBundleRequest(N="001.p/2"), "/tile/entries/001.p/2"),
    ):
        body, _ = client.call(name, request, HttpBody)
        response = service.call("GET", path)
        assert (body.content_type, body.data) == (response.header("content-type"), response.body)


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("GetTile", v2.TileRequest(L=0, N="000")),
        ("GetTile", v2.TileRequest(L=64, N="000.p/1")),
        ("GetTile", v2.TileRequest(L=2**32 - 1, N="000.p/1")),
        ("GetTile", v2.TileRequest(L=0, N="0")),
        ("GetTile", v2.TileRequest(L=0, N="../../checkpoint")),
        ("GetEntryBundle", v2.EntryBundleRequest(N="")),
        ("GetEntryBundle", v2.EntryBundleRequest(N="000.p/0")),
    ],
)
def test_no_such_file(client: Client, requests_v2: Requests, name: str, request_: Any) -> None:
    """What the checkpoint does not imply, or is spelled another way, is NOT_FOUND."""
    client.create(requests_v2(1)[0])
    with pytest.raises(grpc.RpcError) as caught:
        client.call(name, request_, HttpBody)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_large_message(service: Service, client: Client) -> None:
    """A message above 4 MiB is refused before it is read."""
    entry = v2.HashedRekordRequestV002(digest=bytes((4 << 20) + 1))
    error = client.refused(v2.CreateEntryRequest(hashed_rekord_request_v002=entry))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_large_leaf(service: Service, client: Client, worked: Worked) -> None:
    """A leaf above 65,535 bytes is refused before it is queued."""
    request = json_format.Parse(worked("dsse_v002/request.json"), v2.CreateEntryRequest())
    request.dsse_request_v002.verifiers[0].public_key.raw_bytes += bytes(70_000)
    assert client.refused(request).code() is grpc.StatusCode.INVALID_ARGUMENT
    assert service.tiles.checkpoint().size == 0


def test_unknown_method(client: Client) -> None:
    """A method that is not there is UNIMPLEMENTED."""
    with pytest.raises(grpc.RpcError) as caught:
        client.call("CreateIdentityEntry", Empty(), HttpBody)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_body_is_the_same(client: Client, worked: Worked) -> None:
    """What the client may rebuild from its own request is what was logged."""
    request = json.loads(worked("hashedrekord_v002/request.json"))["hashedRekordRequestV002"]
    entry, _ = client.create(worked("hashedrekord_v002/request.json"))
    logged = json.loads(entry.canonicalized_body)["spec"]["hashedRekordV002"]
    assert b64decode(logged["data"]["digest"]) == b64decode(request["digest"])
    assert logged["signature"]["verifier"] == request["signature"]["verifier"]


def test_limited(service: Service, requests_v2: Requests) -> None:
    """An address that calls too often is RESOURCE_EXHAUSTED; reading is counted apart."""
    taken: list[tuple[str, str]] = []

    def take(method: str, address: str) -> tuple[tuple[str, str], ...]:
        taken.append((method, address))
        if taken.count((method, address)) > 1:
            raise TooOftenError(7, (("retry-after", "7"), ("ratelimit", '"address";r=0;t=9')))
        return (("ratelimit", '"address";r=1;t=2'),)

    server = start(service, take)
    client = Client(server)
    first, second = requests_v2(2)
    _, call = client.create(first)
    assert dict(call.trailing_metadata())["ratelimit"] == '"address";r=1;t=2'
    error = client.refused(second)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert initial(error)["retry-after"] == "7"
    assert dict(error.trailing_metadata())["grpc-retry-pushback-ms"] == "7000"
    client.call("GetCheckpoint", Empty(), HttpBody)
    assert taken == [("POST", "127.0.0.1")] * 2 + [("GET", "127.0.0.1")]
    assert service.tiles.checkpoint().size == 1
    client.channel.close()
    server.stop(5)


def test_entry_goes_on(
    service: Service, client: Client, requests_v2: Callable[[int], list[bytes]]
) -> None:
    """An entry that finds its tree frozen is answered from the next one, in the same call."""
    following = Service()
    service.shards.successor = lambda: following.log
    service.tiles.freeze("Log frozen")
    for number, body in enumerate(requests_v2(2)):
        entry, _ = client.create(body)
        assert entry.log_index == number
        assert entry.log_id.key_id == following.key.log_id
    following.close()
