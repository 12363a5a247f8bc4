import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import MalformedError, RefusedError
from touchplate.tilelog.bundle import encode_record, record_data, split_records


def test_record() -> None:
    """An entry has its length in two bytes before it, big-endian."""
    assert encode_record(b"second") == b"\x00\x06second"
    assert record_data(b"\x00\x06second") == b"second"


def test_longest() -> None:
    """65,535 bytes fit and one more is refused."""
    assert encode_record(bytes(65_535))[:2] == b"\xff\xff"
    with pytest.raises(RefusedError) as refused:
        encode_record(bytes(65_536))
    assert refused.value.code == "LIMIT_EXCEEDED"


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_split(entries: list[bytes]) -> None:
    """A bundle is split into the records that it was made of."""
    records = [encode_record(entry) for entry in entries]

    assert split_records(b"".join(records)) == records


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.data())
def test_cut_off(entries: list[bytes], data: st.DataObject) -> None:
    """A bundle that ends within an entry is malformed."""
    records = [encode_record(entry) for entry in entries]
    lost = data.draw(st.integers(1, len(records[-1]) - 1))

    with pytest.raises(MalformedError) as refused:
        split_records(b"".join(records)[:-lost])
    assert refused.value.code == "ENTRY_MALFORMED"
