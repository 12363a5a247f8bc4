"""The repository, seen through python-tuf's client, across time, restarts and crashes."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.exceptions import DownloadHTTPError, ExpiredMetadataError
from tuf.ngclient.fetcher import FetcherInterface
from tuf.ngclient.updater import Updater

from tests.servers.fixtures import S3_ENVIRON
from touchplate.errors import RefusedError, SettingsError
from touchplate.keys.signer import generate
from touchplate.storage.folder import FolderObjects
from touchplate.storage.objects import MemoryObjects, ObjectStore
from touchplate.storage.schemes import open_objects
from touchplate.tuf import Repository, RoleKeys

START = datetime(2030, 1, 1, tzinfo=UTC)
TARGETS = {"trusted_root.json": b"{}", "signing_config.v0.2.json": b"[]"}


class Files:
    """An object store in a dict, which can be told to fail after some writes."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.writes_left = -1

    def get(self, key: str) -> bytes | None:
        """Read."""
        return self.files.get(key)

    def put(self, key: str, data: bytes) -> None:
        """Write once."""
        if self.files.get(key, data) != data:
            raise RefusedError("FILE_EXISTS", f"{key} written twice")
        self._write(key, data)

    def replace(self, key: str, data: bytes) -> None:
        """Write over."""
        self._write(key, data)

    def _write(self, key: str, data: bytes) -> None:
        if self.writes_left == 0:
            raise OSError("crash")
        self.writes_left -= 1
        self.files[key] = data


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.now


class Fetcher(FetcherInterface):
    """Fetches from a repository as its routes would answer."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository

    def _fetch(self, url: str) -> Iterator[bytes]:
        data = self.repository.read(url.removeprefix("https://tuf.test/"))
        if data is None:
            raise DownloadHTTPError("not found", 404)
        yield data


@pytest.fixture
def keys() -> RoleKeys:
    """Four new keys."""
    return RoleKeys(*(generate("ecdsa-p256") for _ in range(4)))


@pytest.fixture
def files() -> Files:
    """An empty store."""
    return Files()


@pytest.fixture
def clock() -> Clock:
    """A clock that stands at the start."""
    return Clock()


class Client:
    """A python-tuf client that keeps its metadata between updates."""

    def __init__(self, folder: Path, root: bytes) -> None:
        self.folder = folder
        self.root = root
        (folder / "metadata").mkdir(parents=True)
        (folder / "targets").mkdir()

    def update(self, repository: Repository, now: datetime) -> dict[str, bytes]:
        """Fetch all targets; `now` is what the client's clock says."""
        updater = Updater(
            metadata_dir=str(self.folder / "metadata"),
            metadata_base_url="https://tuf.test",
            target_base_url="https://tuf.test/targets/",
            target_dir=str(self.folder / "targets"),
            fetcher=Fetcher(repository),
            bootstrap=self.root,
        )
        updater._trusted_set.reference_time = now
        updater.refresh()
        found = {}
        for name in TARGETS:
            info = updater.get_targetinfo(name)
            assert info is not None
            found[name] = Path(updater.download_target(info)).read_bytes()
        return found


def root_of(files: Files) -> bytes:
    """Give what a client pins."""
    return files.files["tuf/1.root.json"]


def test_client_gets_targets(files: Files, keys: RoleKeys, clock: Clock, tmp_path: Path) -> None:
    """A client that trusts the first root gets the files that were published."""
    repository = Repository(files, keys, clock)
    assert repository.publish(TARGETS)

    assert Client(tmp_path, root_of(files)).update(repository, START) == TARGETS


def test_same_targets_again(files: Files, keys: RoleKeys, clock: Clock) -> None:
    """Publishing what is published changes nothing."""
    repository = Repository(files, keys, clock)
    repository.publish(TARGETS)
    before = dict(files.files)

    assert not repository.publish(TARGETS)
    assert files.files == before


def test_new_targets(files: Files, keys: RoleKeys, clock: Clock, tmp_path: Path) -> None:
    """A client that has the old files gets the new ones."""
    repository = Repository(files, keys, clock)
    repository.publish(TARGETS)
    client = Client(tmp_path, root_of(files))
    client.update(repository, START)
    new = {**TARGETS, "trusted_root.json": b'{"new":1}'}

    assert repository.publish(new)
    assert client.update(repository, START) == new


