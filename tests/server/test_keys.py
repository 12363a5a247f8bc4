"""Where an instance's keys rest: the settings, the secrets, and the key that is expected."""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest

from touchplate.errors import SettingsError
from touchplate.keystore import create_signer
from touchplate.server import vault as names
from touchplate.server.config import load_settings
from touchplate.server.data import DataFolder, Instance
from touchplate.server.key_list import list_keys
from touchplate.server.keys import KeyPlaces, KeySettings
from touchplate.server.secrets import OperatorSecrets

PIN = "4711"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOKEN = f"pkcs11:token=t;object=ca?module-path=/usr/lib/x.so&pin-value={PIN}"


def settings_file(data: Path, text: str, mode: int = 0o600) -> Path:
    """Write the settings of a folder."""
    data.mkdir(mode=0o700, exist_ok=True)
    path = data / "touchplate.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_every_key_has_a_setting() -> None:
    """Each key that an instance may have can rest elsewhere."""
    members = {each.name.replace("_", "-") for each in dataclasses.fields(KeySettings)}

    assert members == set(names.KINDS) | set(names.LATER_KINDS) | {"trees", "later"}


def test_settings(tmp_path: Path) -> None:
    """The table says for each key where it rests, for trees of the log by their names."""
    text = f'[keys]\nca = "{TOKEN}"\ntrees = {{ tlog-2 = "file:///x.pem" }}\n'
    settings_file(tmp_path, text)
    found = load_settings({}, data=str(tmp_path)).keys

    assert found.uris() == {"ca": TOKEN, "tlog-2": "file:///x.pem"}
    assert KeySettings().uris() == {}


