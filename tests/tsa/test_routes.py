"""HTTP of the timestamp authority: media types, both forms, and every fault with its words."""

import asyncio
import hashlib
import json
from base64 import b64encode
from datetime import UTC, datetime
from threading import get_ident

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import UnavailableError
from touchplate.formats.timestamp import parse_timestamp_response
from touchplate.formats.timestamp_request import TimestampRequest, encode_timestamp_request
from touchplate.keys.signer import PrivateKeySigner, generate
from touchplate.transport.asgi import Request, Response, Route
from touchplate.tsa import Stamping, create_chain
from touchplate.tsa.routes import routes

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
QUERY, JSON = "application/timestamp-query", "application/json"
DIGEST = hashlib.sha256(b"example signature bytes").digest()
FIELDS = {"artifactHash": b64encode(DIGEST).decode(), "hashAlgorithm": "sha256"}
FAILED = "Error generating timestamp response"


class MoodySigner(PrivateKeySigner):
    """Fails when told to, as a key store elsewhere may."""

    fails = False

    def sign(self, message: bytes) -> bytes:
        """Sign, or fail."""
        if MoodySigner.fails:
            raise UnavailableError("SERVICE_UNAVAILABLE", "secret address")
        return super().sign(message)


SIGNER = MoodySigner(generate().crypto)
CHAIN = create_chain(generate(), SIGNER, organization="example.com", common_name="tsa", now=NOW)
STAMPING = Stamping.load(SIGNER, CHAIN, lambda: NOW)
ROUTES = {(route.method, route.pattern): route for route in routes(lambda: STAMPING)}


def post(body: bytes, content_type: str | None = QUERY, accept: str | None = None) -> Response:
    """Ask for a timestamp."""
    headers = {"content-type": content_type, "accept": accept}
    given_headers = {name: value for name, value in headers.items() if value is not None}
    request = Request("POST", "/api/v1/timestamp", headers=given_headers, body=body)
    return asyncio.run(ask("POST", "/api/v1/timestamp", request))


async def ask(method: str, path: str, request: Request) -> Response:
    """Call the handler."""
    return await ROUTES[method, path].handler(request)


def query(**fields: object) -> bytes:
    """Make a request in DER."""
    return encode_timestamp_request(
        TimestampRequest("sha256", DIGEST, **fields)  # type: ignore[arg-type]  # fields of the class
    )


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (query(nonce=7), QUERY),
        (query(nonce=7), "Application/Timestamp-Query; charset=binary"),
        (json.dumps(FIELDS).encode(), JSON),
        (json.dumps(FIELDS | {"nonce": 2**80}).encode(), "application/json; charset=utf-8"),
    ],
)
@pytest.mark.parametrize(
    "accept", [None, "*/*", "application/*", "application/timestamp-reply;q=1"]
)
def test_granted(body: bytes, content_type: str, accept: str | None) -> None:
    """Both forms get the whole response in DER, which nobody may keep."""
    response = post(body, content_type, accept)
    token = parse_timestamp_response(response.body).token

    assert response.status == 200
    assert response.content_type == "application/timestamp-reply"
    assert dict(response.headers)["pragma"] == "no-cache"
    assert token is not None
    assert token.certificates == ()


def test_certificate_where_asked() -> None:
    """With `certificates` the signing certificate is embedded."""
    response = post(json.dumps(FIELDS | {"certificates": True}).encode(), JSON)
    token = parse_timestamp_response(response.body).token

    assert token is not None
    assert token.certificates == (CHAIN[0],)


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/jsonx", "x/json"])
def test_media_type(content_type: str | None) -> None:
    """Look-alike media types are refused first of all."""
    response = post(query(), content_type)
    shown = content_type or "application/octet-stream"

    assert (response.status, response.content_type) == (415, JSON)
    assert json.loads(response.body) == {
        "code": 415,
        "message": f'unsupported media type "{shown}", only [application/json '
        "application/timestamp-query] are allowed",
    }


def test_not_acceptable() -> None:
    """Who accepts only something else gets nothing."""
    response = post(query(), accept="application/json, text/*")

    assert response.status == 406
    assert json.loads(response.body) == {
        "code": 406,
        "message": "unsupported media type requested, only [application/timestamp-reply] are "
        "available",
    }


def test_empty_body() -> None:
    """An empty body has a code of its own."""
    response = post(b"")

    assert (response.status, response.content_type) == (422, JSON)
    assert json.loads(response.body) == {"code": 602, "message": "request in body is required"}


SHA1 = TimestampRequest("sha1", bytes(20))


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"x", QUERY, FAILED),
        (query() + b"\0", QUERY, FAILED),
        (b"{", JSON, FAILED),
        (json.dumps(FIELDS | {"hashAlgorithm": "md5"}).encode(), JSON, FAILED),
        (json.dumps(FIELDS | {"artifactHash": "@"}).encode(), JSON, FAILED),
        (json.dumps(FIELDS | {"x": "x" * 1024}).encode(), JSON, "timestamp request is too large"),
        (
            encode_timestamp_request(SHA1),
            QUERY,
            "Weak hash algorithm in timestamp request",
        ),
        (
            json.dumps(FIELDS | {"hashAlgorithm": "SHA1"}).encode(),
            JSON,
            "Weak hash algorithm in timestamp request",
        ),
        (
            json.dumps(FIELDS | {"tsaPolicyOID": "1.." + "1"}).encode(),
            JSON,
            "OID should be comprised of at most 128 components",
        ),
        (
            json.dumps(FIELDS | {"hashAlgorithm": "sha512"}).encode(),
            JSON,
            "Message digest has incorrect length for specified algorithm",
        ),
        (
            query(policy="1.2.3"),
            QUERY,
            "unaccepted policy: requested TSA policy is not supported by the TSA",
        ),
        (
            query(extensions=bytes.fromhex("a000")),
            QUERY,
            "unaccepted extension: requested extensions are not supported by the TSA",
        ),
    ],
)
def test_refused(body: bytes, content_type: str, message: str) -> None:
    """Each fault has its words, labelled as upstream labels them."""
    response = post(body, content_type)

    assert (response.status, response.content_type) == (400, "application/timestamp-reply")
    assert json.loads(response.body) == {"code": 400, "message": message}


