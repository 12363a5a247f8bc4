from __future__ import annotations

import io
import json
import shlex
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from touchplate.formats.bundle import Envelope, parse_bundle
from touchplate.formats.signing_config import encode_signing_config
from touchplate.transport.http import Retrying

if TYPE_CHECKING:
    from tests.cli.conftest import Result, Run, Served

STATEMENT = (
    b'{"_type":"https://in-toto.io/Statement/v1","predicateType":"https://example.test/p",\n'
    b' "subject":[{"name":"a","digest":{"sha256":"' + b"ab" * 32 + b'"}}],"predicate":{}}\n'
)
TRUST = ("--trust-config", "trust.json")


@pytest.fixture
def folder(tmp_path: Path, served: Served) -> Path:
    """Give the folder with two files to sign and the trust config."""
    (tmp_path / "trust.json").write_bytes(served.trust_config)
    (tmp_path / "a.txt").write_bytes(b"one")
    (tmp_path / "b c.txt").write_bytes(b"two")
    return tmp_path


def names_in(folder: Path) -> set[str]:
    """List the files of a folder."""
    return {path.name for path in folder.iterdir() if path.is_file()}


def printed_commands(result: Result) -> list[list[str]]:
    """Give the verify commands that sign printed, without the program's name."""
    lines = result.out.partition("verify with:\n")[2].splitlines()
    return [shlex.split(line)[1:] for line in lines]


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("version", ["1", "2"])
def test_sign(run: Run, served: Served, version: str) -> None:
    """Two files are signed with one login, and the printed command proves both."""
    token = served.world.token()
    words = ("--identity-token", token, "--tlog-version", version, *TRUST)
    result = run("sign", "a.txt", "b c.txt", *words)

    assert result.status == 0, result.err
    (command,) = printed_commands(result)
    assert command[:3] == ["verify", "a.txt", "b c.txt"]
    proven = run(*command)
    assert proven.status == 0, proven.err
    assert proven.out.count("proven") == 2
    assert token not in result.out + result.err


@pytest.mark.slow
def test_instance(run: Run, served: Served, folder: Path) -> None:
    """With an instance that was added nothing else is needed, by name or URL."""
    added = run("trust", "add", served.url, "--fingerprint", served.fingerprint)
    assert added.status == 0, added.err
    token = served.world.token()
    for words in ((), ("--instance", served.url)):
        result = run("sign", "a.txt", "--identity-token", token, "--overwrite", *words)
        assert result.status == 0, result.err
        assert run(*printed_commands(result)[0]).status == 0
    assert "a.txt.sigstore.json" in names_in(folder)


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1", "2"])
def test_in_toto(run: Run, served: Served, folder: Path, version: str) -> None:
    """A statement is signed byte for byte, and the printed command proves it by its subject."""
    (folder / "statement.json").write_bytes(STATEMENT)
    words = ("--identity-token", served.world.token(), "--tlog-version", version, *TRUST)

    result = run("sign", "statement.json", "--in-toto", *words)

    assert result.status == 0, result.err
    bundle = parse_bundle((folder / "statement.json.sigstore.json").read_bytes())
    assert isinstance(bundle.content, Envelope)
    assert bundle.content.payload == STATEMENT
    assert run(*printed_commands(result)[0]).status == 0


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_odd_names(run: Run, served: Served) -> None:
    """Names with quotes, spaces and leading hyphens come back as a command that works."""
    token = ("--identity-token", served.world.token())
    for name in ("it's.txt", "a $(b).txt", "-x.txt"):
        Path(name).write_bytes(name.encode())
        result = run("sign", *token, *TRUST, "--", name)
        assert result.status == 0, result.err
        assert run(*printed_commands(result)[0]).status == 0


@pytest.mark.usefixtures("folder")
def test_bundle_option(run: Run, served: Served) -> None:
    """The bundle goes where it is asked for."""
    words = ("--identity-token", served.world.token(), *TRUST)
    result = run("sign", "a.txt", "--bundle", "out.json", *words)
    assert result.status == 0, result.err
    assert run(*printed_commands(result)[0]).status == 0
    assert run("sign", "a.txt", "b c.txt", "--bundle", "x.json", *words).status == 2


def test_existing_bundle(run: Run, served: Served, folder: Path) -> None:
    """A bundle that exists is kept, and no second file is signed, unless --overwrite."""
    bundle = folder / "b c.txt.sigstore.json"
    bundle.write_bytes(b"mine")
    words = ("--identity-token", served.world.token(), *TRUST)
    before = served.world.deployment.tlog.checkpoint().size

    result = run("sign", "a.txt", "b c.txt", *words)

    assert result.status == 1
    assert "FILE_EXISTS" in result.err
    assert bundle.read_bytes() == b"mine"
    assert "a.txt.sigstore.json" not in names_in(folder)
    assert served.world.deployment.tlog.checkpoint().size == before
    assert run("sign", "a.txt", "b c.txt", "--overwrite", *words).status == 0
    assert bundle.read_bytes() != b"mine"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["file", "stdin", "SIGSTORE_IDENTITY_TOKEN", "SIGSTORE_ID_TOKEN"])
