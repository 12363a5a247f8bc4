"""A copy of a log's SQLite file while others write to it, and the runs that the copy names."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

import apsw

from touchplate.errors import SettingsError, UnavailableError

_ATTEMPTS: Final = 20  # at finding the runs, while another process merges them
_WAIT_MS: Final = 10_000


class Snapshot(NamedTuple):
    """A log's database as it was at one time."""

    size: int
    root: bytes
    # Entries that rest in objects only.
    sealed: int
    frozen: bool
    # The runs, open for reading, by the names of their files.
    runs: Mapping[str, BinaryIO]


@contextmanager
def snapshot(source: Path, target: Path) -> Iterator[Snapshot]:
    """Copy the database at `source` to a file at `target`, which needs no other file beside it.

    Writers go on. Raises FILE_UNREADABLE if there is no log, STORAGE_UNAVAILABLE.
    """
    if not source.is_file():
        raise SettingsError("FILE_UNREADABLE", f"there is no file {source}")
    runs = source.with_name(f"{source.name}-runs")
    with ExitStack() as opened:
        try:
            yield _take(source, target, runs, opened)
        except apsw.Error as error:
            raise UnavailableError(
                "STORAGE_UNAVAILABLE", f"the log database {source} failed: {error}"
            ) from error


def _take(source: Path, target: Path, runs: Path, opened: ExitStack) -> Snapshot:
    lost = ""
    for _ in range(_ATTEMPTS):
        target.unlink(missing_ok=True)
        state, names = _copy(source, target)
        with ExitStack() as files:
            try:
                found = {name: files.enter_context((runs / name).open("rb")) for name in names}
            except FileNotFoundError as error:
                # Merged into another one meanwhile, which the next copy names.
                lost = str(error)
                continue
            opened.push(files.pop_all())
            return Snapshot(*state, found)
    raise UnavailableError("STORAGE_UNAVAILABLE", f"an index of identities is not whole: {lost}")


def _copy(source: Path, target: Path) -> tuple[tuple[int, bytes, int, bool], list[str]]:
    with (
        closing(apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READWRITE)) as reading,
        closing(apsw.Connection(str(target))) as writing,
    ):
        reading.set_busy_timeout(_WAIT_MS)
        with writing.backup("main", reading, "main") as backup:
            while not backup.done:
                # All in one step: a step in between would begin anew with each commit.
                backup.step(-1)
        writing.pragma("journal_mode", "delete")
        row = writing.execute("SELECT size, root, sealed, frozen FROM state").fetchone()
        if row is None:
            raise SettingsError("FILE_UNREADABLE", f"{source} holds no log")
        size, root, sealed, frozen = cast("tuple[int, bytes, int, int]", row)
        names = [str(each[0]) for each in writing.execute("SELECT name FROM runs ORDER BY first")]
        return (size, root, sealed, bool(frozen)), names
