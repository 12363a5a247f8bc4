"""Keys exchanged beside real servers: nobody is refused, all is proven, wherever it is cut."""

import json
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.server.conftest import until
from tests.server.rotating import (
    MEMBERS,
    NOW,
    People,
    check_all,
    count_by_key,
    is_by_new_keys,
    listed,
    now,
    opened,
    rotate,
    touchplate,
    trust,
)
from tests.server.test_opening import Crash, crashing
from tests.server.test_rotation_process import run as run_log
from touchplate.errors import SettingsError
from touchplate.formats.trusted_root import encode_trusted_root
from touchplate.keystore import create_signer
from touchplate.server import appointment
from touchplate.server import data as data_room
from touchplate.server.appointment import Wish
from touchplate.server.data import DataFolder
from touchplate.server.settings import CaSettings, ServeSettings
from touchplate.server.succession import ROLES
from touchplate.storage.folder import FolderObjects
from touchplate.storage.sqlite import SQLiteLog

if TYPE_CHECKING:
    from tests.server.conftest import Start

pytestmark = pytest.mark.slow


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
