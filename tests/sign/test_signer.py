from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from touchplate.errors import (
    MalformedError,
    RefusedError,
    TouchplateError,
    UnavailableError,
    VerificationError,
)
from touchplate.formats.bundle import CertificateMaterial, Envelope, parse_bundle
from touchplate.formats.signing_config import Selector
from touchplate.formats.trusted_root import TrustedRoot
from touchplate.sign import Signer, connect
from touchplate.sign.services import Services
from touchplate.testing import World
from touchplate.transport.http import Response
from touchplate.verify import Artifact, identity, verify

if TYPE_CHECKING:
    from tests.sign.conftest import Meddler

ARTIFACT = Artifact.from_bytes(b"release")


def services(world: World, meddler: Meddler, version: int | None = None) -> Services:
    """Choose the world's services, reached through the meddler."""
    return connect(
        world.signing_config, world.trusted_root, meddler, world.clock(), tlog_version=version
    )


def signer(world: World, meddler: Meddler, version: int | None = None) -> Signer:
    """Give a signer through the meddler."""
    return Signer(services(world, meddler, version), world.token(), world.clock)


def status(code: int) -> Response:
    """Answer with nothing but a status; an endless Retry-After, so that nobody waits."""
    return Response(code, (("Retry-After", "999"),), b"")


@pytest.mark.parametrize("version", [1, 2])
def test_sign(world: World, version: int) -> None:
    """What was signed verifies offline as the token's identity, with either log."""
    signed = world.signer("a@example.com", tlog_version=version).sign(ARTIFACT)

    policy = identity("a@example.com", world.issuer)
    verdict = verify(parse_bundle(signed.encoded), ARTIFACT, policy, world.trusted_root)
    assert verdict.identity == "a@example.com"
    assert {entry.kind_version for entry in verdict.entries} == {f"0.0.{version}"}


def test_bundle_form(world: World) -> None:
    """A bundle is 0.3, with the leaf alone, a timestamp, and the digest of the artifact."""
    bundle = world.signer().sign(ARTIFACT).bundle

    assert bundle.version == "0.3"
    assert isinstance(bundle.material, CertificateMaterial)
    assert bundle.material.chain == ()
    assert len(bundle.timestamps) == 1


@pytest.mark.parametrize("version", [1, 2])
def test_statement_is_byte_exact(world: World, version: int) -> None:
    """The payload is the statement as it was given, with its odd spaces and its last newline."""
    payload = (
        b'{ "predicateType" : "https://example.test/p",\n "_type":"https://in-toto.io/Statement/v1",'
        b'"subject":[{"digest":{"sha256":"'
        + b"ab" * 32
        + b'"}}], "predicate": {"\xc3\xa9": 1.0} }\n\n'
    )

    content = world.signer(tlog_version=version).sign_statement(payload).bundle.content

    assert isinstance(content, Envelope)
    assert content.payload == payload
    assert len(content.signatures) == 1


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b'{"_type":"https://in-toto.io/Statement/v1","predicateType":"p","subject":[]}',
        b'{"_type":"https://in-toto.io/Statement/v1","predicateType":"p",'
        b'"subject":[{"digest":{"sha1":"' + b"ab" * 20 + b'"}}]}',
    ],
)
def test_no_statement(world: World, payload: bytes) -> None:
    """What could never be verified is not signed: nothing is sent."""
    with pytest.raises(MalformedError) as caught:
        world.signer().sign_statement(payload)
    assert caught.value.code == "STATEMENT_INVALID"
    assert world.deployment.tlog.checkpoint().size == 0


def test_one_certificate(world: World, meddler: Meddler) -> None:
    """Many artifacts need one certificate."""
    ours = signer(world, meddler)
    signed = [ours.sign(Artifact.from_bytes(b"%d" % number)) for number in range(3)]

    assert len({each.verdict.certificate for each in signed}) == 1
    assert sum(url.endswith("signingCert") for url in meddler.asked) == 1


def test_certificate_renewed(world: World, meddler: Meddler) -> None:
    """A certificate that is about to end is replaced, with a new key."""
    token = world.token(lifetime=timedelta(hours=1))
    ours = Signer(services(world, meddler), token, world.clock)
    first = ours.sign(ARTIFACT)
    world.clock.advance(timedelta(minutes=9, seconds=30))
    second = ours.sign(ARTIFACT)

    assert first.verdict.key != second.verdict.key


def test_certificate_ends_while_waiting(world: World, meddler: Meddler) -> None:
    """When the certificate ends before the log has the entry, all is done again with a new one."""
    waited: list[Response] = []

    def wait(response: Response) -> Response:
        waited.append(response)
        if len(waited) == 1:
            world.clock.advance(timedelta(minutes=11))
        return response

    meddler.instead["timestamp"] = wait
    token = world.token(lifetime=timedelta(hours=1))
    signed = Signer(services(world, meddler, 1), token, world.clock).sign(ARTIFACT)

    assert signed.bundle.entries[0].log_index == 1
    assert sum(url.endswith("signingCert") for url in meddler.asked) == 2


def test_expired_token(world: World, meddler: Meddler) -> None:
    """With an expired token nothing is sent."""
    token = world.token()
    world.clock.advance(timedelta(minutes=11))
    with pytest.raises(RefusedError) as caught:
        Signer(services(world, meddler), token, world.clock)
    assert caught.value.code == "TOKEN_REFUSED"
    assert meddler.asked == []


