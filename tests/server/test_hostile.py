"""Hostile requests to every route of a whole deployment: never a 500, never a trace of our code."""

import asyncio
import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from touchplate.sign import Signer, connect
from touchplate.testing import World
from touchplate.testing.in_process import exchange
from touchplate.transport.http import (
    DEFAULT_TIMEOUT,
    MAX_RESPONSE_BYTES,
    Response,
    Transport,
)
from touchplate.verify import Artifact

MEDIA_TYPES = ["", "application/json", "application/timestamp-query", "text/plain", "a/b; c=d"]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One world for all requests; it is proven at the end."""
    with World() as world:
        world.sign(b"artifact")
        yield world
        world.check()


def send(
    world: World,
    method: str,
    path: str,
    body: bytes | tuple[bytes, ...] = b"",
    query: bytes = b"",
    headers: tuple[tuple[str, str], ...] = (),
) -> Response:
    """Send a request and hold the answer to what all answers must be."""
    found = asyncio.run(exchange(world.app, method, path, body=body, query=query, headers=headers))
    assert found is not None
    assert found.status != 500, found.body
    assert b"Traceback" not in found.body
    assert b'File "' not in found.body
    return found


@dataclass(frozen=True)
class Sent:
    """A request that a real client made."""

    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...]


class Recorder:
    """Passes requests on and keeps those that write."""

    def __init__(self, transport: Transport) -> None:
        self.sent: list[Sent] = []
        self._transport = transport

    def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        timeout: timedelta = DEFAULT_TIMEOUT,
        max_bytes: int = MAX_RESPONSE_BYTES,
    ) -> Response:
        """Keep it and pass it on."""
        if method == "POST" and body is not None:
            self.sent.append(Sent(urlsplit(url).path, body, headers))
        return self._transport.request(
            method, url, body=body, headers=headers, timeout=timeout, max_bytes=max_bytes
        )


@pytest.fixture(scope="module")
def good(world: World) -> list[Sent]:
    """Give the writes of our own client: certificate, timestamp, and entries of every kind."""
    recorder = Recorder(world.transport)
    for version in (1, 2):
        services = connect(
            world.signing_config,
            world.trusted_root,
            recorder,
            world.clock(),
            tlog_version=version,
        )
        signer = Signer(services, world.token(), world.clock)
        signer.sign(Artifact.from_bytes(b"artifact"))
        statement = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "a", "digest": {"sha256": "00" * 32}}],
            "predicateType": "https://example.org/predicate/v1",
            "predicate": {},
        }
        signer.sign_statement(json.dumps(statement).encode())
    return recorder.sent


def patterns(world: World, method: str) -> list[str]:
    """Give the patterns of all routes with this method."""
    return sorted({route.pattern for route in world.deployment.routes if route.method == method})


def fill(pattern: str, values: list[str]) -> str:
    """Put values in the places of a pattern's parameters."""
    segments = [
        values.pop(0) if segment.startswith("{") and values else segment
        for segment in pattern.split("/")
    ]
    return "/".join(segments)


def sizes(world: World) -> tuple[int, int]:
    """Give the sizes of both logs."""
    return world.deployment.tlog.checkpoint().size, world.deployment.ct.checkpoint().size


parameter = (
    st.sampled_from(
        [
            "000", "x001/000", "000.p/1", "000.p/256", "001", "-1", "0", "9" * 30, "%2e%2e", "..",
            "a" * 64, "0" * 80, "F" * 80, "1.root.json", "timestamp.json", "entries", "data", "63",
            "targets/" + "0" * 64 + ".trusted_root.json", "1.root.json/..", "²", "\x00",
        ]
    )
    | st.text(max_size=20)
)  # fmt: skip
query = st.binary(max_size=60) | st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("logIndex", "firstSize", "lastSize", "treeID", "start", "end"),
                *("first", "second", "hash", "tree_size", "leaf_index"),
            ]
        ),
        st.sampled_from(["", "0", "1", "-1", "x", "9" * 40, "1.5", "%00", "AAAA"]),
    ),
    max_size=4,
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs).encode())

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=30)
    | st.binary(max_size=60).map(lambda data: b64encode(data).decode())
)
names = st.sampled_from(
    [
        "hashedRekordRequestV002", "digest", "signature", "content", "verifier", "publicKey",
        "rawBytes", "x509Certificate", "keyDetails", "kind", "apiVersion", "spec", "data", "hash",
        "algorithm", "value", "credentials", "oidcIdentityToken", "publicKeyRequest",
        "proofOfPossession", "certificateSigningRequest", "chain", "artifactHash", "nonce",
        "entryUUIDs", "logIndexes", "entries", "email", "proposedContent", "envelope", "verifiers",
        "signedEmailAddress", "tsaPolicyOID", "certificates", "hashAlgorithm",
    ]
)  # fmt: skip
kinds = st.sampled_from(["hashedrekord", "dsse", "intoto", "0.0.1", "0.0.2", "sha256"])
bodies = (
    st.binary(max_size=200)
    | st.recursive(
        leaves | kinds,
        lambda inner: st.dictionaries(names, inner, max_size=4) | st.lists(inner, max_size=3),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode())
    | st.sampled_from([b"[" * 5000, b'{"a":' * 5000, b"null", b"\xff", b"{}", b'{"a":1,"a":2}'])
)


