"""Precertificate, promise and certificate as one transaction: what fails leaves no certificate."""

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from cryptography import x509

from tests.ca.faults import CTL_TEXT
from tests.ca.places import EMAIL, KEY, NOW, TOKEN, Office, as_json, open_office, v2_body
from tests.ctlog.places import ORIGIN, new_authority
from touchplate.ca.issue import Issued
from touchplate.ca.request import parse_v2
from touchplate.ca.routes import routes
from touchplate.ca.settings import IssueSettings
from touchplate.ctlog import CertificateLog, tile_log_settings
from touchplate.errors import UnavailableError
from touchplate.formats.certificate import SCT_LIST, parse_certificate
from touchplate.formats.sct import SignedCertificateTimestamp, parse_sct_list
from touchplate.keys.signer import generate
from touchplate.storage.database import LogTransaction
from touchplate.storage.memory import MemoryLog
from touchplate.storage.objects import MemoryObjects
from touchplate.tilelog.log import TileLog
from touchplate.transport.asgi import Request

V2 = "/api/v2/signingCert"
REQUEST = parse_v2(as_json(v2_body()), "")


class FragileLog(MemoryLog):
    """A database that fails before it commits, or after it did."""

    fails = ""

    @contextmanager
    def transaction(self) -> Iterator[LogTransaction]:
        """Commit, or not, and fail."""
        if self.fails == "before":
            raise UnavailableError("STORAGE_UNAVAILABLE", "the disk is full")
        with super().transaction() as found:
            yield found
        if self.fails == "after":
            raise UnavailableError("STORAGE_UNAVAILABLE", "the answer was lost")


@pytest.fixture
def fragile() -> Iterator[tuple[Office, FragileLog]]:
    """Give an office over a log that can fail; the log is proven afterwards."""
    office = open_office()
    office.place.log.log.close()
    database, objects, clock = FragileLog(), MemoryObjects(), office.place.clock
    signer = office.place.signer
    tiles = TileLog(tile_log_settings(signer, ORIGIN, clock), database, objects)
    roots = [office.place.authority.chain[-1].der]
    log = CertificateLog(tiles, signer, origin=ORIGIN, roots=roots, objects=objects)
    office.place = replace(office.place, log=log)
    office.issuance = replace(office.issuance, submit=log.submit_own)
    yield office, database
    database.fails = ""
    tiles.check()
    tiles.close()


def ask(office: Office) -> tuple[int, Any]:
    """Ask for a certificate."""
    found = office.call("POST", V2, as_json(v2_body()))
    return found.status, json.loads(found.body)


@pytest.mark.parametrize(("fails", "logged"), [("before", 0), ("after", 1)])
def test_log_fails(fragile: tuple[Office, FragileLog], fails: str, logged: int) -> None:
    """When the commit fails, or is not known to have happened, nothing is handed out.

    Afterwards the authority recovers by itself.
    """
    office, database = fragile
    database.fails = fails
    status, body = ask(office)

    assert (status, body["message"]) == (500, CTL_TEXT)
    database.fails = ""
    assert ask(office)[0] == 200
    assert office.place.log.log.committed().size == logged + 1


def test_handed_out_means_integrated(office: Office) -> None:
    """Whatever certificate leaves, its precertificate is under the log's checkpoint already."""
    for _ in range(3):
        draft = office.issuance.draft(REQUEST)
        sct = office.issuance.submit(draft.chain).result(10)
        issued = draft.finish(sct)
        index = office.place.log.log.checkpoint().size - 1
        stored = office.place.log.log.entry(index)
        assert stored is not None
        leaf = parse_certificate(issued.leaf)
        assert leaf.tbs_without(SCT_LIST) in stored.record
        assert parse_sct_list(leaf.extensions[SCT_LIST].value) == (sct,)


def test_deadline(office: Office) -> None:
    """A log that does not answer in time gives the log's fault, in that time."""
    office.issuance = replace(office.issuance, submit=lambda _: Future(), max_log_seconds=0.05)
    status, body = ask(office)

    assert (status, body["message"]) == (500, CTL_TEXT)
    with pytest.raises(UnavailableError):
        office.issuance.issue(REQUEST)


