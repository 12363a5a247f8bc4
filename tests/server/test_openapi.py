"""The OpenAPI document: all routes are in it, and the running service does what it says."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from tests.server.conftest import Server
from touchplate.server.openapi import document
from touchplate.testing import World

NAMES = [
    operation["operationId"] for path in document()["paths"].values() for operation in path.values()
]
SECONDS = 60  # what no answer takes
EXAMPLES = 10
VECTORS = Path(__file__).resolve().parent.parent / "vectors" / "entries"
ARTIFACT = "eb54ca97566e82390016d1e5f18b6069646d2ac0cd748647f3fa85f03ccc996e"
V1, V2 = "/api/v1/log/entries", "/api/v2/log/entries"
ENTERED = [
    (V1, "hashedrekord_v001"),
    (V1, "dsse_v001"),
    (V1, "intoto_v001"),
    (V1, "intoto_v002"),
    (V1, "rekord_v001"),
    (V2, "hashedrekord_v002"),
    (V2, "dsse_v002"),
]


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Give method, path and description of each operation."""
    for path, item in document()["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def test_every_route() -> None:
    """Each route of a deployment is described, and each description has a route."""
    with World() as world:
        routes = {
            (route.method, re.sub(r"\.\.\.}", "}", route.pattern))
            for route in world.deployment.routes
        }
    assert {(method, path) for method, path, _ in operations()} == routes


def test_names() -> None:
    """Operations have distinct names, and every schema that is referred to is there and used."""
    assert len(set(NAMES)) == len(NAMES)
    schemas = document()["components"]["schemas"]
    used = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document())))
    assert used == set(schemas)


def test_parameters() -> None:
    """Each part of a path that varies is described as a parameter."""
    for _, path, operation in operations():
        described = {
            each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"
        }
        assert described == set(re.findall(r"\{(\w+)\}", path))


def test_served() -> None:
    """The document is answered at both paths."""
    with World() as world:
        for path in ("/openapi.json", "/swagger.json"):
            response = world.transport.request("GET", f"{world.url}{path}")
            assert response.status == 200
            assert json.loads(response.body) == document()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running service, with one of each kind of thing that can be read."""
    server = Server(tmp_path_factory.mktemp("service") / "data")
    try:
        url = server.wait_until_ready()
        for path, folder in ENTERED:
            assert post(server, path, request_of(folder)) == 201
        yield url
        assert server.get("/readyz")[0] == 200
    finally:
        server.stop()
        for pipe in (server.process.stdout, server.process.stderr):
            assert pipe is not None
            pipe.close()
    assert not [line for line in server.errors if "Traceback" in line or "failed" in line]


def request_of(folder: str) -> bytes:
    """Read a worked example's request."""
    return (VECTORS / folder / "request.json").read_bytes()


def post(server: Server, path: str, body: bytes) -> int:
    """POST JSON."""
    connection = server.connect()
    try:
        connection.request("POST", path, body, {"content-type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


def ask_as_described(service: str, name: str, **parts: Any) -> int:
    """Send one request, hold the answer to the description, and give its status."""
    case = find(name).Case(**parts)
    return int(case.call_and_validate(base_url=service, checks=held(), timeout=SECONDS).status_code)


def find(name: str) -> Any:
    """Give an operation as schemathesis has it."""
    return found()[name]


@cache
def found() -> dict[str, Any]:
    """Give every operation by its name."""
    import schemathesis

    results: Iterator[Any] = schemathesis.openapi.from_dict(document()).get_all_operations()
    return {each.definition.raw["operationId"]: each for each in (r.ok() for r in results)}


def held() -> tuple[Any, ...]:
    """Give what an answer is held to."""
    from schemathesis import checks
    from schemathesis.specs.openapi import checks as openapi

    return (
        checks.not_a_server_error,
        openapi.status_code_conformance,
        openapi.content_type_conformance,
        openapi.response_headers_conformance,
        openapi.response_schema_conformance,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_service_does_what_it_says(service: str, name: str) -> None:
    """Whatever is asked, no fault of the server, and an answer as described."""
    from hypothesis import HealthCheck, given, settings
    from hypothesis.errors import Unsatisfiable
    from schemathesis import GenerationMode

    operation, checks = find(name), held()
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            case.call_and_validate(base_url=service, checks=checks, timeout=SECONDS)

        try:
            ask()
        except Unsatisfiable:
            # Nothing that can be sent breaks the description.
            assert mode is GenerationMode.NEGATIVE


READS = [
    ("getLogEntryByIndex", {"query": {"logIndex": 1}}),
    ("getLogProof", {"query": {"firstSize": 1, "lastSize": 3}}),
    ("getLogInfo", {}),
    ("getPublicKey", {}),
    ("searchLogQuery", {"body": {"logIndexes": [0, 1]}}),
    ("searchIndex", {"body": {"hash": ARTIFACT, "operator": "and"}}),
    ("search", {"query": {"digest": [ARTIFACT], "proofs": "true"}}),
    ("getTile", {"path_parameters": {"path": "entries/000.p/3"}}),
    ("getTileV2", {"path_parameters": {"path": "0/000.p/1"}}),
    ("getTrustFile", {"path_parameters": {"name": "1.root.json"}}),
    (
        "getTimestampResponse",
        {"body": {"artifactHash": b64encode(bytes(32)).decode(), "hashAlgorithm": "sha256"}},
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "parts"), READS, ids=[name for name, _ in READS])
def test_good_answers(service: str, name: str, parts: dict[str, Any]) -> None:
    """What is there is answered with 200, as described."""
    if "body" in parts:
        parts = parts | {"media_type": "application/json"}
    assert ask_as_described(service, name, **parts) == 200


@pytest.mark.slow
@pytest.mark.parametrize(("path", "folder"), ENTERED)
def test_good_entries(service: str, path: str, folder: str) -> None:
    """Each kind of entry is described as it is taken, and its answer as it is given."""
    name = "createLogEntry" if path.startswith("/api/v1") else "createEntry"
    body = json.loads(request_of(folder))
    parts = {"body": body, "media_type": "application/json"}
    assert ask_as_described(service, name, **parts) == 201
    assert described(body, "ProposedEntry" if name == "createLogEntry" else "CreateEntryRequest")


@pytest.mark.slow
def test_certificate() -> None:
    """A request for a certificate and its answer are as described."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    csr = b64encode(builder.sign(key, SHA256()).public_bytes(Encoding.PEM)).decode()
    with World() as world:
        body = {
            "credentials": {"oidcIdentityToken": world.token()},
            "certificateSigningRequest": csr,
        }
        response = world.transport.request(
            "POST",
            f"{world.url}/api/v2/signingCert",
            body=json.dumps(body).encode(),
            headers=(("content-type", "application/json"),),
        )
    assert response.status == 200
    assert described(body, "SigningCertRequestV2")
    assert described(json.loads(response.body), "SigningCert")


@pytest.mark.slow
def test_descriptions_refuse() -> None:
    """The schemas of requests are not empty: what is no entry is none."""
    for body in ({}, {"kind": "dsse", "apiVersion": "0.0.1", "spec": {}}, {"kind": "rpm"}):
        assert not described(body, "ProposedEntry")
        assert not described(body, "CreateEntryRequest")


def described(value: object, name: str) -> bool:
    """Say whether a value is one that the schema of this name describes."""
    import jsonschema_rs

    schema = {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}
    return bool(jsonschema_rs.is_valid(schema, value))
