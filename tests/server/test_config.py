"""The settings file: what it may say, who may write it, and what is said about a mistake."""

from pathlib import Path

import pytest

from touchplate.errors import SettingsError
from touchplate.server.config import load_settings, parse_settings
from touchplate.server.rate import Rate
from touchplate.server.settings import ServeSettings, make_settings, parse_origin


def parse(text: str) -> ServeSettings:
    """Read a file's text."""
    return parse_settings(text.encode(), Path("/etc/touchplate.toml"), Path("/srv/data"))


def test_empty() -> None:
    """An empty file says nothing: all is as without it."""
    assert parse("") == ServeSettings(Path("/srv/data"))


def test_everything() -> None:
    """Each table and each kind of value is read; paths are relative to the file's folder."""
    settings = parse("""
        listen = "[::1]:80"
        url = "https://sign.example.org"
        ca_key = "p384"
        workers = 4
        [storage]
        database = "postgresql://db/x"
        [log]
        duplicates = "conflict"
        dsse_v002 = false
        algorithms = ["ecdsa-sha2-256-nistp256"]
        [limits]
        address = "100/s burst 500"
        reads = "off"
        proxies = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"]
        [witness]
        policy = "witness.txt"
        deadline_seconds = 2
        [grpc]
        listen = "127.0.0.1:3001"
    """)
    assert settings.listen == ("::1", 80)
    assert settings.url == parse_origin("https://sign.example.org")
    assert (settings.ca_key, settings.workers) == ("ecdsa-p384", 4)
    assert settings.storage.database == "postgresql://db/x"
    assert (settings.log.duplicates, settings.log.dsse_v002) == ("conflict", False)
    assert settings.log.algorithms == {"ecdsa-sha2-256-nistp256"}
    assert (settings.limits.address, settings.limits.reads) == (Rate(100, 1, 500), None)
    assert [str(each) for each in settings.limits.proxies] == [
        *("127.0.0.1/32", "10.0.0.0/8", "fd00::/8"),
    ]
    assert settings.witness.policy == Path("/etc/witness.txt")
    assert settings.witness.deadline_seconds == 2.0
    assert settings.grpc.listen == ("127.0.0.1", 3001)


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("wokers = 2", "line 1: wokers", "workers"),
        ("workers = 0", "line 1: workers", "1 to 64"),
        ("workers = true", "line 1: workers", "1 to 64"),
        ('workers = "2"', "line 1: workers", "1 to 64"),
        ('data = "/elsewhere"', "line 1: data", "listen"),
        ("\n[log]\nduplicates = 'maybe'", "line 3: log.duplicates", '"accept" or "conflict"'),
        ("log.duplicates = 'maybe'", "line 1: log.duplicates", '"accept" or "conflict"'),
        ("[log]\n\nkinds = ['jar']", "line 3: log.kinds", '"hashedrekord"'),
        ("[log]\nkinds = []", "line 2: log.kinds", '"hashedrekord"'),
        ("[log]\ndsse_v002 = 1", "line 2: log.dsse_v002", "true or false"),
        ("log = 1", "line 1: log", "[log]"),
        ("[lgo]\n", "line 1: lgo", "grpc"),
        ("[limits]\naddress = '100'", "line 2: limits.address", "off"),
        ("[limits]\naddress = '0/s'", "line 2: limits.address", "off"),
        ("[limits]\nproxies = ['10.0.0.1/8']", "line 2: limits.proxies", "networks"),
        ("[witness]\ndeadline_seconds = true", "line 2: witness.deadline_seconds", "seconds"),
        ("[witness]\ndeadline_seconds = nan", "line 2: witness.deadline_seconds", "seconds"),
        ("[grpc]\nlisten = '3001'", "line 2: grpc.listen", "HOST:PORT"),
        ("listen = ''", "line 1: listen", "HOST:PORT"),
        ("url = 'ftp://x'", "line 1: url", "https://"),
        ("log = { duplicates = 1 }", "log.duplicates", "accept"),
    ],
)
def test_refused(text: str, place: str, expected: str) -> None:
    """A mistake is refused with the file, the line, the member and what is allowed."""
    with pytest.raises(SettingsError) as caught:
        parse(text)
    assert caught.value.code == "SETTINGS_INVALID"
    assert caught.value.message.startswith("/etc/touchplate.toml")
    assert place in caught.value.message
    assert expected in (caught.value.expected or "")


