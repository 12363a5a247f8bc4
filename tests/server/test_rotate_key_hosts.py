"""Keys exchanged on several hosts that share a storage."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.server.conftest import until
from tests.server.rotating import (
    NOW,
    People,
    check_all,
    count_by_key,
    is_by_new_keys,
    now,
    opened,
    touchplate,
    trust,
)
from tests.server.test_hosts import URL, options
from tests.server.test_ownership import copy_host
from tests.servers.fixtures import S3_ENVIRON
from touchplate.errors import SettingsError, UnavailableError
from touchplate.formats.trusted_root import encode_trusted_root
from touchplate.server import appointment
from touchplate.server.appointment import Wish
from touchplate.server.rotation import rotate_log
from touchplate.server.settings import ServeSettings, StorageSettings
from touchplate.server.succession import ROLES

if TYPE_CHECKING:
    from tests.server.conftest import Start

pytestmark = pytest.mark.slow


def test_two_hosts(tmp_path: Path) -> None:
    """A host without the new keys goes on until they are to sign, and then says what is missing."""
    storage = StorageSettings(f"{tmp_path.as_uri()}/d", f"{tmp_path.as_uri()}/o")
    one, two = tmp_path / "one", tmp_path / "two"
    with opened(one, storage):
        pass
    copy_host(one, two)
    with opened(two, storage) as second:
        for role in ROLES:
            appointment.rotate_key(
                ServeSettings(one, storage=storage), {}, now, Wish(role, timedelta(seconds=3))
            )
        assert second.follow()
        names = {role: f"{role}-2" for role in ROLES}
        change = max(second.authorities.lines[role].newest.signs_from for role in ROLES)
        until(lambda: now() > change)
        for role in ROLES:
            with pytest.raises(UnavailableError, match=names[role]):
                second.health.checks[role]()
        assert set(second.health.failures()) >= set(ROLES)
        for name in names.values():
            key = (one / "keys" / f"{name}.pem").read_bytes()
            (two / "keys" / f"{name}.pem").touch(0o600)
            (two / "keys" / f"{name}.pem").write_bytes(key)
        second.follow()
        for role in ROLES:
            second.health.checks[role]()
        with opened(one, storage) as first:
            assert encode_trusted_root(first.trusted_root) == encode_trusted_root(
                second.trusted_root
            )
    # The old keys are not needed any more, on any host.
    for role in ROLES:
        (two / "keys" / f"{role}.pem").unlink()
    with opened(two, storage) as second:
        assert second.health.failures() == {}
    (two / "keys" / "tsa-2.pem").unlink()
    with pytest.raises(SettingsError) as caught, opened(two, storage):
        pass
    assert caught.value.code == "KEY_NOT_FOUND"


class Hosts:
    """Two hosts of one instance on PostgreSQL and S3, with two workers each, and their people."""

    def __init__(self, start: "Start", database: str, objects: str, folder: Path) -> None:
        given = (*options(database, objects), "--workers", "2")
        self.one, self.two = folder / "one", folder / "two"
        self.first = start(self.one, *given, environ=S3_ENVIRON)
        self.first.wait_until_listening()
        copy_host(self.one, self.two)
        self.second = start(self.two, *given, environ=S3_ENVIRON)
        self.second.wait_until_listening()
        self._storage = ("--database", database, "--objects", objects)
        self.people = [People(each, self.one, 2) for each in (self.first, self.second)]
        for each in self.people:
            each.more(5)

    def rotate(self, *words: str) -> str:
        """Run `touchplate rotate …` on the first host."""
        at = (*self._storage, "--data", str(self.one))
        done = touchplate("rotate", *words, *at, environ=S3_ENVIRON)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def wait_until_signs(self, *names: str) -> None:
        """Wait until these keys sign."""

        def has_changed() -> bool:
            rows = json.loads(self.rotate("list", "--json"))["keys"]
            return set(names) <= {row["name"] for row in rows if row["state"] == "signs"}

        until(has_changed)

    def end(self, *roles: str) -> None:
        """End both; all that was made is believed, and each key of these roles has signed."""
        root, issuer = trust(self.first).trusted_root, f"{URL}/oidc"
        made = self.people[0].made
        until(lambda: is_by_new_keys(root, issuer, made[-10:], roles))
        for each in self.people:
            each.stop()
        for each in self.people:
            check_all(root, issuer, each.made)
        for role in roles:
            counts = count_by_key(root, issuer, role, self.people[0].made)
            assert all(counts)
            assert sum(counts) == len(self.people[0].made)
        for server in (self.first, self.second):
            assert server.stop() == 0
            assert "Traceback" not in server.failure()
            assert self._storage[1] not in server.failure()


def test_hosts_under_load(
    start: "Start", new_postgres: Callable[[], str], new_s3: Callable[[], str], tmp_path: Path
) -> None:
    """While people sign with two hosts every role's key is exchanged at once: nobody is refused."""
    hosts = Hosts(start, new_postgres(), new_s3(), tmp_path)
    for role in ROLES:
        hosts.rotate(role, "--prepare")
        copy_key(hosts.one, hosts.two, f"{role}-2")
        hosts.rotate(role, "--overlap", "0")
    hosts.wait_until_signs(*(f"{role}-2" for role in ROLES))
    hosts.end(*ROLES)
    assert [each.refused for each in hosts.people] == [[], []]


