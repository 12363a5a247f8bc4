"""Payloads kept beside the log: which, for how long an answer waits for them, and what if not."""

import json
import logging
from base64 import b64decode
from collections.abc import Callable, Iterator
from time import monotonic, sleep
from typing import Any

import pytest

from tests.entries.worked import PAYLOAD
from tests.tlog.clients import ENTRIES, check_entry, create
from tests.tlog.service import Service
from touchplate.errors import UnavailableError
from touchplate.storage.objects import MemoryObjects
from touchplate.tlog import Attestations

Worked = Callable[[str], bytes]


class Store(MemoryObjects):
    """An object store that can fail."""

    fails = False

    def put(self, key: str, data: bytes) -> None:
        """Store, or fail."""
        self._check()
        super().put(key, data)

    def get(self, key: str) -> bytes | None:
        """Read, or fail."""
        self._check()
        return super().get(key)

    def _check(self) -> None:
        if self.fails:
            raise UnavailableError("STORAGE_UNAVAILABLE", "the bucket is on fire")


@pytest.fixture
def store() -> Store:
    """An empty store."""
    return Store()


@pytest.fixture
def keeping(store: Store) -> Iterator[Service]:
    """A log that keeps payloads of up to 300 bytes."""
    made = Service()
    made.attestations = Attestations(store, 300)
    made.restart()
    yield made
    made.close()


def attested(service: Service, name: str, seconds: float = 5) -> bytes | None:
    """Give the attestation of an entry, which is written after the answer; None after a while."""
    end = monotonic() + seconds
    while True:
        entry = service.get(f"{ENTRIES}/{name}")[name]
        check_entry(service, name, entry)
        if "attestation" in entry:
            assert next(iter(entry)) == "attestation"  # as upstream sorts them
            return b64decode(entry["attestation"]["data"])
        if monotonic() > end:
            return None
        sleep(0.01)


@pytest.mark.parametrize("folder", ["intoto_v001", "intoto_v002"])
def test_kept(keeping: Service, worked: Worked, folder: str) -> None:
    """The payload of an intoto entry comes with it, from every way to read it."""
    name = create(keeping, worked(f"{folder}/request.json"))
    assert attested(keeping, name) == PAYLOAD
    (by_index,) = keeping.get(f"{ENTRIES}?logIndex=0").values()
    response = keeping.call("POST", f"{ENTRIES}/retrieve", {"logIndexes": [0]})
    ((retrieved,),) = [entry.values() for entry in json.loads(response.body)]
    for entry in (by_index, retrieved):
        assert b64decode(entry["attestation"]["data"]) == PAYLOAD


def test_not_in_the_answer(keeping: Service, worked: Worked) -> None:
    """The 201 has none, for it is not written yet; neither has the same entry again."""
    for _ in range(2):
        response = keeping.call("POST", ENTRIES, worked("intoto_v002/request.json"))
        assert b'"attestation"' not in response.body


@pytest.mark.parametrize("folder", ["dsse_v001", "hashedrekord_v001", "rekord_v001"])
def test_other_kinds(keeping: Service, worked: Worked, folder: str) -> None:
    """Entries of other kinds have none."""
    name = create(keeping, worked(f"{folder}/request.json"))
    assert attested(keeping, name, seconds=0.05) is None


def test_too_large(store: Store, worked: Worked) -> None:
    """A payload above the limit is not kept, and its entry is logged."""
    service = Service()
    service.attestations = Attestations(store, len(PAYLOAD) - 1)
    service.restart()
    name = create(service, worked("intoto_v002/request.json"))
    assert attested(service, name, seconds=0.05) is None
    service.close()


def test_store_fails(
    keeping: Service, store: Store, worked: Worked, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that fails costs the attestation and not the entry, and the operator is told."""
    store.fails = True
    with caplog.at_level(logging.WARNING):
        name = create(keeping, worked("intoto_v002/request.json"))
        assert attested(keeping, name, seconds=0.05) is None
    assert {
        "could not be kept" in text or "cannot be read" in text for text in caplog.messages
    } == {True}
    store.fails = False
    create(keeping, worked("intoto_v002/request.json"))
    assert attested(keeping, name) == PAYLOAD


def test_another_payload(
    keeping: Service, store: Store, worked: Worked, caplog: pytest.LogCaptureFixture
) -> None:
    """What the store gives must have the hash that is in the leaf."""
    name = create(keeping, worked("intoto_v002/request.json"))
    assert attested(keeping, name) == PAYLOAD
    (key,) = store._objects
    store.replace(key, b"something else")
    assert attested(keeping, name, seconds=0.05) is None
    assert "is not the one in its leaf" in caplog.text


def test_off(service: Service, worked: Worked) -> None:
    """Without the option nothing is kept."""
    name = create(service, worked("intoto_v002/request.json"))
    entry: dict[str, Any] = service.get(f"{ENTRIES}/{name}")[name]
    assert "attestation" not in entry
