"""Counters that processes share."""

from touchplate.server.counts import ROWS, SharedCounts, own_counts


def test_sum_over_parts() -> None:
    """Each part counts for itself, and all see the sum."""
    shared = SharedCounts(3)
    first, second = shared.of(0), shared.of(2)
    first.add("a")
    second.add("a", 2)
    second.add("b")
    for counts in (first, second, shared.of(1)):
        assert counts.total() == {"a": 3, "b": 1}


def test_successor() -> None:
    """Who takes the place of one that died goes on with its counts."""
    shared = SharedCounts(2)
    shared.of(0).add("a", 5)
    successor = shared.of(0)
    successor.add("a")
    successor.add("b")
    assert successor.total() == {"a": 6, "b": 1}


def test_bounded() -> None:
    """Too many names, and names that are too long, are counted together."""
    counts = own_counts()
    for number in range(ROWS + 10):
        counts.add(f"name {number}")
    counts.add("x" * 1000)
    total = counts.total()
    assert len(total) == ROWS
    assert sum(total.values()) == ROWS + 11
    assert total["touchplate_other_total"] == 12


def test_long_name_first() -> None:
    """A name that is too long does not spoil what follows."""
    counts = own_counts()
    counts.add("x" * 1000)
    counts.add("é" * 121)
    counts.add("a")
    assert counts.total() == {"touchplate_other_total": 2, "a": 1}
