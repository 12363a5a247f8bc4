"""Hostile input through the whole command: a typed error, the right status, and nothing written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.cli.conftest import Run, Served

# The command is what is under test: its folder may be used again by the next example.
examples = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)

odd_texts = ["", "-1", "9" * 30, "AA==", "====", "\x00", "2030-01-01T00:00:00Z", "EXACT"]
odd_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.sampled_from(odd_texts),
    st.just([]),
    st.just({}),
    st.just([[]] * 50),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)


def places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the path of every member of a JSON value."""
    found = [path] if path else []
    if isinstance(value, dict):
        for name, inner in value.items():
            found += places_in(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            found += places_in(inner, (*path, number))
    return found


def replace_one(document: bytes, data: st.DataObject) -> bytes:
    """Replace, remove or repeat one member of a JSON document."""
    value = json.loads(document)
    *parents, last = data.draw(st.sampled_from(places_in(value)))
    inner = value
    for step in parents:
        inner = inner[step]
    what = data.draw(st.sampled_from(["replace", "replace", "remove", "repeat"]))
    if what == "replace":
        inner[last] = data.draw(odd_values)
    elif what == "remove":
        del inner[last]
    elif isinstance(inner, list):
        inner.extend([inner[last]] * data.draw(st.integers(1, 70)))
    else:
        inner[f"{last}2"] = inner[last]
    return json.dumps(value).encode()


@pytest.mark.slow
@examples
@given(st.data())
def test_bundle_member(run: Run, signed: Path, served: Served, data: st.DataObject) -> None:
    """A bundle with any member changed is proven, not proven or malformed; never a crash."""
    bundle = signed.with_name("a.txt.sigstore.json").read_bytes()
    changed = signed.with_name("changed.json")
    changed.write_bytes(replace_one(bundle, data))

    words = ("--bundle", changed, "--trusted-root", "root.json", *served.who)
    result = run("verify", signed, *words, "--json")

    assert result.status in (0, 1, 2), result.err
    assert json.loads(result.out)["status"] == result.status


@pytest.mark.slow
@examples
@given(st.data())
def test_bundle_bytes(run: Run, signed: Path, served: Served, data: st.DataObject) -> None:
    """The same for bytes cut, inserted or changed anywhere."""
    bundle = signed.with_name("a.txt.sigstore.json").read_bytes()
    start = data.draw(st.integers(0, len(bundle)))
    stop = data.draw(st.integers(start, min(len(bundle), start + 40)))
    changed = signed.with_name("changed.json")
    changed.write_bytes(bundle[:start] + data.draw(st.binary(max_size=40)) + bundle[stop:])

    words = ("--bundle", changed, "--trusted-root", "root.json", *served.who)
    result = run("verify", signed, *words, "--explain")

    assert result.status in (0, 1, 2), result.err


@pytest.mark.slow
@examples
@given(st.data())
def test_trusted_root_member(run: Run, signed: Path, served: Served, data: st.DataObject) -> None:
    """A trusted root with any member changed is never a crash."""
    changed = signed.with_name("changed.json")
    changed.write_bytes(replace_one(served.trusted_root, data))

    result = run("verify", signed, "--trusted-root", changed, *served.who, "--explain")

    assert result.status in (0, 1, 2), result.err


@examples
@given(st.data())
def test_trust_config_member(run: Run, signed: Path, served: Served, data: st.DataObject) -> None:
    """Signing with any member of the trust config changed works or leaves nothing; no crash."""
    bundle = signed.with_name("out.json")
    config = signed.with_name("trust.json")
    config.write_bytes(replace_one(served.trust_config, data))

    # A token that cannot work keeps the example from waiting for services that are not there.
    result = run(
        "sign",
        signed,
        "--identity-token",
        "e30.e30.AA",
        "--bundle",
        bundle,
        "--trust-config",
        config,
    )

    assert result.status in (1, 2), result.err
    assert not bundle.exists()
