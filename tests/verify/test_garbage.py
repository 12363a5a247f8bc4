"""Hostile input: whatever is handed in, only our own errors come out."""

import base64
import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.verify.mint import ARTIFACT, ISSUER, NAME, SHAPES, Mint
from touchplate.errors import TouchplateError
from touchplate.formats.bundle import parse_bundle
from touchplate.verify import Artifact, Verifier, identity

ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**63,
    10**400,
    1.5,
    "",
    "\x00",
    "\ud800",
    "AA==",
    "x" * 100_000,
    [],
    [None],
    [[]],
    {},
    {"": None},
    [{}],
)


@cache
def world() -> tuple[Mint, Verifier]:
    """Give one instance for all examples."""
    mint = Mint.new()
    return mint, Verifier(mint.trusted_root())


@cache
def text_of(shape: str) -> str:
    """Give one bundle of a shape, always the same, as Hypothesis needs."""
    return json.dumps(world()[0].bundle(shape))


def bundle(shape: str) -> Any:
    """Give that bundle as JSON members."""
    return json.loads(text_of(shape))


def attempt(data: bytes) -> bool:
    """Say whether the bytes are a good bundle; anything but our own errors passes through."""
    try:
        found = parse_bundle(data)
        world()[1].verify(found, Artifact.from_bytes(ARTIFACT), identity(NAME, ISSUER))
    except TouchplateError:
        return False
    return True


@given(st.binary(max_size=400))
def test_noise(data: bytes) -> None:
    """Noise is refused."""
    assert not attempt(data)


@pytest.mark.slow
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json(value: Any) -> None:
    """JSON that is no bundle is refused."""
    assert not attempt(json.dumps(value).encode())


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_odd_value_in_each_place(shape: str) -> None:
    """An odd value in any place of a bundle is refused, or nothing rests on that place."""
    members = bundle(shape)
    for path in _paths(members):
        for odd in ODD:
            changed = json.loads(json.dumps(members))
            holder = changed
            for name in path[:-1]:
                holder = holder[name]
            holder[path[-1]] = odd
            attempt(json.dumps(changed).encode())


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["v0.1", "v2-dsse"])
@settings(max_examples=200)
@given(data=st.data())
def test_cut_and_spliced(shape: str, data: st.DataObject) -> None:
    """A bundle with a part of its text cut out, doubled or overwritten is no crash."""
    text = bytearray(text_of(shape).encode())
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 40)))
    text[start:stop] = data.draw(st.binary(max_size=8))

    attempt(bytes(text))


@pytest.mark.slow
@settings(max_examples=300)
@given(data=st.data())
def test_broken_der(data: st.DataObject) -> None:
    """A certificate or timestamp with some octets changed is no crash."""
    members = bundle("v2-message")
    material = members["verificationMaterial"]
    holder, name = data.draw(
        st.sampled_from(
            [
                (material["certificate"], "rawBytes"),
                (
                    material["timestampVerificationData"]["rfc3161Timestamps"][0],
                    "signedTimestamp",
                ),
            ]
        )
    )
    der = bytearray(base64.b64decode(holder[name]))
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(der)))
    holder[name] = base64.b64encode(der[:cut] if data.draw(st.booleans()) else der).decode()

    attempt(json.dumps(members).encode())


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Give the path of each value, containers too."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    found = [path] if path else []
    for name, item in items:
        found += _paths(item, (*path, name))
    return found
