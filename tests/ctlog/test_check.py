"""Entries of the log held to the profile: good ones pass, each planted fault is named."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from tests.ctlog.places import Place
from touchplate.cli.__main__ import main
from touchplate.ctlog.check import check_record
from touchplate.errors import VerificationError
from touchplate.formats import certificate_builder as build
from touchplate.formats import ct
from touchplate.formats.certificate import PRECERT_POISON, parse_certificate, parse_pem_certificates
from touchplate.server.data import DataFolder
from touchplate.server.opening import open_deployment
from touchplate.server.settings import ServeSettings, parse_origin
from touchplate.transport.asgi import Request

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def record(place: Place) -> bytes:
    """Log a precertificate; give its entry."""
    place.log.submit_own(place.precertificate().chain).result(10)
    found = place.log.log.entry(0)
    assert found is not None
    return found.record


def test_good(place: Place) -> None:
    """What the authority issued and the log took is as it should be, final certificates too."""
    precertificate = place.precertificate()
    promised = place.log.submit_own(precertificate.chain).result(10)
    chain = (precertificate.with_sct(promised), *precertificate.chain[1:])
    place.log.submit(chain, precertificate=False).result(10)
    for index in (0, 1):
        entry = place.log.log.entry(index)
        assert entry is not None
        assert check_record(entry.record, place.log.issuer)


def test_planted(place: Place) -> None:
    """An entry that is of another key or certificate than it seems, or has no index, is named."""
    leaf = ct.parse_tile_leaf(record(place))
    other = parse_certificate(place.precertificate(1).der).tbs_without(PRECERT_POISON)
    root = sha256(place.authority.chain[-1].der).digest()
    for spoiled, named in (
        (replace(leaf, entry=replace(leaf.entry, issuer_key_hash=bytes(32))), "issuer's key"),
        (replace(leaf, entry=replace(leaf.entry, certificate=other)), "of another certificate"),
        (replace(leaf, entry=replace(leaf.entry, extensions=b"")), "holds no index"),
        (replace(leaf, issuers=()), "names no issuer"),
        (replace(leaf, issuers=(root,)), "not signed by its issuer"),
        (replace(leaf, issuers=(leaf.issuers[0], leaf.issuers[0])), "are no chain"),
    ):
        with pytest.raises(VerificationError, match=named) as caught:
            check_record(spoiled.encode(), place.log.issuer)
        assert caught.value.code == "PROFILE_BROKEN"


def test_issuer_that_no_library_reads(place: Place) -> None:
    """An issuer whose key is nothing has signed nothing, and is named as that."""
    leaf = ct.parse_tile_leaf(record(place))
    odd = build.sign_certificate(
        place.authority.chain[-1].subject_der,
        b"\x30\x00",
        (build.basic_constraints(1),),
        serial=7,
        issuer=place.authority.chain[-1].subject_der,
        validity=(NOW, NOW),
        signer=place.signer,
    )
    spoiled = replace(leaf, issuers=(leaf.issuers[0], sha256(odd).digest()))

    def find_issuer(fingerprint: bytes) -> bytes | None:
        return odd if fingerprint == spoiled.issuers[1] else place.log.issuer(fingerprint)

    with pytest.raises(VerificationError, match="are no chain") as caught:
        check_record(spoiled.encode(), find_issuer)
    assert caught.value.code == "PROFILE_BROKEN"


def test_issuer_missing(place: Place) -> None:
    """An issuer that is not there, or is another, means that the log is damaged."""
    entry = record(place)
    for found in (None, b"another"):
        with pytest.raises(VerificationError) as caught:
            check_record(entry, lambda _, found=found: found)  # type: ignore[misc]  # mypy: default
        assert caught.value.code == "TLOG_INVALID"


@pytest.mark.slow
def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`touchplate ct check` passes a good log, and names the certificate that was planted."""
    from tests.formats import test_leaf_profile as planted

    data = tmp_path / "data"
    with DataFolder.serve(data) as folder:
        origin = parse_origin("https://sign.example.org")
        settings = ServeSettings(data)
        deployment = open_deployment(
            folder, origin, follows=False, settings=settings, now=lambda: NOW
        )
        assert main(["ct", "check", "--data", str(data)]) == 0
        assert "ct: whole: 0 entries" in capsys.readouterr().out

        issuing, root = parse_pem_certificates((folder.find_chain("ca") or b"").decode())
        signer = folder.load_key("ca")
        certificate = planted.make(
            {"authority key": build.authority_key_identifier(build.key_identifier(issuing.spki))},
            issuer=issuing.subject_der,
            life=2 * planted.LIFE,
            signer=signer,
        )
        (route,) = (each for each in deployment.routes if each.pattern == "/ct/v1/add-pre-chain")
        body = ct.encode_add_chain((certificate, issuing.der, root.der))

        async def add() -> int:
            return (await route.handler(Request("POST", route.pattern, body=body))).status

        assert asyncio.run(add()) == 200
        deployment.close()
    assert main(["ct", "check", "--data", str(data), "--jobs", "1"]) == 1
    assert "ct: entry 0: PROFILE_BROKEN: it is valid for 1200 s" in capsys.readouterr().out
    assert main(["ct", "check", "--data", str(data), "--json"]) == 1
    (log,) = json.loads(capsys.readouterr().out)["logs"]
    assert (log["whole"], log["size"], len(log["faults"])) == (False, 1, 1)
