"""In-toto statements."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import MalformedError
from touchplate.formats.statement import Subject, encode_statement, parse_statement

GOOD: dict[str, Any] = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "a", "digest": {"sha256": "00", "gitCommit": "11"}}],
    "predicateType": "https://example.test/p/v1",
    "predicate": {"score": 9.8},
}


def test_read() -> None:
    """A statement has a type, subjects and a predicate, whose form is its own affair."""
    found = parse_statement(json.dumps(GOOD).encode())

    assert found.predicate_type == "https://example.test/p/v1"
    assert found.predicate == {"score": 9.8}
    [subject] = found.subjects
    assert (subject.name, dict(subject.digests)) == ("a", {"sha256": "00", "gitCommit": "11"})


def test_there_and_back() -> None:
    """What is written is read."""
    subjects = (Subject("\u00e9", {"sha256": "00" * 32}), Subject("", {"sha512": "11" * 64}))
    found = parse_statement(encode_statement(subjects, "https://example.test/p", {"a": [1]}))

    assert [(s.name, dict(s.digests)) for s in found.subjects] == [
        (s.name, dict(s.digests)) for s in subjects
    ]
    assert (found.predicate_type, found.predicate) == ("https://example.test/p", {"a": [1]})


def test_old_type_and_no_predicate() -> None:
    """The older type is read, and a statement may have no predicate."""
    members = {**GOOD, "_type": "https://in-toto.io/Statement/v0.1"}
    del members["predicate"]

    assert parse_statement(json.dumps(members).encode()).predicate is None


def test_at_the_limits() -> None:
    """As many subjects, and digests of one, as are allowed."""
    digests = {str(number): "00" for number in range(32)}
    members = {**GOOD, "subject": [{"digest": digests}] * 1024}

    assert len(parse_statement(json.dumps(members).encode()).subjects) == 1024


@pytest.mark.parametrize(
    "changes",
    [
        {"_type": None},
        {"_type": "https://in-toto.io/Statement/v2"},
        {"predicateType": None},
        {"predicateType": ""},
        {"predicateType": 1},
        {"predicate": []},
        {"subject": None},
        {"subject": []},
        {"subject": {}},
        {"subject": [1]},
        {"subject": [{}]},
        {"subject": [{"digest": {}}]},
        {"subject": [{"digest": []}]},
        {"subject": [{"digest": {"sha256": 1}}]},
        {"subject": [{"name": 1, "digest": {"sha256": "00"}}]},
        {"subject": [{"digest": {"sha256": "00"}}] * 1025},
        {"subject": [{"digest": {str(n): "00" for n in range(33)}}]},
    ],
)
def test_refused(changes: dict[str, Any]) -> None:
    """Each rule of a statement."""
    with pytest.raises(MalformedError) as caught:
        parse_statement(json.dumps({**GOOD, **changes}).encode())
    assert caught.value.code == "STATEMENT_INVALID"


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_noise(data: bytes) -> None:
    """Noise is refused with our own error."""
    with pytest.raises(MalformedError):
        parse_statement(data)
