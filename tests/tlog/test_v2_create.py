"""Requests that come in one turn of the event loop: each gets the answer it would get alone."""

import json
from base64 import b64decode
from collections.abc import Callable
from random import Random

import pytest

from tests.tlog.service import Service
from touchplate.formats.bundle import parse_entry

ENTRIES = "/api/v2/log/entries"

Requests = Callable[[int], list[bytes]]


def without_member(request: bytes, name: str) -> bytes:
    """Take a member out of the request."""
    value = json.loads(request)
    del value["hashedRekordRequestV002"][name]
    return json.dumps(value).encode()


def with_other_digest(request: bytes) -> bytes:
    """Have the signature be over something else."""
    value = json.loads(request)
    value["hashedRekordRequestV002"]["digest"] = "A" * 43 + "="
    return json.dumps(value).encode()


@pytest.mark.parametrize("seed", range(3))
def test_mixed(service: Service, requests_v2: Requests, seed: int) -> None:
    """Good and bad ones in any order: who fails at a step does so alone, and as if alone."""
    good = requests_v2(12)
    wrong = [
        b"{",
        b"[]",
        b'{"hashedRekordRequestV002":{}}',
        *(without_member(each, "digest") for each in good[:2]),
        *(with_other_digest(each) for each in good[2:6]),
    ]
    sent = [*good, *wrong]
    Random(seed).shuffle(sent)

    answers = service.call_all("POST", ENTRIES, sent)

    alone = {body: service.call("POST", ENTRIES, body) for body in wrong}
    taken = set()
    for body, answer in zip(sent, answers, strict=True):
        if body in alone:
            assert answer.status == 400
            assert answer.body == alone[body].body
        else:
            assert answer.status == 201
            entry = parse_entry(answer.body)
            asked = json.loads(body)["hashedRekordRequestV002"]
            held = json.loads(entry.body)["spec"]["hashedRekordV002"]
            assert held["signature"]["content"] == asked["signature"]["content"]
            assert b64decode(held["data"]["digest"]) == b64decode(asked["digest"])
            taken.add(entry.log_index)
    assert taken == set(range(len(good)))


def test_bug_in_one(service: Service, requests_v2: Requests) -> None:
    """A fault of ours costs the answer of the request that it meets, and not the others'."""
    met = iter((None, RuntimeError("ours"), None))

    def limit(_body: bytes) -> None:
        fault = next(met)
        if fault is not None:
            raise fault

    service.log.limit = limit
    answers = service.call_all("POST", ENTRIES, requests_v2(3))

    assert sorted(answer.status for answer in answers) == [201, 201, 500]
    service.log.limit = None