def test_token_sources(
    run: Run, served: Served, folder: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token comes from a file, from standard input or from the environment."""
    token = served.world.token() + "\n"
    words: tuple[str, ...] = ()
    if how == "file":
        (folder / "token").write_text(token)
        words = ("--identity-token", "token")
    elif how == "stdin":
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(token.encode())))
        words = ("--identity-token", "-")
    else:
        monkeypatch.setenv(how, token)

    assert run("sign", "a.txt", *words, *TRUST).status == 0


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        (None, 2, "USAGE"),
        ("no-such-file", 2, "FILE_UNREADABLE"),
        ("a.b.c", 2, "TOKEN_MALFORMED"),
        ("a.txt", 2, "TOKEN_MALFORMED"),
        ("binary", 2, "TOKEN_MALFORMED"),
        ("endless", 2, "LIMIT_EXCEEDED"),
        ("forged", 1, "SERVICE_REFUSED"),
    ],
)
def test_bad_token(
    run: Run, served: Served, folder: Path, given: str | None, status: int, code: str
) -> None:
    """A token that is none, too long, or forged is refused; nothing is written, no secret shown."""
    (folder / "binary").write_bytes(b"\xff\xfe\xfd-not-to-be-shown")
    (folder / "endless").write_bytes(b"a" * 20_000)
    good = served.world.token()
    forged = good[:-4] + ("AAAA" if not good.endswith("AAAA") else "BBBB")
    (folder / "forged").write_text(forged)
    before = names_in(folder)
    words = () if given is None else ("--identity-token", given)

    result = run("sign", "a.txt", *words, *TRUST)

    assert result.status == status, result.err
    assert code in result.err
    assert forged not in result.out + result.err
    assert "shown" not in result.err
    assert names_in(folder) == before


def test_failure_leaves_nothing(run: Run, served: Served, folder: Path) -> None:
    """When a service is not trusted in the end, neither bundle nor scratch file is left."""
    config = json.loads(served.trust_config)
    config["trustedRoot"]["tlogs"] = []
    (folder / "trust.json").write_text(json.dumps(config))
    before = names_in(folder)

    result = run("sign", "a.txt", "--identity-token", served.world.token(), *TRUST)

    assert result.status == 1
    assert "not signed: a.txt" in result.err
    assert names_in(folder) == before


def test_cosign_4785_later_failure(run: Run, served: Served, folder: Path) -> None:
    """What was signed before a failure stays, and what was not is named (cosign#4785)."""
    (folder / "good.json").write_bytes(STATEMENT)
    (folder / "bad.json").write_bytes(b"{}")
    words = ("--in-toto", "--identity-token", served.world.token(), *TRUST)

    result = run("sign", "good.json", "bad.json", *words)

    assert result.status == 2
    assert "signed good.json" in result.out
    assert "not signed: bad.json" in result.err
    assert "good.json.sigstore.json" in names_in(folder)
    assert "bad.json.sigstore.json" not in names_in(folder)


def test_separate_files(run: Run, served: Served, folder: Path) -> None:
    """Trusted root and signing config may come as two files, both or none."""
    (folder / "root.json").write_bytes(served.trusted_root)
    (folder / "config.json").write_bytes(encode_signing_config(served.world.signing_config))
    words = ("a.txt", "--identity-token", served.world.token())
    root, config = ("--trusted-root", "root.json"), ("--signing-config", "config.json")

    assert run("sign", *words, *root).status == 2
    assert run("sign", *words, *config).status == 2
    result = run("sign", *words, *root, *config)
    assert result.status == 0, result.err
    assert run(*printed_commands(result)[0]).status == 0


def test_away(run: Run, served: Served, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Services that do not answer are status 3."""
    config = served.trust_config.replace(served.url.encode(), b"http://127.0.0.1:1")
    (folder / "trust.json").write_bytes(config)
    monkeypatch.setattr("touchplate.sign.services.Retrying", partial(Retrying, delays=()))
    result = run("sign", "a.txt", "--identity-token", served.world.token(), *TRUST)
    assert result.status == 3
    assert "SERVICE_UNAVAILABLE" in result.err


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["missing.txt", "."])
def test_unreadable(run: Run, served: Served, name: str) -> None:
    """A file that is not there, or a folder, is refused before anything is sent."""
    result = run("sign", "a.txt", name, "--identity-token", served.world.token(), *TRUST)
    assert result.status == 2
    assert "FILE_UNREADABLE" in result.err


def test_plain_http(run: Run, folder: Path, served: Served) -> None:
    """Services at http:// elsewhere get no token."""
    config = served.trust_config.replace(served.url.encode(), b"http://sigstore.example.test")
    (folder / "trust.json").write_bytes(config)
    result = run("sign", "a.txt", "--identity-token", served.world.token(), *TRUST)
    assert result.status == 2
    assert "--allow-http" in result.err