def test_foreign_authority(world: World, meddler: Meddler) -> None:
    """A certificate that chains to nobody we trust is not signed with."""
    root = world.trusted_root
    with World() as other:
        mixed = TrustedRoot(
            root.tlogs,
            other.trusted_root.certificate_authorities,
            root.ctlogs,
            root.timestamp_authorities,
        )
        chosen = connect(world.signing_config, mixed, meddler, world.clock())
        with pytest.raises(VerificationError) as caught:
            Signer(chosen, world.token(), world.clock).sign(ARTIFACT)
    assert caught.value.code == "CERT_CHAIN"
    assert not any("timestamp" in url or "entries" in url for url in meddler.asked)


def test_foreign_certificate_log(world: World, meddler: Meddler) -> None:
    """A certificate that no trusted log vouches for is not signed with."""
    root = world.trusted_root
    with World() as other:
        mixed = TrustedRoot(
            root.tlogs,
            root.certificate_authorities,
            other.trusted_root.ctlogs,
            root.timestamp_authorities,
        )
        chosen = connect(world.signing_config, mixed, meddler, world.clock())
        with pytest.raises(VerificationError) as caught:
            Signer(chosen, world.token(), world.clock).sign(ARTIFACT)
    assert caught.value.code == "SCT_INVALID"
    assert not any("timestamp" in url or "entries" in url for url in meddler.asked)


@pytest.mark.parametrize(
    ("part", "code"), [("tlogs", "LOG_UNKNOWN"), ("timestamp_authorities", "TIMESTAMP_INVALID")]
)
def test_foreign_rest(world: World, meddler: Meddler, part: str, code: str) -> None:
    """A bundle that our own trusted root would refuse is never returned."""
    with World() as other:
        mixed = world.trusted_root._replace(**{part: getattr(other.trusted_root, part)})
    chosen = connect(world.signing_config, mixed, meddler, world.clock(), tlog_version=2)
    with pytest.raises(VerificationError) as caught:
        Signer(chosen, world.token(), world.clock).sign(ARTIFACT)
    assert caught.value.code == code
    assert (part == "tlogs") == any(url.endswith("entries") for url in meddler.asked)


def test_required_timestamp(world: World, meddler: Meddler) -> None:
    """Without a timestamp a v2 bundle would be worthless: it is not logged."""
    meddler.instead["timestamp"] = lambda _: status(503)
    with pytest.raises(UnavailableError):
        signer(world, meddler).sign(ARTIFACT)
    assert not any(url.endswith("entries") for url in meddler.asked)


def test_optional_timestamp(world: World, meddler: Meddler) -> None:
    """Where a v1 log says when, a missing timestamp is a warning."""
    config = replace(world.signing_config, tsa_config=Selector("ANY"))
    chosen = connect(config, world.trusted_root, meddler, world.clock(), tlog_version=1)
    meddler.instead["timestamp"] = lambda _: status(503)

    signed = Signer(chosen, world.token(), world.clock).sign(ARTIFACT)

    assert signed.bundle.timestamps == ()
    assert len(signed.warnings) == 1


def test_entry_exists(world: World, meddler: Meddler) -> None:
    """When a v2 log has the entry and does not give it, a new signature is entered."""
    asked = []

    def once(response: Response) -> Response:
        asked.append(response)
        return status(409) if len(asked) == 1 else response

    meddler.instead["entries"] = once
    signed = signer(world, meddler, 2).sign(ARTIFACT)

    assert signed.bundle.entries[0].log_index == 1


def test_entry_exists_twice(world: World, meddler: Meddler) -> None:
    """It is tried anew once, not for ever."""
    meddler.instead["entries"] = lambda _: status(409)
    with pytest.raises(RefusedError) as caught:
        signer(world, meddler, 2).sign(ARTIFACT)
    assert caught.value.code == "ENTRY_EXISTS"


@pytest.mark.slow
def test_lost_answer(world: World, meddler: Meddler) -> None:
    """An answer that got lost is asked for again, and gives one entry."""
    seen = []

    def lose_first(response: Response) -> Response:
        seen.append(response)
        return Response(503, (("Retry-After", "0"),), b"") if len(seen) == 1 else response

    meddler.instead["entries"] = lose_first
    signed = signer(world, meddler, 2).sign(ARTIFACT)

    assert signed.bundle.entries[0].log_index == 0
    assert world.deployment.tlog.checkpoint().size == 1


def test_swapped_entries(world: World, meddler: Meddler) -> None:
    """A log that answers with the entry before is noticed before anything is returned."""
    kept: list[Response] = []

    def swap(response: Response) -> Response:
        kept.append(response)
        return kept[0]

    meddler.instead["entries"] = swap
    ours = signer(world, meddler)
    ours.sign(ARTIFACT)
    with pytest.raises(TouchplateError) as caught:
        ours.sign(ARTIFACT)
    assert caught.value.code.startswith("ENTRY_")


def test_token_goes_to_the_authority_only(world: World) -> None:
    """Neither log nor timestamp authority sees the token, and no repr or bundle shows it."""
    sent: list[tuple[str, bytes]] = []
    token = world.token()

    class Watching:
        """Notes all that is sent."""

        def request(self, method: str, url: str, **options: object) -> Response:
            sent.append((url, repr((method, options)).encode()))
            return world.transport.request(method, url, **options)  # type: ignore[arg-type]

    chosen = connect(world.signing_config, world.trusted_root, Watching(), world.clock())
    ours = Signer(chosen, token, world.clock)
    signed = ours.sign(ARTIFACT)

    assert [url for url, what in sent if token.encode() in what] == [
        world.url + "/api/v2/signingCert"
    ]
    assert token not in repr(ours)
    assert token.split(".")[2].encode() not in signed.encoded
    assert json.loads(signed.encoded)["mediaType"].endswith("v0.3+json")
