"""The corpus of hostile files: each leads to its code and status, and nothing is written.

`tests/vectors/hostile/<format>/index.json` says which. What is a request is sent to the whole
application too; for the rest the reader of its format is asked.
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from touchplate.ca.proof import check_possession
from touchplate.ca.request import SigningRequest
from touchplate.entries.create_entry import admit_request
from touchplate.entries.proposed import parse_proposed
from touchplate.errors import TouchplateError
from touchplate.formats import ct
from touchplate.formats.bundle import parse_bundle
from touchplate.formats.certificate import parse_certificate
from touchplate.formats.checkpoint import parse_checkpoint
from touchplate.formats.note import parse_note
from touchplate.formats.signing_config import parse_signing_config
from touchplate.formats.timestamp import parse_timestamp_response
from touchplate.formats.timestamp_request import parse_json_request, parse_timestamp_request
from touchplate.formats.trusted_root import parse_trusted_root
from touchplate.keys.signer import generate
from touchplate.oidc.issuers import Authenticator
from touchplate.testing import World
from touchplate.testing.in_process import exchange
from touchplate.testing.world import URL
from touchplate.transport.http import Response
from touchplate.verify import Artifact, identity, verify

VECTORS = Path(__file__).parent.parent / "vectors" / "hostile"
JSON = (("content-type", "application/json"),)
SIGNER = generate("ecdsa-p256")


@dataclass(frozen=True)
class Case:
    """One file of the corpus and what it must lead to."""

    file: Path
    code: str
    status: int

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        return self.file.read_bytes()


def cases(folder: str) -> list[Case]:
    """Give the cases of a format; each file has its line in the index, and the reverse."""
    index = json.loads((VECTORS / folder / "index.json").read_bytes())
    files = {
        each.name
        for each in (VECTORS / folder).iterdir()
        if each.suffix and each.name != "index.json"
    }
    assert files == index.keys()
    return [
        Case(VECTORS / folder / name, row["code"], row.get("status", 0))
        for name, row in index.items()
    ]


def each(folder: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test for each file of a format."""
    found = cases(folder)
    return pytest.mark.parametrize("case", found, ids=[case.file.name for case in found])


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Give one world for all files; it is proven at the end."""
    with World() as world:
        yield world
        world.check()


def check(case: Case, read: Callable[[bytes], object]) -> None:
    """Hold what reads the file to the code."""
    code = ""
    try:
        read(case.data)
    except TouchplateError as error:
        code = error.code
    assert code == case.code


def send(
    world: World, case: Case, path: str, body: bytes, media_type: str = JSON[0][1]
) -> Response:
    """Send a request to the application: the case's status, no trace, and both logs as before."""
    before = sizes(world)
    headers = (("content-type", media_type),)
    answer = asyncio.run(exchange(world.app, "POST", path, body=body, headers=headers))
    assert answer is not None
    assert answer.status == case.status, answer.body
    assert b"Traceback" not in answer.body
    assert len(answer.body) < 2000
    assert sizes(world) == before
    return answer


def sizes(world: World) -> tuple[int, int]:
    """Give the sizes of both logs."""
    return world.deployment.tlog.checkpoint().size, world.deployment.ct.checkpoint().size


@each("bundle")
def test_bundle(case: Case) -> None:
    """Of all the bundles only the good one verifies; each other fails on its own check."""
    root = parse_trusted_root((case.file.parent / "trusted_root").read_bytes())
    policy = identity("maker@example.com", f"{URL}/oidc")
    check(
        case,
        lambda data: verify(parse_bundle(data), Artifact.from_bytes(b"artifact"), policy, root),
    )


@each("trusted_root")
def test_trusted_root(case: Case) -> None:
    """A trusted root is read whole or refused."""
    check(case, parse_trusted_root)


@each("signing_config")
def test_signing_config(case: Case) -> None:
    """A signing config is read whole or refused."""
    check(case, parse_signing_config)


@each("certificate")
def test_certificate(case: Case) -> None:
    """A certificate is DER, whole and nothing more."""
    check(case, parse_certificate)


@each("timestamp_response")
def test_timestamp_response(case: Case) -> None:
    """A timestamp response is DER, whole and nothing more."""
    check(case, parse_timestamp_response)


@each("note")
def test_note(case: Case) -> None:
    """A checkpoint has one spelling."""
    check(case, lambda data: parse_checkpoint(parse_note(data.decode())))


@each("token")
def test_token(world: World, case: Case) -> None:
    """No such token gets a certificate, whatever is proven beside it."""
    authenticator = Authenticator([world.deployment.issuer.as_issuer()])
    text = case.data.decode()
    check(case, lambda _: authenticator.authenticate(text, world.clock()))
    send(world, case, "/api/v2/signingCert", signing_request(text))


def test_cve_2025_66506_a_million_dots(world: World) -> None:
    """A token of a million dots is refused before it is split, with a short answer."""
    case = Case(Path(), "TOKEN_MALFORMED", 400)
    send(world, case, "/api/v2/signingCert", signing_request("." * 1_000_000))