@pytest.mark.slow
@settings(max_examples=150)
@given(data=st.data())
def test_get(world: World, data: st.DataObject) -> None:
    """No path, parameter or query of a read makes the server fail or write."""
    before = sizes(world)
    pattern = data.draw(st.sampled_from(patterns(world, "GET")))
    path = fill(pattern, data.draw(st.lists(parameter, min_size=2, max_size=2)))
    method = data.draw(st.sampled_from(["GET", "HEAD"]))
    send(world, method, path, query=data.draw(query))
    assert sizes(world) == before


@pytest.mark.slow
@settings(max_examples=250)
@given(data=st.data())
def test_post(world: World, data: st.DataObject) -> None:
    """No body makes the server fail, and none that is not a true request is written anywhere."""
    before = sizes(world)
    path = data.draw(st.sampled_from(patterns(world, "POST")))
    media_type = data.draw(st.sampled_from(MEDIA_TYPES))
    found = send(
        world,
        "POST",
        path,
        body=data.draw(bodies),
        headers=(("content-type", media_type),) if media_type else (),
    )
    assert found.status < 500
    assert sizes(world) == before


def spoil(body: bytes, data: st.DataObject) -> bytes:
    """Change a request in one place: a bit, a cut, a repetition, or bytes put in."""
    at = data.draw(st.integers(0, len(body) - 1))
    end = data.draw(st.integers(at, min(len(body), at + 40)))
    match data.draw(st.sampled_from(["flip", "cut", "end", "repeat", "insert"])):
        case "flip":
            bit = 1 << data.draw(st.integers(0, 7))
            return body[:at] + bytes([body[at] ^ bit]) + body[at + 1 :]
        case "cut":
            return body[:at] + body[end:]
        case "end":
            return body[:at]
        case "repeat":
            return body[:end] + body[at:]
        case _:
            return body[:at] + data.draw(st.binary(max_size=8)) + body[at:]


@pytest.mark.slow
@settings(max_examples=300)
@given(data=st.data())
def test_spoilt(world: World, good: list[Sent], data: st.DataObject) -> None:
    """A true request that was spoilt in one place writes nothing, unless it is still true."""
    before = sizes(world)
    sent = data.draw(st.sampled_from(good))
    found = send(world, "POST", sent.path, spoil(sent.body, data), headers=sent.headers)
    assert found.status < 500
    if found.status not in (200, 201):
        assert sizes(world) == before


@pytest.mark.parametrize("chunked", [True, False])
def test_oversized(world: World, chunked: bool) -> None:
    """Every write refuses a body above its limit, however it comes."""
    for route in world.deployment.routes:
        if route.method == "POST":
            body = b"x" * (route.max_body + 1)
            headers = (("content-type", "application/json"),)
            found = send(
                world, "POST", route.pattern, (body,) if chunked else body, headers=headers
            )
            assert found.status in (400, 413), route.pattern


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "get", "X-Y"])
def test_other_methods(world: World, method: str) -> None:
    """No method but those that a path has does anything."""
    for route in world.deployment.routes:
        found = send(world, method, route.pattern)
        assert found.status in (404, 405, 501), route.pattern


def test_bodies_on_reads(world: World) -> None:
    """A body on a read is not kept: it is refused or passed over."""
    for pattern in patterns(world, "GET"):
        if "{" not in pattern:
            found = send(world, "GET", pattern, b"x" * 100_000)
            assert found.status < 500 or found.status == 501
