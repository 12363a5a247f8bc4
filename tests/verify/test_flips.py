"""One changed bit, anywhere in a good bundle: it is refused, or it proves exactly the same.

The same it may prove only where the bit is in a field that nobody signs and nothing rests on.
"""

import base64
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.verify.mint import ARTIFACT, ISSUER, KEY, KEY_SHAPES, NAME, SHAPES, Mint
from touchplate.errors import TouchplateError
from touchplate.formats.bundle import parse_bundle
from touchplate.verify import Artifact, Verdict, Verifier, identity

# Where a change may leave the verdict as it is, and why.
HARMLESS = (
    "verificationMaterial.publicKey.hint",  # names a key, and is not the key
    "inclusionProof.logIndex",  # in a v2 entry the index is the entry's own
    "dsseEnvelope.signatures.0.keyid",
)
Path = tuple[str | int, ...]


@cache
def world() -> Mint:
    """Give one instance for all examples."""
    return Mint.new()


@cache
def verifier() -> Verifier:
    """Give its verifier."""
    return Verifier(world().trusted_root())


@cache
def good(shape: str) -> str:
    """Give a good bundle as JSON text."""
    return json.dumps(world().bundle(shape))


def verify(members: dict[str, Any], shape: str) -> Verdict:
    """Verify under the policy that fits the shape."""
    policy = KEY if shape in KEY_SHAPES else identity(NAME, ISSUER)
    bundle = parse_bundle(json.dumps(members).encode())
    return verifier().verify(bundle, Artifact.from_bytes(ARTIFACT), policy)


def meaning(verdict: Verdict) -> tuple[object, ...]:
    """Give all that a verdict says."""
    entries = [(entry.log_index, entry.log_id, entry.body) for entry in verdict.entries]
    times = [(time.at, time.source, time.name) for time in verdict.times]
    return (
        verdict.identity,
        verdict.issuer,
        dict(verdict.extensions),
        verdict.key,
        verdict.certificate,
        times,
        entries,
        verdict.statement,
    )


def fields(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Give each value that is no container, with its path."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in items:
            yield from fields(item, (*path, name))
    else:
        yield path, value


def is_base64(path: Path) -> bool:
    """Say whether a field holds bytes."""
    texts = {"mediaType", "kind", "version", "algorithm", "payloadType", "hint", "envelope"}
    texts |= {"logIndex", "integratedTime", "treeSize", "keyid"}
    return path[-1] not in texts


def flipped(members: dict[str, Any], path: Path, bit: int) -> dict[str, Any]:
    """Give the bundle with one bit of one field changed: of the bytes that its text stands for."""
    changed: dict[str, Any] = json.loads(json.dumps(members))
    holder: Any = changed
    for name in path[:-1]:
        holder = holder[name]
    text = holder[path[-1]]
    octets = bytearray(base64.b64decode(text) if is_base64(path) else text.encode("utf-8"))
    octets[bit // 8 % len(octets)] ^= 1 << bit % 8
    holder[path[-1]] = (
        base64.b64encode(octets).decode() if is_base64(path) else octets.decode("latin-1")
    )
    return changed


def check(members: dict[str, Any], shape: str, path: Path, bit: int) -> None:
    """Require that the change is refused, or is in a harmless place and changes nothing."""
    try:
        verdict = verify(flipped(members, path, bit), shape)
    except TouchplateError:
        return
    name = ".".join(map(str, path))
    assert name.endswith(HARMLESS), f"bit {bit} of {name} is not looked at"
    if shape in {"v2-message", "v2-dsse", "key-v2"} or "inclusionProof" not in name:
        assert meaning(verdict) == meaning(verify(members, shape))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [*SHAPES, *KEY_SHAPES])
@settings(max_examples=150)
@given(st.data())
def test_flipped_bit(shape: str, data: st.DataObject) -> None:
    """A bundle of any shape with one changed bit never proves something else."""
    members = json.loads(good(shape))
    path, value = data.draw(st.sampled_from(list(fields(members))))
    bit = data.draw(st.integers(0, 8 * len(value) - 1))

    check(members, shape, path, bit)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [*SHAPES, *KEY_SHAPES])
def test_each_field(shape: str) -> None:
    """Each field of each shape is looked at: its first bit, its last, and one in the middle."""
    members = json.loads(good(shape))
    for path, value in fields(members):
        size = len(base64.b64decode(value)) if is_base64(path) else len(value.encode())
        for bit in (0, 4 * size, 8 * size - 1):
            check(members, shape, path, bit)


@pytest.mark.parametrize("shape", [*SHAPES, *KEY_SHAPES])
def test_each_field_taken_away(shape: str) -> None:
    """A bundle without one of its fields is refused, or proves exactly the same."""
    expected = meaning(verify(json.loads(good(shape)), shape))
    for path, _ in fields(json.loads(good(shape))):
        changed = json.loads(good(shape))
        holder: Any = changed
        for name in path[:-1]:
            holder = holder[name]
        del holder[path[-1]]
        try:
            verdict = verify(changed, shape)
        except TouchplateError:
            continue
        assert meaning(verdict) == expected, path
