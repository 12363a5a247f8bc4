from dataclasses import replace
from threading import Thread

from touchplate.storage.database import LogDatabase, LogState, PublishedCheckpoint

FIRST = PublishedCheckpoint(0, bytes(32), 1, "first")


def test_none(database: LogDatabase) -> None:
    """A new database has published nothing."""
    assert database.published() is None


def test_published(database: LogDatabase) -> None:
    """What is published is there as it was, and is not the state."""
    checkpoint = PublishedCheckpoint(3, b"r" * 32, 2**45, "three — line\n", frozen=True)
    database.publish(checkpoint)

    assert database.published() == checkpoint
    assert database.state() is None


def test_only_grows(database: LogDatabase) -> None:
    """Only a larger tree replaces what is published, or the same tree frozen, or later again."""
    database.publish(FIRST)
    steps = [
        replace(FIRST, size=3, root=b"3" * 32, time_ms=5, envelope="three"),
        replace(FIRST, size=3, root=b"3" * 32, time_ms=7, envelope="three again"),
        replace(FIRST, size=3, root=b"3" * 32, time_ms=6, envelope="frozen", frozen=True),
        replace(FIRST, size=3, root=b"3" * 32, time_ms=7, envelope="frozen again", frozen=True),
        replace(FIRST, size=300, root=b"4" * 32),
    ]
    for place, step in enumerate(steps):
        database.publish(step)
        assert database.published() == step
        for earlier in (FIRST, *steps[:place], replace(step, envelope="other")):
            database.publish(earlier)
            assert database.published() == step


def test_unpublish(database: LogDatabase) -> None:
    """What was published can be forgotten, more than once, and then anything published."""
    database.publish(replace(FIRST, size=3))
    for _ in range(2):
        database.unpublish()
        assert database.published() is None
    database.publish(FIRST)
    assert database.published() == FIRST


def test_frozen_state(database: LogDatabase) -> None:
    """A state is stored with whether it is frozen, and replaces only one that is equal in that."""
    begun = LogState(0, bytes(32), 1, "empty", 0)
    frozen = replace(begun, envelope="frozen", frozen=True)
    with database.transaction() as transaction:
        transaction.store(None, begun)
        transaction.store(begun, frozen)
        assert transaction.state() == frozen

    assert database.state() == frozen


def test_at_once(database: LogDatabase) -> None:
    """Of many that publish at once the largest stays."""

    def publish(sizes: range) -> None:
        for size in sizes:
            database.publish(replace(FIRST, size=size))

    threads = [Thread(target=publish, args=(range(each, 60, 4),)) for each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert database.published() == replace(FIRST, size=59)
