"""From a folder to a deployment: interruptions at every step, and what the URL may become."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from touchplate.errors import SettingsError
from touchplate.server import data
from touchplate.server.build import Deployment
from touchplate.server.data import DataFolder, Instance
from touchplate.server.opening import choose_origin, open_deployment
from touchplate.server.settings import ServeSettings, parse_origin
from touchplate.storage.folder import FolderObjects
from touchplate.storage.sqlite import SQLiteLog

START = datetime(2030, 1, 1, tzinfo=UTC)
LISTENING = ("127.0.0.1", 7878)
INSTANCE = Instance("http://127.0.0.1:7878", True, START, "ecdsa-p256", complete=True)


@contextmanager
def opened(path: Path, now: datetime = START, url: str | None = None) -> Iterator[Deployment]:
    """Open a folder's deployment, listening at the usual address."""
    with DataFolder.serve(path) as folder:
        given = None if url is None else parse_origin(url)
        origin, follows = choose_origin(folder.instance, given, LISTENING)
        deployment = open_deployment(
            folder, origin, follows=follows, settings=ServeSettings(path), now=lambda: now
        )
        try:
            yield deployment
        finally:
            deployment.close()


class Crash(BaseException):
    """The process ends here."""


def crashing(function: object, steps: list[int]) -> object:
    """Make a function that crashes before it does anything, once `steps` are used up."""

    def run(*args: object, **kwargs: object) -> object:
        if steps[0] == 0:
            raise Crash
        steps[0] -= 1
        assert callable(function)
        return function(*args, **kwargs)

    return run


@pytest.mark.slow
def test_crash_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the first start ends, the next one completes the same instance."""
    done = False
    steps_taken = 0
    while not done:
        path = tmp_path / str(steps_taken)
        steps = [steps_taken]
        with monkeypatch.context() as patched:
            # Each write of the first start: instance.json, keys, chains, databases, objects.
            for owner, name in (
                (data, "save_file"),
                (data, "create_signer"),
                (SQLiteLog, "transaction"),
                (FolderObjects, "put"),
                (FolderObjects, "replace"),
            ):
                patched.setattr(owner, name, crashing(getattr(owner, name), steps))
            try:
                with opened(path):
                    done = True
            except Crash:
                pass
        first = {each.name: each.read_bytes() for each in path.glob("keys/*.pem")}
        with opened(path) as deployment:
            deployment.repository.read("timestamp.json")
            assert deployment.health.failures() == {}
            fingerprint = deployment.repository.fingerprint
        for name, pem in first.items():
            assert (path / "keys" / name).read_bytes() == pem
        with opened(path) as deployment:
            assert deployment.repository.fingerprint == fingerprint
        steps_taken += 1
    assert steps_taken > 20


def test_no_key_is_made_anew(tmp_path: Path) -> None:
    """An instance that lost a key does not start."""
    with opened(tmp_path):
        pass
    (tmp_path / "keys" / "tlog.pem").unlink()
    with pytest.raises(SettingsError) as caught, opened(tmp_path):
        pass
    assert caught.value.code == "KEY_NOT_FOUND"


def test_keys_exchanged(tmp_path: Path) -> None:
    """An authority's key that does not fit its certificate stops the start."""
    with opened(tmp_path):
        pass
    (tmp_path / "keys" / "ca.pem").unlink()
    (tmp_path / "keys" / "ct.pem").rename(tmp_path / "keys" / "ca.pem")
    (tmp_path / "keys" / "issuer.pem").rename(tmp_path / "keys" / "ct.pem")
    (tmp_path / "keys" / "ca-root.pem").rename(tmp_path / "keys" / "issuer.pem")
    (tmp_path / "keys" / "tsa-root.pem").rename(tmp_path / "keys" / "ca-root.pem")
    with pytest.raises(SettingsError) as caught, opened(tmp_path):
        pass
    assert caught.value.code == "KEY_NOT_FOUND"


def test_new_port(tmp_path: Path) -> None:
    """When the URL changes its port, clients are told so through the trust repository."""
    with opened(tmp_path) as deployment:
        before = deployment.repository.expiries()
        root = deployment.trusted_root
    with opened(tmp_path, url="http://127.0.0.1:9000") as deployment:
        assert deployment.trusted_root.tlogs[0].base_url == "http://127.0.0.1:9000"
        assert deployment.trusted_root.tlogs[0].log_id == root.tlogs[0].log_id
        assert deployment.issuer.url == "http://127.0.0.1:9000/oidc"
        assert deployment.repository.expiries() == before
        served = deployment.repository.read("2.targets.json")
        assert served is not None
        deployment.tlog.check()


def test_long_absence(tmp_path: Path) -> None:
    """An instance that was away for a year renews its metadata as it starts."""
    with opened(tmp_path):
        pass
    later = START + timedelta(days=400)
    with opened(tmp_path, later) as deployment:
        assert all(at > later for at in deployment.repository.expiries().values())
        assert deployment.health.failures() == {}


@pytest.mark.parametrize(
    ("instance", "given", "expected"),
    [
        (None, None, ("http://127.0.0.1:7878", True)),
        (None, "https://sign.example.org", ("https://sign.example.org", False)),
        (INSTANCE, None, ("http://127.0.0.1:7878", True)),
        (replace(INSTANCE, url="http://127.0.0.1:1"), None, ("http://127.0.0.1:7878", True)),
        (INSTANCE, "https://127.0.0.1", ("https://127.0.0.1", False)),
        (
            replace(INSTANCE, url="https://127.0.0.1", url_follows_listen=False),
            None,
            ("https://127.0.0.1", False),
        ),
    ],
)
def test_origin(instance: Instance | None, given: str | None, expected: tuple[str, bool]) -> None:
    """The operator's word wins, then what the folder remembers, then where the server listens."""
    origin, follows = choose_origin(
        instance, None if given is None else parse_origin(given), LISTENING
    )
    assert (origin.url, follows) == expected


@pytest.mark.parametrize(
    ("instance", "given"),
    [(INSTANCE, "http://localhost:7878"), (replace(INSTANCE, url="http://localhost:1"), None)],
)
def test_host_name_stays(instance: Instance, given: str | None) -> None:
    """The host name of an instance never changes."""
    with pytest.raises(SettingsError) as caught:
        choose_origin(instance, None if given is None else parse_origin(given), LISTENING)
    assert caught.value.code == "SETTINGS_INVALID"
