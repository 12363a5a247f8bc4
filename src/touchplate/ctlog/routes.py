"""HTTP of the CT log: RFC 6962 §4 below `/ct/v1/`, static-ct-api's files below `/ct/`.

Errors are text: the words of the status, then ours. Whoever submits looks at the status only.
"""

import json
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Final

from touchplate.ctlog.log import CertificateLog
from touchplate.ctlog.read import get_entries, get_proof, get_proof_by_hash
from touchplate.ctlog.settings import CtlogSettings
from touchplate.errors import (
    MalformedError,
    RefusedError,
    TouchplateError,
    UnavailableError,
    VerificationError,
)
from touchplate.formats import ct
from touchplate.formats.base64text import base64_text, parse_base64
from touchplate.formats.sct import SignedCertificateTimestamp
from touchplate.merkle.tile import parse_tile_index, parse_tile_level
from touchplate.transport.asgi import Handler, Request, Response, Route, wait

MAX_LEVEL: Final = 5
MAX_NUMBER_DIGITS: Final = 18
_IMMUTABLE: Final = (("cache-control", "public, max-age=31536000, immutable"),)
_DAY: Final = (("cache-control", "public, max-age=86400"),)
_MINUTE: Final = (("cache-control", "public, max-age=60"),)
_NO_STORE: Final = (("cache-control", "no-store"),)
_TEXT: Final = "text/plain; charset=utf-8"
_OCTETS: Final = "application/octet-stream"

Answer = Callable[[CertificateLog, Request], Awaitable[Response]]
FindLog = Callable[[int], CertificateLog | None]
"""The number of a log, from 1 -> the log."""


def routes(
    find: FindLog,
    prefix: str = "/ct",
    later_prefix: str = "/ct-logs",
    settings: CtlogSettings | None = None,
) -> tuple[Route, ...]:
    """Answer for the first log below `prefix`, for each later one below `later_prefix`/N`prefix`.

    Submissions are answered only if the log is open to them.
    """
    settings = settings or CtlogSettings()
    first = _routes(prefix, lambda _: find(1), settings)
    later = _routes(f"{later_prefix}/{{log}}{prefix}", lambda asked: _named(find, asked), settings)
    return (*first, *later)


def _named(find: FindLog, request: Request) -> CertificateLog | None:
    text = request.params["log"]
    # The first one has its own path; each log has one.
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or text[0] == "0" or text == "1":
        return None
    return find(int(text))


def _routes(
    prefix: str, find: Callable[[Request], CertificateLog | None], settings: CtlogSettings
) -> tuple[Route, ...]:
    limit = ct.MAX_ADD_CHAIN_BYTES
    submissions = (
        Route("POST", f"{prefix}/v1/add-chain", _handler(find, _add_chain), limit),
        Route("POST", f"{prefix}/v1/add-pre-chain", _handler(find, _add_pre_chain), limit),
    )
    return (
        *(submissions if settings.is_open else ()),
        Route("GET", f"{prefix}/v1/get-roots", _handler(find, _get_roots)),
        Route("GET", f"{prefix}/v1/get-sth", _handler(find, _get_sth)),
        Route("GET", f"{prefix}/v1/get-sth-consistency", _handler(find, _get_consistency)),
        Route("GET", f"{prefix}/v1/get-proof-by-hash", _handler(find, _get_proof_by_hash)),
        Route("GET", f"{prefix}/v1/get-entries", _handler(find, _get_entries)),
        Route("GET", f"{prefix}/v1/get-entry-and-proof", _handler(find, _get_entry_and_proof)),
        Route("GET", f"{prefix}/checkpoint", _handler(find, _checkpoint)),
        Route("GET", f"{prefix}/tile/{{level}}/{{rest...}}", _handler(find, _tile)),
        Route("GET", f"{prefix}/issuer/{{fingerprint}}", _handler(find, _issuer)),
    )


def _handler(find: Callable[[Request], CertificateLog | None], answer: Answer) -> Handler:
    async def handle(request: Request) -> Response:
        try:
            log = find(request)
            if log is None:
                raise RefusedError("NOT_FOUND", "there is no such log")
            return await answer(log, request)
        except TouchplateError as error:
            return error_response(error)

    return handle


def error_response(error: TouchplateError) -> Response:
    """Answer with an error as logs do; faults of our own are not described."""
    status, headers = 400, [("x-content-type-options", "nosniff")]
    message = error.message
    if error.code == "NOT_FOUND":
        status = 404
    elif error.code == "LOG_FROZEN":
        status = 410
    elif isinstance(error, UnavailableError):
        status = 503
        seconds = error.retry_after.total_seconds() if error.retry_after else 1
        headers.append(("retry-after", str(max(1, round(seconds)))))
    elif isinstance(error, VerificationError) or not isinstance(
        error, MalformedError | RefusedError
    ):
        status, message = 500, ""
    body = f"{HTTPStatus(status).phrase}\n{message}\n" if message else HTTPStatus(status).phrase
    return Response(status, body.encode(errors="replace"), _TEXT, tuple(headers))


async def _add_chain(log: CertificateLog, request: Request) -> Response:
    return await _add(log, request, precertificate=False)


async def _add_pre_chain(log: CertificateLog, request: Request) -> Response:
    return await _add(log, request, precertificate=True)


