"""Kinds that only old logs hold: their leaves keep their bytes, and are read like any other."""

import json
from base64 import b64decode
from pathlib import Path

import pytest

from tests.tlog.clients import ENTRIES, check_entry, fault
from tests.tlog.service import Service
from touchplate.entries.admission import Admitted
from touchplate.entries.proposed import KNOWN_KINDS, WRITABLE_KINDS
from touchplate.merkle.tree import leaf_hash
from touchplate.storage.objects import MemoryObjects
from touchplate.tilelog.bundle import record_data, split_records
from touchplate.tlog import Attestations

VECTORS = Path(__file__).resolve().parent.parent / "vectors" / "historic"
BODIES = sorted(VECTORS.glob("*.json"))


@pytest.fixture
def imported(service: Service) -> Service:
    """A log that got its leaves from another log, in order; it also keeps attestations."""
    service.attestations = Attestations(MemoryObjects(), 1000)
    service.restart()
    for path in BODIES:
        body = path.read_bytes()
        members = json.loads(body)
        admitted = Admitted(members["kind"], members["apiVersion"], body)
        service.tiles.append(service.log.submission(admitted)).result(10)
    return service


def test_each_kind_is_here() -> None:
    """Each kind that is not taken has an example."""
    kinds = {json.loads(path.read_bytes())["kind"] for path in BODIES}
    assert kinds - {"rekord"} == KNOWN_KINDS - WRITABLE_KINDS


def test_read(imported: Service) -> None:
    """By index, UUID and query: the body is the leaf, byte for byte, and is proven."""
    for index, path in enumerate(BODIES):
        body = path.read_bytes()
        uuid = leaf_hash(body).hex()
        query = {"entryUUIDs": [uuid], "logIndexes": [index]}
        found = json.loads(imported.call("POST", f"{ENTRIES}/retrieve", query).body)
        for answer in (
            imported.get(f"{ENTRIES}?logIndex={index}"),
            imported.get(f"{ENTRIES}/{uuid}"),
            *found,
        ):
            ((name, entry),) = answer.items()
            assert check_entry(imported, name, entry) == body
            assert b64decode(entry["body"]) == body


def test_tiles(imported: Service) -> None:
    """They are in the entry bundles too, unchanged."""
    data = imported.call("GET", f"/tile/entries/000.p/{len(BODIES)}").body
    bodies = [record_data(record) for record in split_records(data)]
    assert bodies == [path.read_bytes() for path in BODIES]


@pytest.mark.parametrize("path", BODIES, ids=[path.stem for path in BODIES])
def test_not_taken(service: Service, path: Path) -> None:
    """As a new entry each is refused, with words that say what is the matter."""
    body = path.read_bytes()
    status, _, message = fault(service.call("POST", ENTRIES, body))
    kind = json.loads(body)["kind"]
    expected = f"entry kind '{kind}' is not enabled for submission on this server"
    if kind == "rekord":
        expected = "error processing entry: data.content must be specified"
    assert (status, message) == (400, expected)
    status, _, message = fault(
        service.call("POST", f"{ENTRIES}/retrieve", {"entries": [json.loads(body)]})
    )
    assert status == 400
    assert service.tiles.checkpoint().size == 0