def test_restart(files: Files, keys: RoleKeys, clock: Clock, tmp_path: Path) -> None:
    """A repository opened again goes on where it was."""
    repository = Repository(files, keys, clock)
    repository.publish(TARGETS)
    client = Client(tmp_path, root_of(files))
    client.update(repository, START)

    again = Repository(files, keys, clock)
    assert not again.publish(TARGETS)
    assert again.publish({"trusted_root.json": b"2", "signing_config.v0.2.json": b"3"})
    assert client.update(again, START)["trusted_root.json"] == b"2"
    assert again.fingerprint == repository.fingerprint


@pytest.mark.slow
def test_renewed_in_time(files: Files, keys: RoleKeys, clock: Clock, tmp_path: Path) -> None:
    """With a refresh a day a client is served for years, and its root follows."""
    repository = Repository(files, keys, clock)
    repository.publish(TARGETS)
    client = Client(tmp_path, root_of(files))
    for day in range(900):
        clock.now = START + timedelta(days=day)
        repository.refresh()
        for role, expires_at in repository.expiries().items():
            assert expires_at > clock.now, role
        if day % 100 == 0:
            assert client.update(repository, clock.now) == TARGETS

    assert json.loads(repository.read("root.json") or b"")["signed"]["version"] == 3


def test_not_renewed(files: Files, keys: RoleKeys, clock: Clock, tmp_path: Path) -> None:
    """Without a refresh clients refuse the metadata after a week; a refresh mends it."""
    repository = Repository(files, keys, clock)
    repository.publish(TARGETS)
    client = Client(tmp_path, root_of(files))
    clock.now = START + timedelta(days=8)

    with pytest.raises(ExpiredMetadataError):
        client.update(repository, clock.now)
    assert repository.refresh()
    assert client.update(repository, clock.now) == TARGETS


def test_nothing_due(files: Files, keys: RoleKeys, clock: Clock) -> None:
    """A refresh writes nothing while all is fresh."""
    repository = Repository(files, keys, clock)
    repository.publish(TARGETS)
    clock.now = START + timedelta(hours=12)

    assert not repository.refresh()


@pytest.mark.parametrize("writes", range(8))
def test_crash_at_first_publication(
    files: Files, keys: RoleKeys, clock: Clock, tmp_path: Path, writes: int
) -> None:
    """A crash before any write of the first publication leaves what the next one completes."""
    files.writes_left = writes
    try:
        Repository(files, keys, clock).publish(TARGETS)
    except OSError:
        files.writes_left = -1
    else:
        assert writes == 7

    again = Repository(files, keys, clock)
    again.publish(TARGETS)
    assert Client(tmp_path, root_of(files)).update(again, START) == TARGETS


@pytest.mark.parametrize("writes", range(6))
def test_crash_at_next_publication(
    files: Files, keys: RoleKeys, clock: Clock, tmp_path: Path, writes: int
) -> None:
    """A crash in a later publication shows clients the old files or the new, whole."""
    repository = Repository(files, keys, clock)
    repository.publish(TARGETS)
    client = Client(tmp_path, root_of(files))
    new = {**TARGETS, "trusted_root.json": b"new"}
    files.writes_left = writes
    with pytest.raises(OSError, match="crash"):
        repository.publish(new)
    files.writes_left = -1

    again = Repository(files, keys, clock)
    # The last write but one publishes.
    assert client.update(again, START) == (TARGETS if writes < 5 else new)
    again.publish(new)
    assert client.update(again, START) == new


def test_keys_of_another_deployment(files: Files, keys: RoleKeys, clock: Clock) -> None:
    """A repository does not open with keys that its root does not name."""
    Repository(files, keys, clock).publish(TARGETS)
    others = RoleKeys(keys.root, generate("ecdsa-p256"), keys.snapshot, keys.timestamp)

    with pytest.raises(SettingsError) as caught:
        Repository(files, others, clock)
    assert caught.value.code == "KEY_NOT_FOUND"


@pytest.mark.slow
def test_two_processes(files: Files, keys: RoleKeys, clock: Clock, tmp_path: Path) -> None:
    """Of several processes one renews, and the others serve and go on from what it wrote."""
    first, second = (Repository(files, keys, clock) for _ in range(2))
    first.publish(TARGETS)
    second.publish(TARGETS)
    client = Client(tmp_path, files.files["tuf/1.root.json"])
    for _ in range(400):
        clock.now += timedelta(hours=25)
        writer, reader = (first, second) if clock.now.day % 3 else (second, first)
        assert writer.refresh() is True
        assert reader.refresh() is False
        assert reader.expiries() == writer.expiries()
        assert client.update(reader, clock.now) == TARGETS