def signing_request(token: str) -> bytes:
    """Give a request for a certificate that has no fault but its token."""
    return json.dumps(
        {
            "credentials": {"oidcIdentityToken": token},
            "publicKeyRequest": {
                "publicKey": {"content": SIGNER.public_key.pem()},
                "proofOfPossession": b64encode(SIGNER.sign(b"maker@example.com")).decode(),
            },
        }
    ).encode()


@each("csr")
def test_csr(world: World, case: Case) -> None:
    """No such signing request gets a certificate, with a token that is good."""
    check(
        case,
        lambda data: check_possession(
            SigningRequest("", data, b"", b""),
            "",
        ),
    )
    for path, header in (("/api/v2/signingCert", True), ("/api/v1/signingCert", False)):
        body = {"certificateSigningRequest": b64encode(case.data).decode()}
        credentials = {"credentials": {"oidcIdentityToken": world.token()}} if header else {}
        before = sizes(world)
        answer = asyncio.run(
            exchange(
                world.app,
                "POST",
                path,
                body=json.dumps({**body, **credentials}).encode(),
                headers=(*JSON, ("authorization", f"Bearer {world.token()}")),
            )
        )
        assert answer is not None
        assert answer.status == case.status, answer.body
        assert sizes(world) == before


@each("timestamp_request")
def test_timestamp_request(world: World, case: Case) -> None:
    """No such request is stamped."""
    is_json = case.file.suffix == ".json"
    if case.code not in ("ALGORITHM_REFUSED", "POLICY_OID_REFUSED", "DIGEST_UNSUPPORTED"):
        check(case, parse_json_request if is_json else parse_timestamp_request)
    media_type = "application/json" if is_json else "application/timestamp-query"
    send(world, case, "/api/v1/timestamp", case.data, media_type)


@each("entry_v2")
def test_entry_v2(world: World, case: Case) -> None:
    """No such request is logged."""
    check(case, lambda data: admit_request(data, accept_dsse=True))
    answer = send(world, case, "/api/v2/log/entries", case.data)
    assert json.loads(answer.body)["code"] == 3


@each("entry_v1")
def test_entry_v1(world: World, case: Case) -> None:
    """No such proposed entry is logged."""
    check(case, lambda data: parse_proposed(data).admit())
    send(world, case, "/api/v1/log/entries", case.data)


@each("chain")
def test_chain(world: World, case: Case) -> None:
    """No such chain is logged."""
    if case.code == "REQUEST_MALFORMED":
        check(case, ct.parse_add_chain)
    for path in ("/ct/v1/add-pre-chain", "/ct/v1/add-chain"):
        send(world, case, path, case.data)


def large(name: str) -> bytes:
    """Give a hostile input that is too large to be a file."""
    entry = json.loads((VECTORS.parent / "entries/hashedrekord_v002/request.json").read_bytes())
    key = entry["hashedRekordRequestV002"]["signature"]["verifier"]["publicKey"]
    line = f"— log.example {b64encode(bytes(68)).decode()}\n"
    match name:
        case "entry_v2":
            key["rawBytes"] = "A" * 80_000
            return json.dumps(entry).encode()
        case "entry_v1":
            return b'{"kind":"' + b"a" * (16 << 20) + b'"}'
        case "note":
            return f"log.example\n1\n{b64encode(bytes(32)).decode()}\n\n{line * 1000}".encode()
        case "timestamp_request":
            return b"\x30\x83\x01\x00\x00" + bytes(65_536)
        case "csr":
            return b"\n" * 70_000
        case "chain":
            return b'{"chain":["' + b"A" * 512_000 + b'"]}'
    return b"{" + b" " * (128 << 20) + b"}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "read", "code"),
    [
        ("bundle", parse_bundle, "LIMIT_EXCEEDED"),
        ("trusted_root", parse_trusted_root, "LIMIT_EXCEEDED"),
        ("signing_config", parse_signing_config, "LIMIT_EXCEEDED"),
        ("certificate", parse_certificate, "CERTIFICATE_MALFORMED"),
        ("timestamp_response", parse_timestamp_response, "TIMESTAMP_MALFORMED"),
        ("timestamp_request", parse_timestamp_request, "TIMESTAMP_MALFORMED"),
        ("timestamp_request_json", parse_json_request, "LIMIT_EXCEEDED"),
        ("note", lambda data: parse_note(data.decode()), "LIMIT_EXCEEDED"),
        ("entry_v2", admit_request, "LIMIT_EXCEEDED"),
        ("entry_v1", parse_proposed, "LIMIT_EXCEEDED"),
        ("chain", ct.parse_add_chain, "LIMIT_EXCEEDED"),
        (
            "csr",
            lambda data: check_possession(SigningRequest("", data, b"", b""), ""),
            "REQUEST_MALFORMED",
        ),
    ],
)
def test_large(name: str, read: Callable[[bytes], object], code: str) -> None:
    """What is larger than its format allows is refused before any work."""
    with pytest.raises(TouchplateError) as refused:
        read(large(name))
    assert refused.value.code == code
