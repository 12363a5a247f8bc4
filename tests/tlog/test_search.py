"""`POST /api/v1/index/retrieve`: which keys a query asks for, and what it answers."""

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tlog.clients import ENTRIES, create, fault
from tests.tlog.service import Service
from touchplate.formats.jsontext import Fields
from touchplate.keys.pem import encode_pem
from touchplate.keys.signer import generate
from touchplate.tlog.search import MAX_FOUND, read_keys

SEARCH = "/api/v1/index/retrieve"
DIGEST = "ab" * 32


class Table:
    """An index that is a table."""

    def __init__(self) -> None:
        self.rows: dict[str, set[tuple[int, int]]] = {}

    def __call__(self, keys: tuple[str, ...], all_of: bool) -> Sequence[tuple[int, int]]:
        """Find as `Search` does; an entry that two keys lead to comes twice, as it may."""
        found = [self.rows.get(key, set()) for key in keys]
        if all_of:
            return list(set.intersection(*found))
        return [place for places in found for place in places]


@pytest.fixture(scope="module")
def table() -> Table:
    """An empty index."""
    return Table()


@pytest.fixture(scope="module")
def searched(table: Table) -> Iterator[Service]:
    """A log with this index."""
    made = Service()
    made.search = table
    made.restart()
    yield made
    made.close()


def search(service: Service, query: object) -> list[str]:
    """Search, and give the names found, sorted."""
    response = service.call("POST", SEARCH, query)
    assert response.status == 200, response.body
    return sorted(json.loads(response.body))


def test_found(searched: Service, table: Table, envelopes: list[Any]) -> None:
    """Any of the members, or all of them with the operator; each entry is named once."""
    names = [create(searched, request) for request in envelopes[:3]]
    tree = searched.key.tree_id
    table.rows = {
        f"sha256:{DIGEST}": {(tree, 0), (tree, 1), (1, 0), (tree, 99)},
        "maker@example.com": {(tree, 1), (tree, 2)},
    }
    digest, email = {"hash": DIGEST.upper()}, {"email": "Maker@Example.com"}
    assert search(searched, digest) == sorted(names[:2])
    assert search(searched, {"subject": "MAKER@example.com"}) == sorted(names[1:])
    assert search(searched, digest | email) == sorted(names)
    assert search(searched, digest | email | {"operator": "or"}) == sorted(names)
    assert search(searched, digest | email | {"operator": "and"}) == [names[1]]
    for name in names:
        assert name in searched.get(f"{ENTRIES}/{name}")


@pytest.mark.parametrize("query", [{}, {"hash": None}, {"hash": ""}, {"operator": "and"}])
def test_nothing_asked(searched: Service, query: object) -> None:
    """A query without any key finds nothing, and not everything."""
    assert searched.call("POST", SEARCH, query).body == b"[]\n"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("AB" * 32, "sha256:" + "ab" * 32),
        ("sha256:" + "AB" * 32, "sha256:" + "ab" * 32),
        ("ab" * 20, "sha1:" + "ab" * 20),
        ("sha1:" + "ab" * 20, "sha1:" + "ab" * 20),
        ("ab" * 64, "sha512:" + "ab" * 64),
        ("sha512:" + "ab" * 64, "sha512:" + "ab" * 64),
    ],
)
def test_hash(text: str, key: str) -> None:
    """The prefix of a hash follows from its length."""
    assert read_keys(Fields({"hash": text}, error="REQUEST_MALFORMED")) == (key,)


def test_public_key() -> None:
    """A key is looked for by the hash of its canonical form, however it is written, no prefix."""
    pem = encode_pem("PUBLIC KEY", generate().public_key.spki)
    content = b64encode(b"\n" + pem.replace(b"\n", b"\r\n")).decode()
    query = {"publicKey": {"format": "x509", "content": content}}
    found = read_keys(Fields(query, error="REQUEST_MALFORMED"))
    assert found == (sha256(pem).hexdigest(),)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"hash": "ab" * 48}, 422, 605),  # no sha384
        ({"hash": "sha384:" + "ab" * 48}, 422, 605),
        ({"hash": "ab" * 32 + "\n"}, 422, 605),
        ({"hash": "xyz"}, 422, 605),
        ({"hash": 5}, 400, 400),
        ({"email": "nobody"}, 422, 601),
        ({"subject": "a" * 513}, 422, 603),
        ({"operator": "xor"}, 422, 606),
        ({"publicKey": {}}, 422, 602),
        ({"publicKey": {"format": "pem"}}, 422, 606),
        ({"publicKey": {"format": "x509"}}, 400, 400),
        ({"publicKey": {"format": "x509", "content": "AAAA"}}, 400, 400),
        ({"publicKey": {"format": "pgp", "content": "AAAA"}}, 400, 400),
        ({"publicKey": {"format": "tuf", "content": "AAAA"}}, 400, 400),
        ({"publicKey": "x"}, 400, 400),
        (b"{", 400, 400),
        (b"[]", 400, 400),
        (b" ", 422, 602),
    ],
)
def test_bad_query(searched: Service, query: object, status: int, code: int) -> None:
    """Each rule of the schema has its own code."""
    assert fault(searched.call("POST", SEARCH, query))[:2] == (status, code)


def test_key_that_cannot_be_read(searched: Service) -> None:
    """The answer begins as upstream's."""
    query = {"publicKey": {"format": "x509", "content": "AAAA"}}
    message = fault(searched.call("POST", SEARCH, query))[2]
    assert message.startswith("public key provided could not be parsed")


@pytest.mark.parametrize("form", ["pgp", "tuf"])
def test_key_of_a_format_that_is_not_read(searched: Service, form: str) -> None:
    """It says so, and names the formats that are."""
    query = {"publicKey": {"format": form, "content": "AAAA"}}
    message = fault(searched.call("POST", SEARCH, query))[2]
    assert message == (
        "public key provided could not be parsed: public keys of this format are not read here "
        f"(expected minisign, ssh, x509) (found {form})"
    )


def test_too_many(searched: Service, table: Table) -> None:
    """What would be too long an answer is refused, and not cut off silently."""
    table.rows = {f"sha256:{DIGEST}": {(1, index) for index in range(MAX_FOUND + 1)}}
    status, _, message = fault(searched.call("POST", SEARCH, {"hash": DIGEST}))
    assert (status, "more than 10000 entries" in message) == (400, True)


def test_without_index(service: Service) -> None:
    """A log without an index says so."""
    message = "Search Index API not enabled in this Rekor instance"
    assert fault(service.call("POST", SEARCH, {"hash": DIGEST})) == (501, 501, message)


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from(["hash", "email", "subject", "publicKey", "operator"]),
        st.none() | st.text(max_size=30) | st.integers() | st.just({"format": "ssh"}),
    )
)
def test_garbage(searched: Service, query: dict[str, Any]) -> None:
    """Any query is answered, with a list or with the client's mistake."""
    assert searched.call("POST", SEARCH, query).status in {200, 400, 422}
