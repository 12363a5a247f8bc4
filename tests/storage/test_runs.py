import hashlib
import random
from pathlib import Path

import pytest

from touchplate.storage.runs import Query, Run, merge_runs, write_run


def identity(number: int) -> bytes:
    """Make an identity as logs have them: a hash."""
    return hashlib.sha256(b"%d" % number).digest()


def find_all(run: Run, identities: list[bytes]) -> dict[bytes, int]:
    """Look the identities up."""
    return dict(run.find_all(Query(identities)))


@pytest.mark.parametrize("count", [1, 2, 7, 8, 15, 16, 17, 255, 256, 5000, 20_000])
def test_found(tmp_path: Path, count: int) -> None:
    """A run gives the index of every identity that is in it, and of no other."""
    identities = [identity(number) for number in range(count)]
    assert write_run(identities, 100, tmp_path / "run") is None
    run = Run(tmp_path / "run", count)

    assert find_all(run, identities) == {each: at for at, each in enumerate(identities, 100)}
    assert find_all(run, [identity(number) for number in range(count, count + 3000)]) == {}


@pytest.mark.parametrize("byte", [0, 255])
def test_skewed(tmp_path: Path, byte: int) -> None:
    """Identities that are no hashes, all in one bucket, are found as well."""
    identities = [bytes([byte]) * 8 + number.to_bytes(24, "big") for number in range(300)]
    write_run(identities, 0, tmp_path / "run")
    run = Run(tmp_path / "run", 300)

    assert find_all(run, identities) == {each: at for at, each in enumerate(identities)}
    assert find_all(run, [bytes([byte]) * 8 + (300).to_bytes(24, "big"), bytes(range(32))]) == {}


def test_across_rows(tmp_path: Path) -> None:
    """Bytes that look like an identity, but begin within a row, are none."""
    lower = bytes(32)
    # The index of the first row and the start of the second: a run's own bytes at another place.
    index = 5 << 32
    write_run([lower], index, tmp_path / "one")
    write_run([b"\0" * 31 + b"\1"], 1, tmp_path / "two")
    merge_runs([Run(tmp_path / "one", 1), Run(tmp_path / "two", 1)], tmp_path / "both")
    run = Run(tmp_path / "both", 2)
    data = (tmp_path / "both").read_bytes()
    shifted = data[32 + 8 : 32 + 40]

    assert shifted not in (lower, b"\0" * 31 + b"\1")
    assert find_all(run, [shifted]) == {}
    assert find_all(run, [lower]) == {lower: index}


@pytest.mark.parametrize("counts", [(1, 1), (16, 1, 300), (5000, 5000, 9000), (1, 20_000)])
def test_merged(tmp_path: Path, counts: tuple[int, ...]) -> None:
    """A run that was merged holds what the others held, byte for byte as if it was made at once."""
    identities = [identity(number) for number in range(sum(counts))]
    runs, first = [], 0
    for count in counts:
        write_run(identities[first : first + count], first, tmp_path / str(first))
        runs.append(Run(tmp_path / str(first), count))
        first += count
    random.Random(1).shuffle(runs)

    assert merge_runs(runs, tmp_path / "merged") is None
    write_run(identities, 0, tmp_path / "whole")
    assert (tmp_path / "merged").read_bytes() == (tmp_path / "whole").read_bytes()


def test_twofold(tmp_path: Path) -> None:
    """An identity that two entries have is told, in one run and in two."""
    twice = [identity(number) for number in (*range(100), 7)]
    assert write_run(twice, 0, tmp_path / "twice") in (7, 100)
    write_run(twice[:50], 0, tmp_path / "one")
    write_run(twice[50:], 50, tmp_path / "other")

    runs = [Run(tmp_path / "one", 50), Run(tmp_path / "other", 51)]
    assert merge_runs(runs, tmp_path / "merged") in (7, 100)


def test_removed(tmp_path: Path) -> None:
    """A run that is open is read on when its file is removed."""
    identities = [identity(number) for number in range(1000)]
    write_run(identities, 0, tmp_path / "run")
    run = Run(tmp_path / "run", 1000)
    (tmp_path / "run").unlink()

    assert len(find_all(run, identities)) == 1000


@pytest.mark.parametrize("change", ["cut", "longer", "magic", "count"])
def test_another_file(tmp_path: Path, change: str) -> None:
    """A file that is not the run of so many identities is not opened."""
    write_run([identity(number) for number in range(100)], 0, tmp_path / "run")
    data = (tmp_path / "run").read_bytes()
    changed = {
        "cut": data[:-1],
        "longer": data + b"\0",
        "magic": b"T" + data[1:],
        "count": data[:31] + b"\x65" + data[32:],
    }[change]
    (tmp_path / "run").write_bytes(changed)

    with pytest.raises(OSError, match="is not a run of 100"):
        Run(tmp_path / "run", 100)
