"""Keys exchanged beside real servers: nobody is refused, all is proven, wherever it is cut."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from tests.server.conftest import until
from tests.server.test_hosts import URL, options
from tests.server.test_opening import Crash, crashing
from tests.server.test_ownership import copy_host
from tests.server.test_rotation_process import run as run_log
from tests.servers.fixtures import S3_ENVIRON
from touchplate.errors import SettingsError, TouchplateError, UnavailableError, VerificationError
from touchplate.formats.bundle import Bundle
from touchplate.formats.signing_config import ClientTrustConfig, parse_client_trust_config
from touchplate.formats.trusted_root import TrustedRoot, encode_trusted_root
from touchplate.keystore import create_signer
from touchplate.server import appointment
from touchplate.server import data as data_room
from touchplate.server.appointment import Wish
from touchplate.server.build import Deployment
from touchplate.server.data import DataFolder
from touchplate.server.opening import choose_origin, open_deployment
from touchplate.server.rotation import rotate_log
from touchplate.server.settings import CaSettings, ServeSettings, StorageSettings
from touchplate.server.succession import ROLES
from touchplate.sign import Signer, connect
from touchplate.storage.folder import FolderObjects
from touchplate.storage.sqlite import SQLiteLog
from touchplate.transport.http import HttpTransport
from touchplate.verify import Artifact, identity, verify

if TYPE_CHECKING:
    from tests.server.conftest import Server, Start

pytestmark = pytest.mark.slow

EMAIL = "a@example.org"
NOW = timedelta(0)
MEMBERS = {"ca": "certificate_authorities", "tsa": "timestamp_authorities", "ct": "ctlogs"}


def now() -> datetime:
    """Give the time."""
    return datetime.now(UTC)


def touchplate(
    *words: str, environ: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Run our command."""
    return subprocess.run(
        (sys.executable, "-m", "touchplate.cli.__main__", *words),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environ},
    )


def rotate(data: Path, *words: str) -> str:
    """Run `touchplate rotate …` on the folder; give what it printed."""
    done = touchplate("rotate", *words, "--data", str(data))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def listed(data: Path) -> dict[str, str]:
    """Give the state of each key, by its name."""
    return {
        each["name"]: each["state"] for each in json.loads(rotate(data, "list", "--json"))["keys"]
    }


def trust(server: "Server") -> ClientTrustConfig:
    """Fetch what clients are to know now; what they sign with is at this server."""
    answer = HttpTransport().request("GET", f"{server.url}/trust_config.json")
    here = answer.body.replace(URL.encode(), server.url.encode())
    return ClientTrustConfig(
        parse_client_trust_config(answer.body).trusted_root,
        parse_client_trust_config(here).signing_config,
    )


@contextmanager
def opened(data: Path, storage: StorageSettings | None = None) -> Iterator[Deployment]:
    """Open a folder as its server does."""
    settings = ServeSettings(data, storage=storage or StorageSettings())
    with DataFolder.serve(data) as folder:
        origin, follows = choose_origin(folder.instance, None, ("127.0.0.1", 1))
        deployment = open_deployment(folder, origin, follows=follows, settings=settings, now=now)
        with closing(deployment):
            yield deployment


class People:
    """Threads that sign until they are told to stop, each with the trust of its own last look.

    Whose trust is too old looks again, once, as `touchplate sign` does before it begins.
    """

    def __init__(self, server: "Server", data: Path, threads: int) -> None:
        self.made: list[tuple[bytes, Bundle]] = []
        self.refused: list[TouchplateError] = []
        self._server = server
        self._token = touchplate("token", "--data", str(data), "--email", EMAIL).stdout.strip()
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._sign, args=(number,)) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def more(self, count: int) -> None:
        """Wait until so many more were signed."""
        enough = len(self.made) + count
        until(lambda: len(self.made) >= enough or bool(self.refused))

    def stop(self) -> None:
        """Stop."""
        self._stopped = True
        for thread in self._threads:
            thread.join(60)

    def _sign(self, thread: int) -> None:
        number = 0
        while not self._stopped:
            artifact = f"{thread} {number}".encode()
            try:
                self.made.append((artifact, self._sign_one(artifact)))
            except TouchplateError as error:
                self.refused.append(error)
                return
            number += 1

    def _sign_one(self, artifact: bytes) -> Bundle:
        for last in (False, True):
            config = trust(self._server)
            services = connect(config.signing_config, config.trusted_root, HttpTransport(), now())
            try:
                return Signer(services, self._token, now).sign(Artifact.from_bytes(artifact)).bundle
            except VerificationError:
                # Signed by a key that was decided on since we looked.
                if last:
                    raise
        raise AssertionError("one of both ways was taken")