@pytest.mark.parametrize(
    "line",
    [
        'ca = "gopher:x"',
        'ca = "4711"',
        "ca = 4711",
        'ca-root = "file:///x"',
        'trees = { ca = "file:///x" }',
        'trees = { tlog-2 = "4711" }',
        'trees = "4711"',
        'later = { tlog-2 = "file:///x" }',
        'later = { tsa = "file:///x" }',
        'later = { tsa-2 = "4711" }',
    ],
)
def test_wrong_setting(tmp_path: Path, line: str) -> None:
    """What is no key's URI is refused, with its line."""
    settings_file(tmp_path, f"[keys]\n{line}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings({}, data=str(tmp_path))

    assert caught.value.code == "SETTINGS_INVALID"
    assert "touchplate.toml" in str(caught.value)


def test_pin_in_open_file(tmp_path: Path) -> None:
    """A settings file with a PIN in it is for its owner alone; the PIN is not quoted."""
    settings_file(tmp_path, f'[keys]\nca = "{TOKEN}"\n', 0o644)
    with pytest.raises(SettingsError) as caught:
        load_settings({}, data=str(tmp_path))

    assert caught.value.code == "DATA_FOLDER_UNSAFE"
    assert PIN not in str(caught.value)
    settings_file(tmp_path, '[keys]\nca = "file:///x.pem?passphrase=env:P"\n', 0o644)
    load_settings({}, data=str(tmp_path))


def test_next_tree_is_not_left_in_a_file(tmp_path: Path) -> None:
    """Who keeps the log's key in a token must say where the next tree's key is to be."""
    places = KeyPlaces({"tlog": TOKEN})
    with pytest.raises(SettingsError) as caught:
        places.uri(tmp_path, "tlog-2")

    assert "trees" in (caught.value.hint or "")
    assert KeyPlaces({"tlog": TOKEN, "tlog-2": "awskms:x"}).uri(tmp_path, "tlog-2") == "awskms:x"
    assert KeyPlaces({"tlog": TOKEN}).uri(tmp_path, "tlog-2-ed25519").startswith("file:")
    assert KeyPlaces().uri(tmp_path, "tlog-2").endswith("/keys/tlog-2.pem")


def test_sources(tmp_path: Path) -> None:
    """A secret comes from a file, a variable or a person, who is asked once."""
    path = tmp_path / "pin"
    path.touch(0o600)
    path.write_text("from file\r\n")
    asked: list[str] = []

    def ask(what: str) -> str:
        asked.append(what)
        return "said"

    secrets = OperatorSecrets({"P": "from env"}, ask)

    assert secrets.fetch(f"file:{path}", "x") == "from file"
    assert secrets.fetch(path.as_uri(), "x") == "from file"
    assert secrets.fetch(str(path), "x") == "from file"
    assert secrets.fetch("env:P", "x") == "from env"
    assert [secrets.fetch("prompt", "the PIN") for _ in range(3)] == ["said"] * 3
    assert asked == ["the PIN"]
    assert "said" not in repr(secrets)


@pytest.mark.parametrize(
    "source", ["|/bin/id", "env:", "env:NONE", "file:pin", "", "4711", "http://x"]
)
def test_unknown_source(source: str) -> None:
    """A command is not run, an address not fetched, a name not guessed."""
    with pytest.raises(SettingsError) as caught:
        OperatorSecrets().fetch(source, "the PIN")

    assert "4711" not in str(caught.value)


def test_secret_that_others_can_read(tmp_path: Path) -> None:
    """A secret's file must be as private as a key's."""
    path = tmp_path / "pin"
    path.write_text("4711")
    path.chmod(0o644)
    with pytest.raises(SettingsError) as caught:
        OperatorSecrets().fetch(f"file:{path}", "the PIN")

    assert caught.value.code == "DATA_FOLDER_UNSAFE"
    assert "4711" not in str(caught.value)


@pytest.fixture
def started(tmp_path: Path) -> Path:
    """Give the folder of an instance that has opened one key, and completed its first start."""
    data = tmp_path / "data"
    with DataFolder.serve(data) as folder:
        instance = Instance("http://x", False, NOW, "ecdsa-p256")
        folder.remember(instance)
        folder.key("ct", "ecdsa-p256")
        folder.remember_keys()
        folder.remember(dataclasses.replace(instance, complete=True))
    return data


def test_other_key(started: Path, tmp_path: Path) -> None:
    """A key that is not the one of before is refused, wherever it rests; the old one is not."""
    other = (tmp_path / "other" / "ct.pem").as_uri()
    create_signer(other)
    with pytest.raises(SettingsError) as caught:
        DataFolder(started, KeyPlaces({"ct": other})).key("ct", "ecdsa-p256")

    assert caught.value.code == "KEY_NOT_FOUND"
    assert DataFolder(started).key("ct", "ecdsa-p256").public_key == DataFolder(
        started
    ).find_public_key("ct")


def test_same_key_elsewhere(started: Path, tmp_path: Path) -> None:
    """A key may move: what counts is which key it is."""
    moved = tmp_path / "moved"
    moved.mkdir(mode=0o700)
    (started / "keys" / "ct.pem").rename(moved / "ct.pem")
    places = KeyPlaces({"ct": (moved / "ct.pem").as_uri()})

    moved_key = DataFolder(started, places).key("ct", "ecdsa-p256").public_key
    assert moved_key == DataFolder(started).find_public_key("ct")


def test_lost_key_is_not_made_anew(started: Path) -> None:
    """A key that was there is missing: that is an error, also for one that is made late."""
    (started / "keys" / "ct.pem").unlink()
    with pytest.raises(SettingsError) as caught:
        DataFolder(started).later_key("ct", "ecdsa-p256")

    assert caught.value.code == "KEY_NOT_FOUND"
    assert DataFolder(started).public_key("ct").kind == "ecdsa-p256"


def test_wrong_kind(started: Path, tmp_path: Path) -> None:
    """A log's key of another kind than clients know how to check is refused."""
    other = (tmp_path / "other" / "tlog.pem").as_uri()
    create_signer(other, "ecdsa-p384")
    with pytest.raises(SettingsError) as caught:
        DataFolder(started, KeyPlaces({"tlog": other})).later_key("tlog", "ecdsa-p256")

    assert (caught.value.expected, caught.value.found) == ("ecdsa-p256", "ecdsa-p384")


def test_damaged_public_half(started: Path) -> None:
    """A public half that cannot be read is no reason to believe any key."""
    (started / "keys" / "ct.pub").write_text("-----BEGIN PUBLIC KEY-----\n")
    with pytest.raises(SettingsError) as caught:
        DataFolder(started).key("ct", "ecdsa-p256")

    assert caught.value.code == "SETTINGS_INVALID"


def test_list(started: Path) -> None:
    """Keys are listed with kind, id and place; a PIN is not, and no store is asked."""
    settings_file(started, f'[keys]\nca = "{TOKEN}"\n')
    rows = list_keys(load_settings({}, data=str(started)), {})
    ca, ct = rows

    assert (ct.name, ct.kind) == ("ct", "ecdsa-p256")
    assert ct.key_id == DataFolder(started).public_key("ct").key_id.hex()
    assert (ca.name, ca.kind, ca.key_id) == ("ca", "", "")
    assert ca.uri.startswith("pkcs11:token=t")
    assert PIN not in repr(rows)