def test_race(files: Files, keys: RoleKeys, clock: Clock, tmp_path: Path) -> None:
    """Whoever is refused because another process wrote the same version looks again."""
    first, second = (Repository(files, keys, clock) for _ in range(2))
    first.publish(TARGETS)
    client = Client(tmp_path, files.files["tuf/1.root.json"])
    client.update(first, clock.now)
    clock.now += timedelta(days=340)
    read = files.get
    raced: list[str] = []

    def read_then_lose(key: str) -> bytes | None:
        data = read(key)
        if data is None and key.endswith(("root.json", "snapshot.json")) and not raced:
            # The file is not there yet: and then the other one writes all of it.
            raced.append(key)
            first.refresh()
        return data

    files.get = read_then_lose  # type: ignore[method-assign]
    second.refresh()
    assert raced
    assert second.expiries() == first.expiries()
    assert client.update(second, clock.now) == TARGETS


def test_late_copy(files: Files, keys: RoleKeys, clock: Clock, tmp_path: Path) -> None:
    """A process that stands still before its last write takes nothing back when it goes on."""
    first, second = (Repository(files, keys, clock) for _ in range(2))
    first.publish(TARGETS)
    second.refresh()
    client = Client(tmp_path, root_of(files))
    replace = files.replace
    late: list[bytes] = []

    def replace_late(key: str, data: bytes) -> None:
        if not late:
            late.append(data)
            for number in range(3):  # meanwhile the other one publishes, and a client sees it
                second.publish({**TARGETS, "trusted_root.json": b"%d" % number})
            client.update(second, clock.now)
            replace(key, data)
            client.update(second, clock.now)  # the file is an old one now
            return
        replace(key, data)

    files.replace = replace_late  # type: ignore[method-assign]
    first.publish({**TARGETS, "trusted_root.json": b"first"})

    newest = {**TARGETS, "trusted_root.json": b"2"}
    for repository in (first, second, Repository(files, keys, clock)):
        assert client.update(repository, clock.now) == newest
    assert files.files["tuf/timestamp.json"] == second.read("timestamp.json")
    clock.now += timedelta(days=2)
    assert first.refresh()
    assert client.update(second, clock.now) == newest


def test_copy_is_made_later(files: Files, keys: RoleKeys, clock: Clock) -> None:
    """Who was interrupted before the copy of the newest timestamp has it made by the next one."""
    repository, other = (Repository(files, keys, clock) for _ in range(2))
    repository.publish(TARGETS)
    replace = files.replace

    def crash(_key: str, _data: bytes) -> None:
        raise OSError("crash")

    files.replace = crash  # type: ignore[assignment, method-assign]
    with pytest.raises(OSError, match="crash"):
        repository.publish({**TARGETS, "trusted_root.json": b"new"})
    files.replace = replace  # type: ignore[method-assign]
    newest = other.read("timestamp.json")
    assert files.files["tuf/timestamp.json"] != newest
    assert not other.refresh()
    assert files.files["tuf/timestamp.json"] == newest


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["memory", "folder", "s3"])
def test_many_at_once(
    request: pytest.FixtureRequest, keys: RoleKeys, clock: Clock, tmp_path: Path, kind: str
) -> None:
    """However many hosts start, renew and publish at once, a client's next update succeeds."""
    store: ObjectStore
    if kind == "memory":
        store = MemoryObjects()
    elif kind == "folder":
        store = FolderObjects(tmp_path / "objects")
    else:
        store = open_objects(request.getfixturevalue("new_s3")(), S3_ENVIRON)
    with ThreadPoolExecutor(6) as pool:
        hosts = list(pool.map(lambda _: Repository(store, keys, clock), range(6)))
        assert len({host.fingerprint for host in hosts}) == 1
        assert any(pool.map(lambda host: host.publish(TARGETS), hosts))
        root = store.get("tuf/1.root.json")
        assert root is not None
        client = Client(tmp_path / "client", root)
        for day in range(0, 400, 50):
            clock.now = START + timedelta(days=day)
            work = [pool.submit(host.refresh) for host in hosts[:4]]
            work += [pool.submit(host.publish, TARGETS) for host in hosts[4:]]
            for each in work:
                each.result(60)
            for host in hosts:
                assert client.update(host, clock.now) == TARGETS


def test_before_numbers(files: Files, keys: RoleKeys, clock: Clock, tmp_path: Path) -> None:
    """A repository whose timestamps had no numbers yet goes on."""
    Repository(files, keys, clock).publish(TARGETS)
    client = Client(tmp_path, root_of(files))
    client.update(Repository(files, keys, clock), clock.now)
    del files.files["tuf/1.timestamp.json"]
    clock.now += timedelta(days=2)
    repository = Repository(files, keys, clock)

    assert repository.refresh()
    assert client.update(repository, clock.now) == TARGETS
