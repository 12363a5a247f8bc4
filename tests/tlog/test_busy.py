"""A log that cannot take an entry now says so, in the form of each API, and takes it later."""

import json
from collections.abc import Callable

from tests.tlog.service import Service

Worked = Callable[[str], bytes]
V1, V2 = "/api/v1/log/entries", "/api/v2/log/entries"


def test_full(worked: Worked) -> None:
    """With as many entries waiting as may wait, both APIs are 503 and say when to come again."""
    service = Service(max_waiting=0)
    v2 = service.call("POST", V2, worked("hashedrekord_v002/request.json"))
    v1 = service.call("POST", V1, worked("hashedrekord_v001/request.json"))
    assert (v2.status, v2.header("retry-after")) == (503, "1")
    assert json.loads(v2.body) == {
        "code": 14,
        "message": "reached max pushback; retry",
        "details": [],
    }
    assert (v1.status, v1.header("retry-after")) == (503, "1")
    assert json.loads(v1.body)["code"] == 503
    assert service.tiles.checkpoint().size == 0
    service.close()


def test_bad_requests_of_a_full_log() -> None:
    """What is the client's mistake stays the client's mistake."""
    service = Service(max_waiting=0)
    assert service.call("POST", V2, b"{}").status == 400
    service.close()


def test_closed(service: Service, worked: Worked) -> None:
    """A log that is going down takes nothing more, and can still be read."""
    request = worked("hashedrekord_v002/request.json")
    assert service.call("POST", V2, request).status == 201
    service.tiles.close()
    assert service.call("POST", V2, request).status == 503
    assert service.get(f"{V1}?logIndex=0")
