"""Each way in which API v2 says no, as rekor-tiles says it."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import pytest

from tests.tlog.service import Service
from touchplate.errors import (
    RefusedError,
    SettingsError,
    TouchplateError,
    UnavailableError,
    VerificationError,
)
from touchplate.tilelog.entry import Receipt, Submission
from touchplate.tilelog.log import TileLog
from touchplate.tlog import TlogSettings
from touchplate.tlog.v2 import answer_fault
from touchplate.tlog.v2_fault import not_appended
from touchplate.transport.fault import Fault

Requests = Callable[[int], list[bytes]]
ENTRIES = "/api/v2/log/entries"


@pytest.fixture
def frozen(requests_v2: Requests) -> Iterator[Service]:
    """A log of one entry that was frozen."""
    made = Service()
    assert made.call("POST", ENTRIES, requests_v2(1)[0]).status == 201
    made.tiles.freeze("Log frozen — Mon Jan  2 15:04:05 UTC 2006")
    yield made
    made.close()


def test_frozen(frozen: Service, requests_v2: Requests) -> None:
    """A frozen log is 405 in plain text, whatever is sent, and does not grow."""
    for body in (*requests_v2(2), b"{}"):
        response = frozen.call("POST", ENTRIES, body)
        assert response.status == 405
        assert response.header("content-type") == "text/plain; charset=utf-8"
        text = b"This log has been frozen, please switch to the latest log.\n"
        assert response.body == text
    assert frozen.tiles.checkpoint().size == 1
    assert frozen.call("GET", "/tile/entries/000.p/1").status == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
def test_wrong_method(service: Service, method: str) -> None:
    """Another method on the path is 501 with gRPC's code for it."""
    response = service.call(method, ENTRIES)
    assert response.status == 501
    if method != "HEAD":
        expected = {"code": 12, "message": "Method Not Allowed", "details": []}
        assert json.loads(response.body) == expected


@pytest.mark.parametrize(
    "path",
    [
        "/api/v2/log/entries/",
        "/api/v2/log",
        "/api/v2/log/entries/1",
        "/api/v2",
        "/api/v2/checkpoint/",
        "/api/v3/log/entries",
    ],
)
def test_unknown_path(service: Service, path: str) -> None:
    """An unknown path is 404 with gRPC's code for it; a slash at the end makes one."""
    response = service.call("POST", path, b"{}")
    assert response.status == 404
    assert json.loads(response.body) == {"code": 5, "message": "Not Found", "details": []}


class FailingLog:
    """A tile log that takes no entry, for a reason that is given."""

    def __init__(self, tiles: TileLog, error: TouchplateError, *, late: bool) -> None:
        self._tiles = tiles
        self._error = error
        self._late = late

    def submit(self, _submission: Submission, ticket: Any, deliver: Callable[[Any], None]) -> None:
        """Fail, at once or with the batch."""
        if not self._late:
            raise self._error
        deliver([(ticket, self._error)])

    def append(self, _submission: Submission) -> Future[Receipt]:
        """Fail, at once or with the batch."""
        if not self._late:
            raise self._error
        future: Future[Receipt] = Future()
        future.set_exception(self._error)
        return future

    def __getattr__(self, name: str) -> Any:
        """Be the log in all else."""
        return getattr(self._tiles, name)


FAULTS = {
    "busy": (
        UnavailableError("LOG_BUSY", "full"),
        Fault(14, 503, "reached max pushback; retry", (("retry-after", "1"),)),
    ),
    "busy for longer": (
        UnavailableError("LOG_BUSY", "full", retry_after=timedelta(seconds=7.5)),
        Fault(14, 503, "reached max pushback; retry", (("retry-after", "7"),)),
    ),
    "storage": (
        UnavailableError("STORAGE_UNAVAILABLE", "disk full"),
        Fault(14, 503, "failed to integrate entry", (("retry-after", "1"),)),
    ),
    "own proof": (
        VerificationError("INCLUSION_PROOF_INVALID", "the proof is wrong"),
        Fault(2, 500, "failed to integrate entry"),
    ),
    "frozen": (RefusedError("LOG_FROZEN", "no more"), Fault(12, 405, "log frozen")),
    "too long": (
        RefusedError("LIMIT_EXCEEDED", "the entry is longer than a bundle can hold"),
        Fault(3, 400, "the entry is longer than a bundle can hold"),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_not_appended(name: str) -> None:
    """What the log says is never the client's mistake, but for an entry that is too long."""
    error, fault = FAULTS[name]
    assert not_appended(error) == fault


@pytest.mark.parametrize("name", [name for name in FAULTS if name != "too long"])
def test_over_http(requests_v2: Requests, name: str) -> None:
    """The answer has the status, and the gRPC code in its body."""
    error, fault = FAULTS[name]
    service = Service()
    service.log.tiles = FailingLog(service.tiles, error, late=name == "own proof")  # type: ignore[assignment]  # all of it that is used
    response = service.restart().call("POST", ENTRIES, requests_v2(1)[0])
    assert response.status == fault.status
    assert response.body == answer_fault(fault if name != "frozen" else not_appended(error)).body
    if fault.status == 503:
        assert response.header("retry-after") == fault.headers[0][1]
    service.close()


def test_algorithms() -> None:
    """A name that is none of a log's algorithms, or no name at all, stops the server at start."""
    with pytest.raises(SettingsError, match=r"ed25519-ph.*found ed25519"):
        TlogSettings(algorithms=frozenset({"ecdsa-sha2-256-nistp256", "ed25519"}))
    with pytest.raises(SettingsError, match="found none"):
        TlogSettings(algorithms=frozenset())


def test_algorithms_of_requests(requests_v2: Requests, worked: Callable[[str], bytes]) -> None:
    """An algorithm that the setting leaves out is refused, and the others are taken."""
    service = Service(TlogSettings(algorithms=frozenset({"ed25519-ph"})))
    refused = service.call("POST", ENTRIES, requests_v2(1)[0])
    assert refused.status == 400
    assert json.loads(refused.body)["message"].startswith("invalid hashedrekord request: ")
    taken = worked("hashedrekord_v002_ed25519ph/request.json")
    assert service.call("POST", ENTRIES, taken).status == 201
    service.close()


def test_counted(requests_v2: Requests) -> None:
    """New entries are counted once, and each that its own proof kept out."""
    service = Service()
    counted: list[str] = []
    service.log.count = counted.append
    (request,) = requests_v2(1)
    for _ in range(2):
        service.call("POST", ENTRIES, request)
    assert counted == ["rekor_v2_new_hashedrekord_entries"]
    for name, grows in (("busy", False), ("own proof", True)):
        counted.clear()
        service.log.tiles = FailingLog(service.tiles, FAULTS[name][0], late=True)  # type: ignore[assignment]  # all of it that is used
        service.restart().call("POST", ENTRIES, request)
        assert counted == (["rekor_v2_inclusion_proof_failure_total"] if grows else [])
    service.close()