def test_host_without_the_key(
    start: "Start", new_postgres: Callable[[], str], new_s3: Callable[[], str], tmp_path: Path
) -> None:
    """A host that gets the key too late refuses until then; the other one goes on.

    Nothing that either has signed is not believed.
    """
    hosts = Hosts(start, new_postgres(), new_s3(), tmp_path)
    hosts.rotate("tsa", "--overlap", "5s")
    until(lambda: bool(hosts.people[1].refused))
    assert {type(each) for each in hosts.people[1].refused} == {UnavailableError}
    until(lambda: hosts.second.get("/readyz")[0] == 503)
    copy_key(hosts.one, hosts.two, "tsa-2")
    # Each worker finds it by itself; which one answers is chance.
    for _ in range(10):
        until(lambda: hosts.second.get("/readyz")[0] == 200)
    hosts.end("tsa")
    assert hosts.people[0].refused == []
    assert "tsa-2" in hosts.second.failure()


def copy_key(one: Path, two: Path, name: str) -> None:
    """Copy a key to another host."""
    path = two / "keys" / f".{name}"
    path.touch(0o600)
    path.write_bytes((one / "keys" / f"{name}.pem").read_bytes())
    path.rename(two / "keys" / f"{name}.pem")


def test_host_that_does_not_follow_the_log(tmp_path: Path) -> None:
    """A host without the key of the log's next tree still changes to the other roles' new keys."""
    storage = StorageSettings(f"{tmp_path.as_uri()}/d", f"{tmp_path.as_uri()}/o")
    one, two = tmp_path / "one", tmp_path / "two"
    with opened(one, storage):
        pass
    copy_host(one, two)
    settings = ServeSettings(one, storage=storage)
    with opened(two, storage) as second:
        rotate_log(settings, {}, now, None)
        for role in ROLES:
            appointment.rotate_key(settings, {}, now, Wish(role, NOW))
            copy_key(one, two, f"{role}-2")
        with pytest.raises(UnavailableError, match="tlog-2"):
            second.follow()
        for role, office in (("ca", second.authorities.ca), ("tsa", second.authorities.tsa)):
            assert office.opened[second.authorities.lines[role].newest] is office.holder()
        assert second.authorities.active().origin.endswith("/ct-logs/2/ct")
        assert set(second.health.failures()) & set(ROLES) == set()


def test_two_hosts_decide_at_once(tmp_path: Path) -> None:
    """A host that has not heard of a rotation cannot decide on another one beside it."""
    storage = StorageSettings(f"{tmp_path.as_uri()}/d", f"{tmp_path.as_uri()}/o")
    one, two = tmp_path / "one", tmp_path / "two"
    with opened(one, storage):
        pass
    copy_host(one, two)
    settings = [ServeSettings(each, storage=storage) for each in (one, two)]
    appointment.rotate_key(settings[0], {}, now, Wish("tsa", timedelta(days=1)))
    # It is announced; the key is not on this host, and no second one is begun.
    again = appointment.rotate_key(settings[1], {}, now, Wish("tsa", timedelta(days=1)))
    assert again.resumed
    assert again.tenure.name == "tsa-2"