async def _add(log: CertificateLog, request: Request, *, precertificate: bool) -> Response:
    try:
        chain = ct.parse_add_chain(request.body)
    except MalformedError as error:
        text = f"{log.origin}: failed to parse add-chain body: {error.message}"
        raise MalformedError(error.code, text) from error
    try:
        future = log.submit(chain, precertificate=precertificate)
    except (MalformedError, RefusedError, VerificationError) as error:
        if error.code == "LOG_FROZEN":
            raise
        text = f"failed to verify add-chain contents: {error.message}"
        raise RefusedError("CHAIN_REFUSED", text) from error
    return Response(200, encode_promise(await wait(future)))


def encode_promise(sct: SignedCertificateTimestamp) -> bytes:
    """Give the answer of add-chain."""
    signed = ct.encode_digitally_signed(sct.signature)
    return ct.encode_add_chain_response(sct.log_id, sct.timestamp_ms, sct.extensions, signed)


async def _get_roots(log: CertificateLog, _: Request) -> Response:
    return _json({"certificates": [base64_text(root.der) for root in log.roots.certificates]})


async def _get_sth(log: CertificateLog, request: Request) -> Response:
    head = await request.run(log.tree_head)
    return Response(200, head.encode_json(), headers=_NO_STORE)


async def _get_consistency(log: CertificateLog, request: Request) -> Response:
    first, second = _number(request, "first"), _number(request, "second")
    if second < first:
        raise MalformedError("REQUEST_MALFORMED", "first must not be larger than second")
    if second > log.log.checkpoint().size:
        raise MalformedError("REQUEST_MALFORMED", f"need tree size: {second}")
    proof = await request.run(log.log.consistency, first, second)
    return _json({"consistency": _b64_all(proof)}, _DAY)


async def _get_proof_by_hash(log: CertificateLog, request: Request) -> Response:
    size = _number(request, "tree_size")
    # A "+" that was not escaped arrives as a space; it can have been nothing else.
    text = _value(request, "hash").replace(" ", "+")
    try:
        leaf_hash = parse_base64(text)
    except ValueError as error:
        raise MalformedError("REQUEST_MALFORMED", "hash is not base64") from error
    if len(leaf_hash) != 32 or size < 1:
        raise MalformedError("REQUEST_MALFORMED", "hash has 32 bytes and tree_size is at least 1")
    index, proof = await request.run(get_proof_by_hash, log, leaf_hash, size)
    return _json({"leaf_index": index, "audit_path": _b64_all(proof)}, _DAY)


async def _get_entries(log: CertificateLog, request: Request) -> Response:
    start, end = _number(request, "start"), _number(request, "end")
    entries = await request.run(get_entries, log, start, end)
    listed = [
        {"leaf_input": base64_text(entry.leaf_input), "extra_data": base64_text(entry.extra_data)}
        for entry in entries
    ]
    return _json({"entries": listed}, _DAY if len(entries) == end - start + 1 else _MINUTE)


async def _get_entry_and_proof(log: CertificateLog, request: Request) -> Response:
    index, size = _number(request, "leaf_index"), _number(request, "tree_size")
    if index >= size or size > log.log.checkpoint().size:
        raise MalformedError("REQUEST_MALFORMED", f"no entry {index} in a tree of {size}")
    (entry,) = await request.run(get_entries, log, index, index)
    proof = await request.run(get_proof, log, index, size)
    return _json(
        {
            "leaf_input": base64_text(entry.leaf_input),
            "extra_data": base64_text(entry.extra_data),
            "audit_path": _b64_all(proof),
        },
        _DAY,
    )


async def _checkpoint(log: CertificateLog, request: Request) -> Response:
    checkpoint = await request.run(log.log.checkpoint)
    return Response(200, checkpoint.envelope.encode(), _TEXT, _NO_STORE)


async def _tile(log: CertificateLog, request: Request) -> Response:
    level, rest = request.params["level"], request.params["rest"]
    try:
        index, width = parse_tile_index(rest)
        number = -1 if level == "data" else parse_tile_level(level)
    except MalformedError as error:
        raise _no_tile() from error
    if number > MAX_LEVEL:
        raise _no_tile()
    if level == "data":
        found = await request.run(log.log.read_entries, index, width)
    else:
        found = await request.run(log.log.read_tile, number, index, width)
    if found is None:
        raise _no_tile()
    return Response(200, found, _OCTETS, _IMMUTABLE)


async def _issuer(log: CertificateLog, request: Request) -> Response:
    name = request.params["fingerprint"]
    # Exactly the spelling that we publish; nothing else ever becomes a key of the store.
    if len(name) != 64 or not set(name) <= set("0123456789abcdef"):
        raise RefusedError("NOT_FOUND", "issuers are named by their SHA-256 in lower case")
    der = await request.run(log.issuer, bytes.fromhex(name))
    if der is None:
        raise RefusedError("NOT_FOUND", "there is no such issuer")
    return Response(200, der, "application/pkix-cert", _IMMUTABLE)


def _no_tile() -> RefusedError:
    return RefusedError("NOT_FOUND", "there is no such tile")


def _value(request: Request, name: str) -> str:
    values = request.query.get(name, ())
    if len(values) != 1:
        raise MalformedError("REQUEST_MALFORMED", f"parameter {name} is wanted, once")
    return values[0]


def _number(request: Request, name: str) -> int:
    text = _value(request, name)
    if not (text.isascii() and text.isdigit()) or len(text) > MAX_NUMBER_DIGITS:
        raise MalformedError("REQUEST_MALFORMED", f"parameter {name} is not a decimal number")
    return int(text)


def _b64_all(hashes: Iterable[bytes]) -> list[str]:
    return [base64_text(item) for item in hashes]


def _json(value: object, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    return Response(200, json.dumps(value, separators=(",", ":")).encode(), headers=headers)
