"""The seam of the object store, and the store in memory."""

import string
from collections.abc import Mapping
from threading import Lock
from typing import Final, Protocol

from touchplate.errors import RefusedError

MAX_KEY: Final = 512  # characters
_KEY_CHARACTERS: Final = frozenset(string.ascii_letters + string.digits + "._-")


class ObjectStore(Protocol):
    """Named bytes. Any number of threads and processes may call it at once.

    Keys are `/`-separated names of ASCII letters, digits, `.`, `_` and `-`, none of which begins
    with a dot. A reader sees a whole object or none. What was written before a crash is there
    after it if the call had returned. Failures raise UnavailableError STORAGE_UNAVAILABLE.
    """

    def put(self, key: str, data: bytes) -> None:
        """Create the object, durably. The same bytes again do nothing.

        Raises RefusedError FILE_EXISTS when other bytes are there: objects never change.
        """

    def put_all(self, objects: Mapping[str, bytes]) -> None:
        """Create all of them as `put` does, for less than one by one.

        If it raises, some may be there and others not.
        """

    def replace(self, key: str, data: bytes) -> None:
        """Create the object or put other bytes in its place, durably and in one step."""

    def get(self, key: str) -> bytes | None:
        """Give the object's bytes, or None if there is no such object."""


class MemoryObjects:
    """An object store that lives as long as this value."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._lock = Lock()

    def put(self, key: str, data: bytes) -> None:
        """Create the object, or find the same bytes there."""
        check_key(key)
        with self._lock:
            if self._objects.setdefault(key, data) != data:
                raise differs(key)

    def put_all(self, objects: Mapping[str, bytes]) -> None:
        """Create the objects, or find the same bytes there."""
        for key, data in objects.items():
            self.put(key, data)

    def replace(self, key: str, data: bytes) -> None:
        """Create the object or put other bytes in its place."""
        check_key(key)
        with self._lock:
            self._objects[key] = data

    def get(self, key: str) -> bytes | None:
        """Give the object's bytes, or None."""
        check_key(key)
        with self._lock:
            return self._objects.get(key)


def check_key(key: str) -> None:
    """Hold a key to the rules of `ObjectStore`; keys are ours, so another one is a bug."""
    names = key.split("/")
    if (
        len(key) > MAX_KEY
        or any(not name or name[0] == "." for name in names)
        or not _KEY_CHARACTERS.issuperset(key.replace("/", ""))
    ):
        raise AssertionError(f"{key!r} is no object key")


def differs(key: str) -> RefusedError:
    """Say that an object is there with other bytes than the ones to be put."""
    return RefusedError(
        "FILE_EXISTS",
        f"object {key!r} exists with other bytes, and objects never change",
        hint="two logs may share one object store, or a backup was restored in part",
    )
