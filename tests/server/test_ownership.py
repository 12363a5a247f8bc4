"""Storage that is shared: by hosts of one instance, and never by two instances."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from touchplate.errors import SettingsError
from touchplate.server.build import Deployment
from touchplate.server.data import DataFolder
from touchplate.server.opening import choose_origin, open_deployment
from touchplate.server.settings import ServeSettings, StorageSettings
from touchplate.tilelog.bundle import encode_record
from touchplate.tilelog.entry import Leaf, Submission

START = datetime(2030, 1, 1, tzinfo=UTC)


@contextmanager
def opened(data: Path, database: Path, objects: Path) -> Iterator[Deployment]:
    """Open a host of an instance over storage elsewhere."""
    settings = ServeSettings(data, storage=StorageSettings(database.as_uri(), objects.as_uri()))
    database.mkdir(exist_ok=True)
    with DataFolder.serve(data) as folder:
        origin, follows = choose_origin(folder.instance, None, ("127.0.0.1", 7878))
        deployment = open_deployment(
            folder, origin, follows=follows, settings=settings, now=lambda: START
        )
        try:
            yield deployment
        finally:
            deployment.close()


def copy_host(data: Path, host: Path) -> None:
    """Make a further host of an instance, as docs/how-to/run-on-several-hosts.md says."""
    host.mkdir(mode=0o700)
    for name in ("keys", "certificates"):
        shutil.copytree(data / name, host / name)
    shutil.copy2(data / "instance.json", host)


def test_two_hosts(tmp_path: Path) -> None:
    """A host with a copy of keys, certificates and instance.json has the same logs and trust."""
    one, two, database, objects = (tmp_path / name for name in ("1", "2", "d", "o"))
    with opened(one, database, objects) as first:
        copy_host(one, two)
        with opened(two, database, objects) as second:
            assert second.repository.fingerprint == first.repository.fingerprint
            assert second.trusted_root == first.trusted_root
            assert second.tlog.checkpoint() == first.tlog.checkpoint()


def test_two_first_starts(tmp_path: Path) -> None:
    """Of two hosts that both make a first start the second is refused, and writes nothing."""
    one, two, database, objects = (tmp_path / name for name in ("1", "2", "d", "o"))
    with opened(one, database, objects):
        pass
    before = {each: each.read_bytes() for each in objects.rglob("*") if each.is_file()}
    with (
        pytest.raises(SettingsError, match="belongs to another instance") as caught,
        opened(two, database, objects),
    ):
        pass
    assert "copy" in (caught.value.hint or "")
    assert before == {each: each.read_bytes() for each in objects.rglob("*") if each.is_file()}


def test_database_of_another(tmp_path: Path) -> None:
    """A database whose log another key signed is refused before anything is written."""
    one, two, database = (tmp_path / name for name in ("1", "2", "d"))
    with opened(one, database, tmp_path / "o1"):
        pass
    for name in ("ct", "tlog"):
        with (
            pytest.raises(SettingsError, match=f"the {name} log in this database is not signed"),
            opened(two, database, tmp_path / "o2"),
        ):
            pass
        assert not (tmp_path / "o2" / name).exists()
        # Then the next one is looked at.
        (database / f"{name}.db").unlink()


def test_folder_without_id(tmp_path: Path) -> None:
    """A folder from before instances had ids has one that follows from what never changes."""
    one, database, objects = (tmp_path / name for name in ("1", "d", "o"))
    with opened(one, database, objects):
        pass
    (objects / "instance").unlink()
    about = json.loads((one / "instance.json").read_bytes())
    del about["id"]
    for url in ("http://127.0.0.1:1", "https://127.0.0.1"):
        about["url"] = url
        (one / "instance.json").write_text(json.dumps(about))
        with opened(one, database, objects):
            pass
    other = json.loads((one / "instance.json").read_bytes())
    other["created_at"] = "2031-01-01T00:00:00+00:00"
    del other["id"]
    (one / "instance.json").write_text(json.dumps(other))
    with pytest.raises(SettingsError, match="another"), opened(one, database, objects):
        pass


def test_storage_forgotten(tmp_path: Path) -> None:
    """A host with the keys that is not told the storage begins no second history of the log."""
    one, two, database, objects = (tmp_path / name for name in ("1", "2", "d", "o"))
    with opened(one, database, objects) as deployment:
        leaf = Leaf(b"entry", encode_record(b"entry"))
        deployment.tlog.append(Submission(bytes(32), lambda _index, _time_ms: leaf)).result(30)
    copy_host(one, two)
    with (
        pytest.raises(SettingsError, match="has started before") as caught,
        opened(two, two, two / "objects"),
    ):
        pass
    assert "--objects" in (caught.value.hint or "")
    assert not (two / "tlog.db").exists()
    # With the objects, and a database that is empty, the log would be behind what was published.
    with pytest.raises(SettingsError) as behind, opened(two, tmp_path / "empty", objects):
        pass
    assert behind.value.code == "STATE_BEHIND"