@pytest.mark.parametrize("content", [b"workers = ", b"\xff", b"a = 1\na = 2", b" " * 2_000_000])
def test_no_toml(content: bytes) -> None:
    """What is no TOML, or too much of it, is refused with the file's name."""
    with pytest.raises(SettingsError, match=r"/etc/touchplate\.toml"):
        parse_settings(content, Path("/etc/touchplate.toml"), Path("/srv/data"))


def test_bad_uri_is_not_shown() -> None:
    """A URI that is refused may hold a password, and is not repeated."""
    with pytest.raises(SettingsError) as caught:
        parse("[storage]\ndatabase = 'hunter2'")
    assert "hunter2" not in str(caught.value)


def test_precedence(tmp_path: Path) -> None:
    """The command line wins over the environment, that over the file, that over the default."""
    tmp_path.chmod(0o700)
    file = tmp_path / "touchplate.toml"
    file.write_text('workers = 2\nlisten = "127.0.0.1:1"\n[storage]\nobjects = "memory:"\n')
    file.chmod(0o600)
    environ = {"TOUCHPLATE_DATA": str(tmp_path)}

    def settle(more: dict[str, str], **given: str) -> ServeSettings:
        return make_settings(environ | more, load_settings(environ | more), **given)

    assert settle({}).workers == 2
    assert settle({"TOUCHPLATE_WORKERS": "3"}).workers == 3
    assert settle({"TOUCHPLATE_WORKERS": "3"}, workers="4").workers == 4
    assert settle({}).listen == ("127.0.0.1", 1)
    assert settle({}).drain_seconds == 20
    assert settle({}).storage.objects == "memory:"
    assert settle({"TOUCHPLATE_OBJECTS": "file:///x"}).storage.objects == "file:///x"
    assert settle({}, objects="file:///y", database="memory:").storage.objects == "file:///y"


@pytest.mark.parametrize("workers", ["0", "65", "x", "-1", "1" * 99])
def test_workers(workers: str) -> None:
    """The number of workers is bounded."""
    with pytest.raises(SettingsError, match="workers"):
        make_settings({}, workers=workers)


def test_named_file(tmp_path: Path) -> None:
    """A file that was named must be there; that of the folder need not."""
    tmp_path.chmod(0o700)
    assert load_settings({}, data=str(tmp_path / "none")).workers == 1
    with pytest.raises(SettingsError) as caught:
        load_settings({}, data=str(tmp_path), config=str(tmp_path / "my.toml"))
    assert caught.value.code == "FILE_UNREADABLE"

    (tmp_path / "my.toml").write_text("workers = 7")
    (tmp_path / "my.toml").chmod(0o644)
    environ = {"TOUCHPLATE_CONFIG": str(tmp_path / "my.toml")}
    assert load_settings(environ, data=str(tmp_path)).workers == 7


@pytest.mark.parametrize(
    ("mode", "folder", "text"),
    [
        (0o620, 0o700, ""),
        (0o602, 0o700, ""),
        (0o600, 0o770, ""),
        (0o600, 0o707, ""),
        (0o640, 0o700, "storage.database = 'postgresql://me:hunter2@db/x'"),
        (0o604, 0o700, "storage.objects = 's3://b?secret_key=hunter2'"),
    ],
)
def test_unsafe(tmp_path: Path, mode: int, folder: int, text: str) -> None:
    """A file that others can change, or whose password they can read, is refused."""
    file = tmp_path / "touchplate.toml"
    file.write_text(text)
    file.chmod(mode)
    tmp_path.chmod(folder)
    with pytest.raises(SettingsError) as caught:
        load_settings({}, data=str(tmp_path))
    assert caught.value.code == "DATA_FOLDER_UNSAFE"
    assert "hunter2" not in str(caught.value)
    file.chmod(0o600)
    tmp_path.chmod(0o700)
    load_settings({}, data=str(tmp_path))
