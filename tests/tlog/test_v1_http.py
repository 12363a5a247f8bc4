"""HTTP of API v1 outside of its bodies: methods, types, headers, what is switched off."""

import json
from collections.abc import Callable

import pytest

from tests.tlog.clients import ENTRIES, create, fault
from tests.tlog.service import Service
from touchplate.tlog import TlogSettings
from touchplate.tlog.settings import ENDPOINTS

Worked = Callable[[str], bytes]
JSON_ROUTES = [
    ("GET", "/api/v1/log"),
    ("GET", "/api/v1/log/proof?lastSize=1"),
    ("GET", f"{ENTRIES}?logIndex=0"),
    ("GET", f"{ENTRIES}/{'ab' * 32}"),
    ("POST", ENTRIES),
    ("POST", f"{ENTRIES}/retrieve"),
    ("POST", "/api/v1/index/retrieve"),
]
NAMES = {
    "getLogInfo": ("GET", "/api/v1/log"),
    "getPublicKey": ("GET", "/api/v1/log/publicKey"),
    "getLogProof": ("GET", "/api/v1/log/proof?lastSize=1"),
    "getLogEntryByIndex": ("GET", f"{ENTRIES}?logIndex=0"),
    "getLogEntryByUUID": ("GET", f"{ENTRIES}/{'ab' * 32}"),
    "createLogEntry": ("POST", ENTRIES),
    "searchLogQuery": ("POST", f"{ENTRIES}/retrieve"),
    "searchIndex": ("POST", "/api/v1/index/retrieve"),
}


@pytest.fixture
def searching(service: Service) -> Service:
    """A log with an index that finds nothing."""
    service.search = lambda keys, all_of: ()
    return service.restart()


@pytest.mark.parametrize("accept", ["text/html", "application/xml, text/*", "application/json;q=0"])
@pytest.mark.parametrize(("method", "target"), JSON_ROUTES)
def test_not_acceptable(searching: Service, accept: str, method: str, target: str) -> None:
    """A client that takes no JSON is answered 406."""
    body = b"{}" if method == "POST" else b""
    response = searching.call(method, target, body, headers=(("accept", accept),))
    message = "unsupported media type requested, only [application/json] are available"
    assert fault(response) == (406, 406, message)


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "application/*", "text/html, Application/JSON;q=0.5", "text/html, */*;q=0.1"],
)
def test_acceptable(service: Service, accept: str) -> None:
    """Ranges, weights and letter case are understood."""
    assert service.call("GET", "/api/v1/log", headers=(("accept", accept),)).status == 200


def test_public_key_type(service: Service) -> None:
    """The key is PEM, whoever wants JSON gets 406."""
    for accept, status in (
        ("application/x-pem-file", 200),
        ("*/*", 200),
        ("application/json", 406),
    ):
        headers = (("accept", accept),)
        assert service.call("GET", "/api/v1/log/publicKey", headers=headers).status == status


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (ENTRIES, "proposedEntry"),
        (f"{ENTRIES}/retrieve", "entry"),
        ("/api/v1/index/retrieve", "query"),
    ],
)
def test_bodies(searching: Service, target: str, name: str) -> None:
    """Another type is 415, no body at all is 422."""
    status, _, message = fault(searching.call("POST", target, b"{}", content_type="text/plain"))
    expected = 'unsupported media type "text/plain", only [application/json] are allowed'
    assert (status, message) == (415, expected)
    assert fault(searching.call("POST", target, b" ")) == (422, 602, f"{name} in body is required")


@pytest.mark.parametrize(
    ("method", "target", "allow"),
    [
        ("DELETE", ENTRIES, "GET, POST"),
        ("PUT", f"{ENTRIES}/{'ab' * 32}", "GET"),
        ("POST", "/api/v1/log", "GET"),
        ("GET", "/api/v1/index/retrieve", "POST"),
    ],
)
def test_other_methods(service: Service, method: str, target: str, allow: str) -> None:
    """A wrong method is 405 and the right ones are named."""
    response = service.call(method, target)
    assert fault(response)[:2] == (405, 405)
    assert response.header("allow") == allow


def test_unknown_path(service: Service) -> None:
    """An unknown path is 404 with upstream's words."""
    expected = (404, 404, "path /api/v1/log/x was not found")
    assert fault(service.call("GET", "/api/v1/log/x")) == expected


