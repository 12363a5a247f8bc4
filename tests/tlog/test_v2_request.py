"""The fast reader and the general one are one reader."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.entries.create_entry import parse_request
from touchplate.errors import TouchplateError
from touchplate.tlog.v2_request import read_common

Worked = Callable[[str], bytes]
FOLDERS = ["hashedrekord_v002", "hashedrekord_v002_dsse", "hashedrekord_v002_ed25519ph"]


def general(data: bytes) -> object:
    """Give what the general reader makes of the data: a request, or the code of the error."""
    try:
        return parse_request(data, accept_dsse=True)
    except TouchplateError as error:
        return error.code


def agree(data: bytes) -> bool:
    """Say whether the fast reader leaves the data alone or reads what the general one reads."""
    fast = read_common(data)
    return fast is None or fast == general(data)


@pytest.mark.parametrize("folder", FOLDERS)
def test_worked_example(worked: Worked, folder: str) -> None:
    """The fast reader reads the published requests, as the general one does."""
    data = worked(f"{folder}/request.json")
    assert read_common(data) == parse_request(data)


def test_repeated_member(worked: Worked) -> None:
    """A member that stands twice is refused, though the decoder would take the last."""
    data = worked("hashedrekord_v002/request.json")
    twice = data.replace(b'"digest":', b'"digest":"AAAA","digest":', 1)
    assert read_common(twice) is None
    assert general(twice) == "REQUEST_MALFORMED"


@given(data=st.data())
def test_changed_anywhere(worked: Worked, data: st.DataObject) -> None:
    """With some bytes replaced or cut out, both readers still agree."""
    request = bytearray(worked(f"{data.draw(st.sampled_from(FOLDERS))}/request.json"))
    start = data.draw(st.integers(0, len(request)))
    end = data.draw(st.integers(start, min(len(request), start + 12)))
    request[start:end] = data.draw(st.binary(max_size=6) | st.sampled_from([b'"', b"\\u0041"]))
    assert agree(bytes(request))


@given(data=st.data())
def test_changed_member(worked: Worked, data: st.DataObject) -> None:
    """With one member changed, left out or repeated, both readers still agree."""
    request: Any = json.loads(worked("hashedrekord_v002/request.json"))
    inner = request
    for _ in range(data.draw(st.integers(0, 4))):
        below = [value for value in inner.values() if isinstance(value, dict)]
        inner = below[0] if below else inner
    name = data.draw(st.sampled_from([*inner, "x509Certificate", "raw_bytes", "digest"]))
    values: list[object] = [
        "",
        "AA",
        "AA==",
        "A-_A",
        "PKIX_ED25519_PH",
        5,
        None,
        {},
        {"rawBytes": "AA=="},
        [],
    ]
    inner[name] = data.draw(st.sampled_from(values))
    encoded = json.dumps(request, ensure_ascii=data.draw(st.booleans())).encode()
    assert agree(encoded)