def check_all(root: TrustedRoot, issuer: str, made: list[tuple[bytes, Bundle]]) -> None:
    """Verify bundles."""
    for artifact, bundle in made:
        verify(bundle, Artifact.from_bytes(artifact), identity(EMAIL, issuer), root)


def count_by_key(
    root: TrustedRoot, issuer: str, role: str, made: list[tuple[bytes, Bundle]]
) -> list[int]:
    """Give how many bundles verify with each member of a role alone."""
    counts = []
    for member in getattr(root, MEMBERS[role]):
        changed: dict[str, Any] = {MEMBERS[role]: (member,)}
        alone = root._replace(**changed)
        count = 0
        for each in made:
            try:
                check_all(alone, issuer, [each])
                count += 1
            except VerificationError:
                pass
        counts.append(count)
    return counts


def is_by_new_keys(
    root: TrustedRoot, issuer: str, made: list[tuple[bytes, Bundle]], roles: Sequence[str]
) -> bool:
    """Say whether each role's newest key has signed all of these."""
    return all(count_by_key(root, issuer, role, made)[-1] == len(made) for role in roles)


@pytest.mark.parametrize("workers", [1, 2])
def test_under_load(start: "Start", tmp_path: Path, workers: int) -> None:
    """While people sign, every role's key is exchanged: nobody is refused, all bundles verify.

    Bundles of before verify with the trust of then, and with that of now.
    """
    data = tmp_path / "data"
    server = start(data, "--workers", str(workers))
    server.wait_until_ready()
    issuer = f"{server.url}/oidc"
    before = trust(server).trusted_root
    people = People(server, data, 3)
    people.more(20)
    old = people.made[:20]
    for role in ROLES:
        said = rotate(data, role, "--overlap", "2s")
        assert f"{role}-2" in said
        people.more(15)
    until(lambda: set(listed(data).values()) == {"retired", "signs"})
    root = trust(server).trusted_root
    until(lambda: is_by_new_keys(root, issuer, people.made[-20:], ROLES))
    people.stop()
    assert [str(each) for each in people.refused] == []
    check_all(root, issuer, people.made)
    check_all(before, issuer, old)
    for role in ROLES:
        first, second = count_by_key(root, issuer, role, people.made)
        assert first >= 20
        assert second >= 20
        assert first + second == len(people.made)
    checked = run_log(data, "check", "--entries")
    assert checked.returncode == 0, checked.stdout
    assert [line.split(":")[0] for line in checked.stdout.splitlines()] == ["tlog", "ct", "ct-2"]
    assert server.stop() == 0
    assert "Traceback" not in server.failure()


@pytest.mark.parametrize(("role", "finish"), [("tsa", "start"), ("ca", "rotate"), ("ct", "start")])
def test_cut_at_every_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str, finish: str
) -> None:
    """Wherever a rotation ends, the next start or the next call leaves one whole succession."""
    steps, done, outcomes = 0, False, set()
    while not done:
        path = tmp_path / f"{finish}{steps}"
        with opened(path):
            pass
        left = [steps]
        with monkeypatch.context() as patched:
            for owner, name in (
                (data_room, "save_file"),
                (data_room, "create_signer"),
                (SQLiteLog, "transaction"),
                (FolderObjects, "put"),
                (FolderObjects, "replace"),
            ):
                patched.setattr(owner, name, crashing(getattr(owner, name), left))
            try:
                appointment.rotate_key(ServeSettings(path), {}, now, Wish(role, NOW))
                done = True
            except Crash:
                pass
        if finish == "rotate" and not done:
            appointment.rotate_key(ServeSettings(path), {}, now, Wish(role, NOW))
        with opened(path) as deployment:
            line = deployment.authorities.lines[role]
            outcomes.add(len(line.tenures))
            assert line.at(now()) is line.newest
            deployment.health.checks[role]()
            published = deployment.publication.published().trusted_root
            assert len(getattr(published, MEMBERS[role])) == len(line.tenures)
        with opened(path) as deployment:
            assert deployment.authorities.lines[role] == line
        assert len(line.tenures) == 2 if finish == "rotate" else len(line.tenures) <= 2
        steps += 1
    assert steps > 5
    assert outcomes == ({1, 2} if finish == "start" else {2})