@pytest.mark.slow
def test_each_has_its_own_deadline(office: Office) -> None:
    """Requests that wait together are told at their own time, and none before."""
    office.issuance = replace(office.issuance, submit=lambda _: Future(), max_log_seconds=0.5)
    (route, *_) = routes(office.issuance, lambda: office.authenticator.issuers)
    request = Request("POST", V2, body=as_json(v2_body()))

    async def ask_after(seconds: float) -> tuple[int, float]:
        await asyncio.sleep(seconds)
        began = time.monotonic()
        answer = await asyncio.wait_for(route.handler(request), 60)
        return answer.status, time.monotonic() - began

    async def ask_all() -> list[tuple[int, float]]:
        return list(await asyncio.gather(*map(ask_after, (0, 0.2, 0.3))))

    answers = asyncio.run(ask_all())
    assert [status for status, _ in answers] == [500] * 3
    # A timer's resolution is a millisecond.
    assert min(waited for _, waited in answers) > 0.49


def test_same_promise_again(office: Office) -> None:
    """A chain that is submitted again has one entry and one promise: same time, same index."""
    draft = office.issuance.draft(REQUEST)
    first = office.issuance.submit(draft.chain).result(10)
    office.place.clock.now_ms += 60_000
    again = office.issuance.submit(draft.chain).result(10)

    assert first[:3] == again[:3]
    assert office.place.log.tree_head().size == 1
    for sct in (first, again):
        x509.load_der_x509_certificate(draft.finish(sct).leaf)


def test_dies_before_the_log(office: Office) -> None:
    """Who dies after the precertificate was signed leaves nothing; the next try is another one."""
    lost = office.issuance.draft(REQUEST)
    issued = office.issuance.issue(REQUEST)

    assert office.place.log.tree_head().size == 1
    assert parse_certificate(issued.leaf).serial != parse_certificate(lost.chain[0]).serial


def test_dies_after_the_log(office: Office) -> None:
    """Who dies between the promise and the certificate leaves an entry, and the log stays whole."""
    draft = office.issuance.draft(REQUEST)
    office.issuance.submit(draft.chain).result(10)
    office.place.log.log.check()

    assert office.issuance.issue(REQUEST).is_embedded
    assert office.place.log.tree_head().size == 2


def test_key_rotates_between(office: Office) -> None:
    """Precertificate and certificate are signed by one authority, though another issues by then."""
    draft = office.issuance.draft(REQUEST)
    other = new_authority()
    office.issuance = replace(office.issuance, authority=lambda: other)
    issued = draft.finish(office.issuance.submit(draft.chain).result(10))

    above = [x509.load_der_x509_certificate(der) for der in (issued.leaf, *issued.chain)]
    above[0].verify_directly_issued_by(above[1])
    assert issued.chain == tuple(each.der for each in office.place.authority.chain)
    assert issued.chain[0] != other.issuing.der


@pytest.mark.parametrize("spoilt", ["log", "signature", "time", "extensions"])
def test_wrong_promise(office: Office, spoilt: str) -> None:
    """The promise of a log that is elsewhere is verified; a wrong one becomes no certificate."""
    key = office.place.signer.public_key
    right = office.place.log.submit_own

    def wrong(chain: tuple[bytes, ...]) -> "Future[SignedCertificateTimestamp]":
        sct = right(chain).result(10)
        changes: dict[str, dict[str, Any]] = {
            "log": {"log_id": bytes(32)},
            "signature": {"signature": generate().sign(b"")},
            "time": {"timestamp_ms": sct.timestamp_ms + 1},
            "extensions": {"extensions": b""},
        }
        future: Future[SignedCertificateTimestamp] = Future()
        future.set_result(sct._replace(**changes[spoilt]))
        return future

    office.issuance = replace(office.issuance, log_key=key)
    assert ask(office)[0] == 200
    office.issuance = replace(office.issuance, submit=wrong)
    status, body = ask(office)
    assert (status, body["message"]) == (500, CTL_TEXT)


@pytest.mark.parametrize("form", ["detached", "none"])
def test_other_forms(office: Office, form: Any) -> None:
    """Without an embedded promise no precertificate is ever signed; detached is logged first."""
    office.issuance = replace(
        office.issuance,
        submit=partial(office.place.log.submit, precertificate=False),
        settings=IssueSettings(sct=form),
    )
    issued: Issued = office.issuance.issue(REQUEST)

    assert (issued.sct is None) == (form == "none")
    assert not issued.is_embedded
    assert office.place.log.tree_head().size == (0 if form == "none" else 1)
    answer = office.call(
        "POST",
        "/api/v1/signingCert",
        as_json(
            {
                "publicKey": {"content": _b64(KEY.public_key.spki)},
                "signedEmailAddress": _b64(KEY.sign(EMAIL.encode())),
            }
        ),
        f"Bearer {TOKEN}",
    )
    assert answer.status == 201
    assert ("SCT" in dict(answer.headers)) == (form == "detached")
    assert NOW.replace(microsecond=0) == parse_certificate(issued.leaf).not_before


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
