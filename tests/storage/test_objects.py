from concurrent.futures import ThreadPoolExecutor

import pytest

from touchplate.errors import RefusedError
from touchplate.storage.objects import ObjectStore


def test_put_and_get(objects: ObjectStore) -> None:
    """What was put is there, whatever else is; what was not is None."""
    objects.put("log/tile/0/000", b"one")
    objects.put("log/tile/0/x001/000", b"")

    assert objects.get("log/tile/0/000") == b"one"
    assert objects.get("log/tile/0/x001/000") == b""
    assert objects.get("log/tile/0/001") is None
    assert objects.get("log/tile") is None
    assert objects.get("log/tile/0/000/more") is None


def test_same_again(objects: ObjectStore) -> None:
    """The same bytes may be put again."""
    objects.put("a/b", b"one")
    objects.put("a/b", b"one")

    assert objects.get("a/b") == b"one"


def test_put_all(objects: ObjectStore) -> None:
    """Many at once are all there; some of them may have been there before."""
    objects.put("a/1", b"one")
    objects.put_all({"a/1": b"one", "a/2": b"two", "b/c/3": b"three"})
    objects.put_all({})

    assert [objects.get(key) for key in ("a/1", "a/2", "b/c/3")] == [b"one", b"two", b"three"]


def test_never_changes_among_many(objects: ObjectStore) -> None:
    """Other bytes for one of many are refused, and what was there stays."""
    objects.put("a/2", b"two")

    with pytest.raises(RefusedError) as refused:
        objects.put_all({"a/1": b"one", "a/2": b"other"})

    assert refused.value.code == "FILE_EXISTS"
    assert objects.get("a/2") == b"two"
    objects.put_all({"a/1": b"one"})
    assert objects.get("a/1") == b"one"


def test_never_changes(objects: ObjectStore) -> None:
    """Other bytes are refused, and what was there stays."""
    objects.put("a/b", b"one")

    with pytest.raises(RefusedError) as refused:
        objects.put("a/b", b"two")

    assert refused.value.code == "FILE_EXISTS"
    assert objects.get("a/b") == b"one"


def test_replace(objects: ObjectStore) -> None:
    """A replaced object has its new bytes."""
    objects.replace("a/b", b"one")
    objects.replace("a/b", b"two")

    assert objects.get("a/b") == b"two"


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "a/../b", ".a", "a/.b", "a b", "a\\b", "a\n", "é", "a" * 513]
)
def test_bad_key(objects: ObjectStore, key: str) -> None:
    """No key leaves the store or hides in it."""
    with pytest.raises(AssertionError):
        objects.put(key, b"")
    with pytest.raises(AssertionError):
        objects.replace(key, b"")
    with pytest.raises(AssertionError):
        objects.get(key)


def test_race(objects: ObjectStore) -> None:
    """Of several who put different bytes at once, one wins and the others are told."""

    def put(number: int) -> bool:
        try:
            objects.put("a/b/c", b"%d" % number * 10_000)
        except RefusedError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(put, range(8)))

    assert won.count(True) == 1
    assert objects.get("a/b/c") == b"%d" % won.index(True) * 10_000