def test_killed(start: "Start", tmp_path: Path) -> None:
    """Rotations that are killed beside a server under load: people go on, and all is proven."""
    data = tmp_path / "data"
    server = start(data, "--workers", "2")
    server.wait_until_ready()
    people = People(server, data, 2)
    people.more(5)
    for number in range(9):
        process = subprocess.Popen(
            (
                *(sys.executable, "-m", "touchplate.cli.__main__", "rotate", ROLES[number % 3]),
                *("--overlap", "0", "--data", str(data)),
            ),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(0.5 + 0.15 * number)
        process.send_signal(signal.SIGKILL)
        process.wait()
        people.more(2)
    for role in ROLES:
        rotate(data, role, "--overlap", "0")
    until(lambda: "announced" not in listed(data).values())
    people.more(10)
    people.stop()
    assert [str(each) for each in people.refused] == []
    check_all(trust(server).trusted_root, f"{server.url}/oidc", people.made)
    assert server.stop() == 0
    assert "Traceback" not in server.failure()


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


def test_old_storage_is_refused(tmp_path: Path) -> None:
    """Storage of before a rotation does not bring the old key back."""
    data = tmp_path / "data"
    with opened(data):
        pass
    appointment.rotate_key(ServeSettings(data), {}, now, Wish("tsa", NOW))
    (data / "objects" / "succession" / "1").unlink()
    with pytest.raises(SettingsError) as caught, opened(data):
        pass
    assert caught.value.code == "STATE_BEHIND"
    assert json.loads((data / "instance.json").read_text())["format"] == 3


def test_backup(tmp_path: Path) -> None:
    """A backup has all logs and decisions; what is restored signs with the same keys."""
    data, again = tmp_path / "data", tmp_path / "again"
    with opened(data):
        pass
    for role in ROLES:
        rotate(data, role, "--overlap", "0")
    rotate(data, "tsa", "--overlap", "7d")
    done = touchplate("backup", "--data", str(data), "--out", str(tmp_path / "backup.tar"))
    assert done.returncode == 0, done.stderr
    done = touchplate("restore", str(tmp_path / "backup.tar"), "--data", str(again))
    assert done.returncode == 0, done.stderr
    assert listed(again) == listed(data)
    with opened(data) as before:
        root = encode_trusted_root(before.trusted_root)
    with opened(again) as after:
        assert encode_trusted_root(after.trusted_root) == root
        assert after.health.failures() == {}
    checked = run_log(again, "check")
    assert checked.returncode == 0, checked.stdout
    assert "ct-2: whole" in checked.stdout


def test_replace(tmp_path: Path) -> None:
    """An announced key is given back, not doubled; another one can take its place."""
    data = tmp_path / "data"
    with opened(data):
        pass
    first = rotate(data, "ca", "--overlap", "7d")
    assert "ca-2 had been decided on before" in rotate(data, "ca", "--overlap", "7d")
    assert listed(data)["ca-2"] == "announced"
    said = rotate(data, "ca", "--replace", "--overlap", "0", "--new-root")
    assert said.startswith("ca-3 ")
    states = listed(data)
    assert [states[name] for name in ("ca", "ca-2", "ca-3")] == ["retired", "never signed", "signs"]
    assert "ca-2" in first


@pytest.mark.parametrize("role", ROLES)
def test_lost_key(tmp_path: Path, role: str) -> None:
    """An announced key that is lost does not stop a start, and another one takes its place."""
    data = tmp_path / "data"
    with opened(data):
        pass
    appointment.rotate_key(ServeSettings(data), {}, now, Wish(role, timedelta(days=7)))
    (data / "keys" / f"{role}-2.pem").unlink()
    with opened(data) as deployment:
        assert deployment.health.failures() == {}
    wish = Wish(role, NOW, replace=True)
    assert appointment.rotate_key(ServeSettings(data), {}, now, wish).tenure.number == 3
    with opened(data) as deployment:
        assert deployment.health.failures() == {}
        assert len(getattr(deployment.trusted_root, MEMBERS[role])) == 2


def test_refused_keys(tmp_path: Path) -> None:
    """A key that is in use, of a wrong kind or not there is refused, and nothing is changed."""
    data = tmp_path / "data"
    with opened(data):
        pass
    for name, kind in (("edwards", "ed25519"), ("large", "ecdsa-p384"), ("good", "ecdsa-p256")):
        create_signer((tmp_path / f"{name}.pem").as_uri(), kind)
    before = tree(data)

    def refused(role: str, key: str) -> str:
        done = touchplate("rotate", role, "--key", key, "--data", str(data))
        assert done.returncode == 2
        assert tree(data) == before
        return done.stderr

    for role in ROLES:
        assert "in use, as issuer" in refused(role, (data / "keys" / "issuer.pem").as_uri())
        assert "in use, as tsa" in refused(role, (data / "keys" / "tsa.pem").as_uri())
        assert "wrong kind" in refused(role, (tmp_path / "edwards.pem").as_uri())
        assert "KEY_NOT_FOUND" in refused(role, (tmp_path / "nothing.pem").as_uri())
        assert "SETTINGS_INVALID" in refused(role, "gopher:x")
    assert "wrong kind" in refused("ct", (tmp_path / "large.pem").as_uri())
    good = (tmp_path / "good.pem").as_uri()
    assert "tsa-2" in rotate(data, "tsa", "--key", good, "--overlap", "0")
    assert (data / "keys" / "tsa-2.uri").read_text().strip() == good
    assert not (data / "keys" / "tsa-2.pem").exists()
    with opened(data) as deployment:
        assert deployment.authorities.lines["tsa"].newest.number == 2
        assert deployment.health.failures() == {}
    before = tree(data)
    assert "in use" in refused("ct", good)


def tree(data: Path) -> dict[str, bytes]:
    """Give what decides over a folder: its keys, what it remembers, and its objects."""
    paths = [*(data / "keys").iterdir(), data / "instance.json", *(data / "objects").rglob("*")]
    return {str(each): each.read_bytes() for each in paths if each.is_file()}


def test_wrong_words(tmp_path: Path) -> None:
    """What makes no sense is refused before anything is opened."""
    data = str(tmp_path / "data")
    for words in (
        ("tsa", "--overlap", "7"),
        ("tsa", "--overlap", "400d"),
        ("tsa", "--new-root", "--chain", "x"),
        ("ct", "--new-root"),
        ("x",),
        ("tsa",),
    ):
        done = touchplate("rotate", *words, "--data", data)
        assert done.returncode == 2, words
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("role", ["ca", "tsa"])
def test_chain_from_elsewhere(tmp_path: Path, role: str) -> None:
    """The key is prepared, its chain made elsewhere; one of another key is refused."""
    from touchplate import ca, tsa
    from touchplate.formats.certificate import parse_certificate
    from touchplate.keys.signer import generate

    data = tmp_path / "data"
    with opened(data):
        pass
    prepared = rotate(data, role, "--prepare")
    assert prepared == rotate(data, role, "--prepare")
    assert listed(data)[role] == "signs"
    with DataFolder.serve(data) as folder:
        signer = folder.load_key(f"{role}-2")
    assert signer.public_key.pem() in prepared
    file = tmp_path / "chain.pem"
    create = ca.create_chain if role == "ca" else tsa.create_chain
    for key, status in ((generate("ecdsa-p256"), 2), (signer, 0)):
        made = create(
            generate("ecdsa-p384"), key, organization="example", common_name="x", now=now()
        )
        file.write_text("".join(parse_certificate(der).pem() for der in made))
        done = touchplate("rotate", role, "--chain", str(file), "--data", str(data))
        assert done.returncode == status, done.stderr
    # The next one under that root is for its owner to make.
    done = touchplate("rotate", role, "--replace", "--data", str(data))
    assert done.returncode == 2
    assert (
        touchplate("rotate", role, "--replace", "--new-root", "--data", str(data)).returncode == 0
    )


def test_operators_chain(tmp_path: Path) -> None:
    """Whose chain is in the settings is told that the next one is theirs to make, too."""
    with pytest.raises(SettingsError) as caught:
        appointment.rotate_key(
            ServeSettings(tmp_path, ca=CaSettings(chain=tmp_path / "x")), {}, now, Wish("ca", NOW)
        )
    assert "--chain" in str(caught.value.hint)


def test_rotate_log(tmp_path: Path) -> None:
    """`rotate log` is `log rotate`: the same keys, the same words."""
    data = tmp_path / "data"
    with opened(data):
        pass
    prepared = rotate(data, "log", "--prepare")
    assert run_log(data, "rotate", "--prepare").stdout == prepared
    assert "tlog-2 takes entries from now on" in rotate(data, "log")
    assert "tlog-3 takes entries from now on" in run_log(data, "rotate").stdout
