"""DSSE's pre-authentication encoding."""

from hashlib import sha256

from touchplate.formats.dsse import IN_TOTO_PAYLOAD_TYPE, pae

PAYLOAD = (
    b'{"_type":"https://in-toto.io/Statement/v1","predicate":{},"predicateType":'
    b'"https://example.test/p/v1","subject":[{"digest":{"sha256":'
    b'"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"},"name":"hello.txt"}]}'
)


def test_bytes_are_counted() -> None:
    """Lengths count bytes, not characters."""
    assert pae("x/\u00e9", "h\u00e9llo".encode()) == "DSSEv1 4 x/\u00e9 6 h\u00e9llo".encode()


def test_empty() -> None:
    """Nothing has a length of zero."""
    assert pae("", b"") == b"DSSEv1 0  0 "


def test_worked_example() -> None:
    """The statement of the worked example, and the hash that a v2 log holds of it."""
    encoded = pae(IN_TOTO_PAYLOAD_TYPE, PAYLOAD)

    assert encoded == b"DSSEv1 28 application/vnd.in-toto+json 222 " + PAYLOAD
    assert sha256(encoded).hexdigest() == (
        "5893c1774eea002d75ae66254f38a52912f9df8c9fe7758a4b6d166275135643"
    )