def test_signer_fails() -> None:
    """When the key store fails the answer is 503 for now, and the reason is not told."""
    MoodySigner.fails = True
    try:
        response = post(query())
    finally:
        MoodySigner.fails = False

    assert response.status == 503
    assert dict(response.headers)["retry-after"] == "1"
    assert json.loads(response.body) == {"code": 503, "message": FAILED}


@pytest.mark.parametrize("accept", ["", "*/*", "application/pem-certificate-chain"])
def test_chain(accept: str) -> None:
    """The chain is PEM, signing certificate first, without empty lines."""
    path = "/api/v1/timestamp/certchain"
    response = asyncio.run(ask("GET", path, Request("GET", path, headers={"accept": accept})))

    assert response.content_type == "application/pem-certificate-chain"
    assert b"\n\n" not in response.body
    assert response.body.endswith(b"-----END CERTIFICATE-----\n")
    found = x509.load_pem_x509_certificates(response.body)
    assert found == [x509.load_der_x509_certificate(der) for der in CHAIN]


@given(st.binary(min_size=1, max_size=120), st.sampled_from([QUERY, JSON]))
def test_any_body(body: bytes, content_type: str) -> None:
    """Any body is stamped or refused, never a fault of ours."""
    assert post(body, content_type).status in {200, 400}


class FarSigner:
    """A key that is elsewhere: asking for a signature may take long."""

    def __init__(self) -> None:
        self.public_key = SIGNER.public_key
        self.algorithm = SIGNER.algorithm
        self.threads: set[int] = set()

    def sign(self, message: bytes) -> bytes:
        """Sign, and note in which thread."""
        self.threads.add(get_ident())
        return SIGNER.sign(message)

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign a digest."""
        return SIGNER.sign_digest(digest)


def test_far_key_does_not_hold_the_loop() -> None:
    """A key that is not in this process signs in another thread, also for direct requests."""
    signer = FarSigner()
    stamping = Stamping.load(signer, CHAIN, lambda: NOW)
    route, _ = routes(lambda: stamping)
    request = Request("POST", route.pattern, headers={"content-type": QUERY}, body=query())

    async def stamp() -> Response:
        return await route.handler(request)

    async def stamp_directly() -> Response:
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        assert route.direct is not None
        route.direct(query(), future.set_result)  # type: ignore[arg-type]
        assert not future.done()
        return await future

    for ask in (stamp, stamp_directly):
        signer.threads.clear()
        assert asyncio.run(ask()).status == 200
        assert signer.threads
        assert get_ident() not in signer.threads


def ask_directly(route: Route, *bodies: bytes) -> list[Response]:
    """Send requests in one turn of a loop; give their answers in the order of the requests."""
    answers: dict[int, list[Response | Exception]] = {}

    async def ask() -> None:
        assert route.direct is not None
        for number, body in enumerate(bodies):
            route.direct(body, answers.setdefault(number, []).append)
        await asyncio.sleep(0)

    asyncio.run(ask())
    found = []
    for number in range(len(bodies)):
        (response,) = answers[number]
        assert isinstance(response, Response)
        found.append(response)
    return found


def test_requests_of_one_turn() -> None:
    """Requests that come together get an answer each: its own, and for what is wrong in it only."""
    stamping = Stamping.load(SIGNER, CHAIN, lambda: NOW)
    route, _ = routes(lambda: stamping)
    refused = encode_timestamp_request(TimestampRequest("sha1", bytes(20)))
    bodies = [query(nonce=1), b"", b"no query", refused, query(nonce=2), query(nonce=3)]
    answers = ask_directly(route, *bodies)
    assert [each.status for each in answers] == [200, 422, 400, 400, 200, 200]
    tokens = [parse_timestamp_response(each.body).token for each in answers if each.status == 200]
    assert [token and token.nonce for token in tokens] == [1, 2, 3]
    for body, each in zip(bodies, answers, strict=True):
        if each.status != 200:
            assert each == post(body)


def test_signer_that_fails_in_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key store that fails costs those that needed a signature their answer, and no others."""
    route, _ = routes(lambda: STAMPING)
    monkeypatch.setattr(MoodySigner, "fails", True)
    answers = ask_directly(route, query(), b"no query", query())
    assert [each.status for each in answers] == [503, 400, 503]
    assert not any(b"secret" in each.body for each in answers)


def test_nobody_signs() -> None:
    """While nobody can sign each request gets 503, and when to come again."""

    def holder() -> Stamping:
        raise UnavailableError("SERVICE_UNAVAILABLE", "the key tsa-2 is not there")

    route, chain = routes(holder)
    request = Request("POST", route.pattern, headers={"content-type": QUERY}, body=query())
    found = ask_directly(route, query(), query())

    async def ask(each: Route) -> Response:
        return await each.handler(request)

    for response in (asyncio.run(ask(route)), *found, asyncio.run(ask(chain))):
        assert isinstance(response, Response)
        assert response.status == 503
        assert dict(response.headers)["retry-after"] == "1"
        assert b"tsa-2" not in response.body