@pytest.mark.parametrize(("method", "target"), [*JSON_ROUTES, ("GET", "/api/v1/log/publicKey")])
def test_trailing_slash(searching: Service, method: str, target: str) -> None:
    """A slash at the end of a path makes no difference, and no redirect."""
    path, mark, query = target.partition("?")
    body = b"{}" if method == "POST" else b""
    plain, slashed = (
        searching.call(method, each + mark + query, body) for each in (path, path + "/")
    )
    assert plain.status == slashed.status


@pytest.mark.parametrize("name", ["if-none-match", "if-match", "if-modified-since", "etag"])
def test_conditional_headers(service: Service, worked: Worked, name: str) -> None:
    """Conditions of caches are not looked at: an entry is always answered whole."""
    entry = create(service, worked("hashedrekord_v001/request.json"))
    for value in ("*", entry, f'"{entry}"', "Thu, 01 Jan 2099 00:00:00 GMT"):
        response = service.call("GET", f"{ENTRIES}/{entry}", headers=((name, value),))
        assert (response.status, response.header("etag")) == (200, None)


def test_no_cache_headers(service: Service) -> None:
    """All four headers stand on every read, whatever is answered."""
    reads = [target for method, target in JSON_ROUTES if method == "GET"]
    for target in (*reads, "/api/v1/log/publicKey", "/api/v1/log/publicKey?treeID=5", ENTRIES):
        response = service.call("GET", target)
        assert response.header("cache-control") == (
            "no-cache, no-store, no-transform, must-revalidate, private, max-age=0"
        )
        assert response.header("expires") == "Thu, 01 Jan 1970 00:00:00 UTC"
        assert response.header("pragma") == "no-cache"
        assert response.header("x-accel-expires") == "0"


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("", ""),
        ("?apiKey=secret", ""),
        ("?b=2&apiKey=secret&a=1&b=%0d%0ax", "?a=1&b=%0D%0Ax&b=2"),
    ],
)
def test_location(service: Service, worked: Worked, query: str, kept: str) -> None:
    """`Location` keeps the query string, except for the API key."""
    response = service.call("POST", ENTRIES + query, worked("hashedrekord_v001/request.json"))
    assert response.header("location") == f"{ENTRIES}/{response.header('etag')}{kept}"


def test_location_of_conflict(strict_service: Service, worked: Worked) -> None:
    """So it does for a duplicate, which has no ETag."""
    name = create(strict_service, worked("hashedrekord_v001/request.json"))
    target = f"{ENTRIES}?x=1"
    response = strict_service.call("POST", target, worked("hashedrekord_v001/request.json"))
    assert (response.status, response.header("etag")) == (409, None)
    assert response.header("location") == f"{ENTRIES}/{name}?x=1"


@pytest.mark.parametrize("name", ENDPOINTS)
def test_switched_off(name: str) -> None:
    """An operation that is switched off is 501, whatever is asked; the others answer."""
    service = Service(TlogSettings(endpoints=frozenset(ENDPOINTS) - {name}))
    service.search = lambda keys, all_of: ()
    service.restart()
    message = f"{ENDPOINTS[name]} API not enabled in this Rekor instance"
    for each, (method, target) in NAMES.items():
        response = service.call(method, target, b"{}" if method == "POST" else b"")
        if each == name:
            assert fault(response) == (501, 501, message)
        else:
            assert response.status != 501
    service.close()


def test_kinds_switched_off(worked: Worked) -> None:
    """A kind that is switched off is refused, and its entries are still found."""
    service = Service(TlogSettings(kinds=frozenset({"hashedrekord"})))
    request = json.loads(worked("dsse_v001/request.json"))
    message = "entry kind 'dsse' is not enabled for submission on this server"
    assert fault(service.call("POST", ENTRIES, request)) == (400, 400, message)
    found = service.call("POST", f"{ENTRIES}/retrieve", {"entries": [request]})
    assert (found.status, found.body) == (200, b"[]\n")
    service.close()


def test_other_origin(service: Service) -> None:
    """Scripts of any origin may read."""
    headers = (("origin", "https://example.org"),)
    response = service.call("GET", "/api/v1/log", headers=headers)
    assert response.header("access-control-allow-origin") == "*"


def test_large_body(service: Service) -> None:
    """A body above the limit is 413 and says which."""
    response = service.call("POST", "/api/v1/index/retrieve", b" " * (256 * 1024 + 1))
    message = "Request Entity Too Large. Limit set to 262144"
    assert fault(response) == (413, 413, message)
