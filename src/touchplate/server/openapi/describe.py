"""How one row of the table of operations becomes OpenAPI."""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from touchplate import __version__

Schema = Mapping[str, Any]

JSON: Final = "application/json"
TEXT: Final = "text/plain"
BYTES: Final = "application/octet-stream"
PROBLEM: Final = "application/problem+json"


class Answer(NamedTuple):
    """One status of an operation: its types with their schemas, `{}` for bytes, and its headers."""

    content: Mapping[str, Schema] = {}
    headers: Mapping[str, str] = {}
    description: str = ""


class Parameter(NamedTuple):
    """A field of the query, of the path, or a header."""

    name: str
    schema: Schema
    description: str = ""
    where: str = "query"
    required: bool = False
    repeated: bool = False


class Operation(NamedTuple):
    """A route as clients see it. `answers` come on top of the faults of its family."""

    method: str
    # As in `Route.pattern`; a `{rest...}` becomes a parameter whose slashes are escaped.
    pattern: str
    name: str
    summary: str
    answers: Mapping[int, Answer]
    parameters: tuple[Parameter, ...] = ()
    body: Mapping[str, Schema] = {}


def ref(name: str) -> Schema:
    """Refer to a schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def json_of(name: str, **headers: str) -> Answer:
    """Answer JSON with the schema of this name."""
    return Answer({JSON: ref(name)}, headers)


def describe(operations: Iterable[Operation], schemas: Mapping[str, Schema]) -> dict[str, Any]:
    """Make the document."""
    paths: dict[str, dict[str, object]] = {}
    for operation in operations:
        path = operation.pattern.replace("...}", "}")
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "touchplate",
            "version": __version__,
            "description": (
                "A certificate authority, certificate and transparency logs, a timestamp "
                "authority and a trust repository, with the paths and forms of Sigstore's."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": dict(schemas)},
    }


def _operation(operation: Operation) -> dict[str, object]:
    answers = {**_faults(operation), **operation.answers}
    described: dict[str, object] = {
        "operationId": operation.name,
        "tags": [_family(operation.pattern).tag],
        "summary": operation.summary,
        "responses": {str(status): _answer(status, answers[status]) for status in sorted(answers)},
    }
    parameters = [
        *(_parameter(each) for each in operation.parameters),
        *_path_parameters(operation),
    ]
    if parameters:
        described["parameters"] = parameters
    if operation.body:
        content = {media: {"schema": dict(schema)} for media, schema in operation.body.items()}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _path_parameters(operation: Operation) -> list[dict[str, object]]:
    """Describe the parameters of the path that the row does not."""
    said = {each.name for each in operation.parameters if each.where == "path"}
    names = re.findall(r"\{(\w+)(?:\.\.\.)?\}", operation.pattern)
    text = {"type": "string", "minLength": 1}
    return [_parameter(Parameter(name, text, where="path")) for name in names if name not in said]


def _parameter(parameter: Parameter) -> dict[str, object]:
    schema: Schema = parameter.schema
    if parameter.repeated:
        schema = {"type": "array", "items": schema, "maxItems": 4}
    described: dict[str, object] = {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.required or parameter.where == "path",
        "schema": dict(schema),
    }
    if parameter.description:
        described["description"] = parameter.description
    return described


def _answer(status: int, answer: Answer) -> dict[str, object]:
    described: dict[str, object] = {
        "description": answer.description or HTTPStatus(status).phrase,
    }
    if answer.content:
        described["content"] = {
            media: {"schema": dict(schema)} if schema else {}
            for media, schema in answer.content.items()
        }
    if answer.headers:
        described["headers"] = {
            name: {"description": text, "required": True, "schema": {"type": "string"}}
            for name, text in answer.headers.items()
        }
    return described


class _Family(NamedTuple):
    """The form in which paths that begin alike say no: as in `server.families`."""

    prefix: str
    tag: str
    content: Mapping[str, Schema]
    faults: frozenset[int]
    # Of operations with a body.
    body_faults: frozenset[int] = frozenset({413})


_REST_FAULTS: Final = frozenset({400, 404, 405, 406, 422, 429, 500, 503})
_GRPC_FAULTS: Final = frozenset({400, 404, 429, 500, 501, 503})
_TEXT_FAULTS: Final = frozenset({400, 404, 405, 429, 500, 503})
_REST_BODY: Final = frozenset({413, 415})
_V1: Final = {JSON: ref("V1Error")}
_GRPC: Final = {JSON: ref("GrpcError")}

_FAMILIES: Final = (
    _Family("/api/v1/log", "log, v1", _V1, _REST_FAULTS | {501}, _REST_BODY),
    _Family("/api/v1/index", "log, v1", _V1, _REST_FAULTS | {501}, _REST_BODY),
    _Family("/api/v1/timestamp", "timestamps", _V1, _REST_FAULTS, _REST_BODY),
    _Family("/api/v2/log", "log, v2", _GRPC, _GRPC_FAULTS, frozenset()),
    _Family("/api/v2/checkpoint", "log, v2", _GRPC, _GRPC_FAULTS, frozenset()),
    _Family("/api/v2/tile", "log, v2", _GRPC, _GRPC_FAULTS, frozenset()),
    _Family("/api/search", "search", {PROBLEM: ref("Problem")}, _TEXT_FAULTS),
    _Family("/api/", "certificates", _GRPC, _GRPC_FAULTS, frozenset()),
    _Family("/ct/", "certificate log", {TEXT: {}}, _TEXT_FAULTS, frozenset({410, 413})),
    _Family("/ct-logs/", "certificate log", {TEXT: {}}, _TEXT_FAULTS, frozenset({410, 413})),
    _Family("/tile", "log, v2", {PROBLEM: ref("Problem")}, _TEXT_FAULTS),
    _Family("/checkpoint", "log, v2", {PROBLEM: ref("Problem")}, _TEXT_FAULTS),
    _Family("/shards", "log, v2", {PROBLEM: ref("Problem")}, _TEXT_FAULTS),
    _Family("/tuf", "trust", {PROBLEM: ref("Problem")}, _TEXT_FAULTS),
    _Family("/trust", "trust", {PROBLEM: ref("Problem")}, _TEXT_FAULTS),
    _Family("/oidc", "tokens", {PROBLEM: ref("Problem")}, _TEXT_FAULTS),
    _Family("/", "operation", {PROBLEM: ref("Problem")}, _TEXT_FAULTS),
)


def _family(pattern: str) -> _Family:
    return next(family for family in _FAMILIES if pattern.startswith(family.prefix))


def _faults(operation: Operation) -> dict[int, Answer]:
    family = _family(operation.pattern)
    statuses = family.faults | (family.body_faults if operation.body else frozenset())
    return {status: Answer(family.content) for status in statuses}
