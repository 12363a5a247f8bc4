"""The file of issuers: read at the start, and again while the server runs."""

import base64
import json
import logging
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.oidc.hostile import DISCOVERY, RemoteIssuer, Server, serving
from tests.server.conftest import Server as Process
from tests.server.conftest import Start, until
from touchplate.errors import RefusedError, SettingsError
from touchplate.keys.pem import encode_pem
from touchplate.keys.signer import generate
from touchplate.oidc.identity import Identity
from touchplate.server.config import parse_settings
from touchplate.server.rate import parse_rate
from touchplate.server.settings import IssuerSettings, RuleSettings, ServeSettings
from touchplate.testing import World
from touchplate.transport.asgi import TooOftenError

EMAIL = "dev@example.com"


@pytest.fixture
def remote() -> Iterator[RemoteIssuer]:
    """Give an issuer elsewhere."""
    with serving() as server:
        issuer = RemoteIssuer(server)
        issuer.publish()
        yield issuer


def row(url: str, **members: object) -> dict[str, object]:
    """Give an issuer as the file has it."""
    return {"issuer-url": url, "client-id": "sigstore", "type": "email", **members}


def write(path: Path, *issuers: RemoteIssuer | str, text: str | None = None) -> Path:
    """Write a file with these issuers, as one step."""
    urls = [each if isinstance(each, str) else each.url for each in issuers]
    # Each JSON text is YAML too, if its first character does not make it JSON.
    made = text or "oidc-issuers: " + json.dumps({url: row(url) for url in urls})
    other = path.with_name(path.name + ".new")
    other.write_text(made)
    other.chmod(0o600)
    other.replace(path)
    return path


def world_of(path: Path | None, *rules: RuleSettings) -> World:
    """Open a world that reads a file."""
    return World(settings=ServeSettings(issuers=IssuerSettings(file=path, rules=rules)))


def authenticate(world: World, issuer: RemoteIssuer, email: str = EMAIL) -> Identity:
    """Prove a token of an issuer elsewhere."""
    now = world.clock()
    return world.deployment.issuers.authenticate(issuer.own.mint(email, now), now)


def test_without_file() -> None:
    """Without a file nobody is believed but the instance's own issuer."""
    with World() as world:
        (only,) = world.deployment.issuers.rows()
        assert only.url == world.issuer


def test_certificate_by_http(tmp_path: Path, remote: RemoteIssuer) -> None:
    """A token of an issuer elsewhere gets a certificate; the loop waits for its keys, once."""
    with world_of(write(tmp_path / "c.yaml", remote)) as world:
        body = request_body(remote.own.mint(EMAIL, world.clock()))
        for _ in range(2):
            response = world.transport.request("POST", f"{world.url}/api/v2/signingCert", body=body)
            assert response.status == 200, response.body
        assert remote.server.asked == [DISCOVERY, "/jwks"]


def request_body(token: str) -> bytes:
    """Ask for a certificate."""
    key = generate()
    return json.dumps(
        {
            "credentials": {"oidcIdentityToken": token},
            "publicKeyRequest": {
                "publicKey": {
                    "algorithm": "ECDSA",
                    "content": encode_pem("PUBLIC KEY", key.public_key.spki).decode(),
                },
                "proofOfPossession": base64.b64encode(key.sign(EMAIL.encode())).decode(),
            },
        }
    ).encode()


@pytest.mark.slow
def test_issuer_away(tmp_path: Path, remote: RemoteIssuer) -> None:
    """Without an issuer's keys nothing is issued for its tokens, and once they are there it is."""
    remote.server.json(DISCOVERY, {}, 503)
    with world_of(write(tmp_path / "c.yaml", remote)) as world:
        body = request_body(remote.own.mint(EMAIL, world.clock()))
        response = world.transport.request("POST", f"{world.url}/api/v2/signingCert", body=body)
        assert response.status == 503
        assert 1 <= int(dict(response.headers)["retry-after"]) <= 10
        assert world.deployment.ct.checkpoint().size == 0
        remote.publish()
        time.sleep(1.1)  # a failure is tried again after a second
        response = world.transport.request("POST", f"{world.url}/api/v2/signingCert", body=body)
        assert response.status == 200


def test_configuration(tmp_path: Path, remote: RemoteIssuer) -> None:
    """`configuration` shows issuers, then patterns, each sorted, and follows the file."""
    text = json.dumps(
        {
            "oidc-issuers": {url: row(url) for url in ("https://b.example", "https://a.example")},
            "meta-issuers": {
                "https://*.z.example": {"client-id": "x", "type": "kubernetes"},
                "https://*.y.example": {"client-id": "x", "type": "email"},
            },
        }
    )
    path = write(tmp_path / "c.yaml", text="# not JSON\n" + text)
    with world_of(path) as world:
        assert shown(world) == [
            "https://a.example",
            "https://b.example",
            world.issuer,
            "*https://*.y.example",
            "*https://*.z.example",
        ]
        write(path, remote)
        assert world.deployment.issuers.reload_if_changed()
        assert shown(world) == [remote.url, world.issuer]


def shown(world: World) -> list[str]:
    """Give what `configuration` lists; a star before a pattern."""
    response = world.transport.request("GET", f"{world.url}/api/v2/configuration")
    rows: list[dict[str, Any]] = json.loads(response.body)["issuers"]
    return [row.get("issuerUrl") or "*" + row["wildcardIssuerUrl"] for row in rows]


def test_reload(tmp_path: Path, remote: RemoteIssuer) -> None:
    """A file that changes is read; one that does not is not."""
    path = write(tmp_path / "c.yaml", remote)
    with world_of(path) as world:
        assert not world.deployment.issuers.reload_if_changed()
        assert authenticate(world, remote).issuer == remote.url
        write(path, "https://other.example.com")
        assert world.deployment.issuers.reload_if_changed()
        with pytest.raises(RefusedError):
            authenticate(world, remote)
        assert not world.deployment.issuers.reload_if_changed()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("oidc-issuers: [", "line 1"),
        ("\n\noidc-issuers:\n  https://x.example:\n    type: pigeon\n", "line 4"),
        ("define: [" + "[" * 50, "line 1: nested deeper"),
    ],
)
def test_bad_reload(
    tmp_path: Path,
    remote: RemoteIssuer,
    caplog: pytest.LogCaptureFixture,
    text: str,
    reason: str,
) -> None:
    """A bad file is refused with line and reason, once; the old table stays, and heals."""
    path = write(tmp_path / "c.yaml", remote)
    with world_of(path) as world, caplog.at_level(logging.ERROR):
        write(path, text=text)
        assert not world.deployment.issuers.reload_if_changed()
        assert not world.deployment.issuers.reload_if_changed()
        assert authenticate(world, remote).issuer == remote.url
        (record,) = caplog.records
        assert str(path) in record.getMessage()
        assert reason in record.getMessage()
        path.unlink()
        assert not world.deployment.issuers.reload_if_changed()
        assert authenticate(world, remote).issuer == remote.url
        write(path, remote, "https://new.example")
        assert world.deployment.issuers.reload_if_changed()


def test_file_of_others(tmp_path: Path) -> None:
    """A file that other users can write is refused: they could be anybody."""
    path = write(tmp_path / "c.yaml", "https://x.example")
    path.chmod(0o666)
    with pytest.raises(SettingsError) as caught:
        world_of(path)
    assert caught.value.code == "DATA_FOLDER_UNSAFE"


def test_bad_start(tmp_path: Path) -> None:
    """A bad file, a missing one, and one that names our own issuer stop the start."""
    for text in ("oidc-issuers: [", "oidc-issuers: " + json.dumps({(u := own()): row(u)})):
        with pytest.raises(SettingsError):
            world_of(write(tmp_path / "c.yaml", text=text))
    with pytest.raises(SettingsError, match="nowhere"):
        world_of(tmp_path / "nowhere")


def own() -> str:
    """Give the URL of a world's own issuer."""
    with World() as world:
        return world.issuer


def test_keys_stay(tmp_path: Path, remote: RemoteIssuer) -> None:
    """Keys that were fetched are kept when the file is read again."""
    path = write(tmp_path / "c.yaml", remote)
    with world_of(path) as world:
        authenticate(world, remote)
        write(path, remote, "https://new.example")
        world.deployment.issuers.reload()
        authenticate(world, remote)
        assert remote.server.count("/jwks") == 1


@pytest.mark.slow
def test_rules(tmp_path: Path, remote: RemoteIssuer) -> None:
    """A rule is for its issuer only, and unknown is never yes."""
    path = write(tmp_path / "c.yaml", remote)
    rule = RuleSettings(issuer=remote.url, allowed_subjects=("*@example.com",))
    with world_of(path, rule) as world:
        assert authenticate(world, remote, "a@example.com").san.value == "a@example.com"
        with pytest.raises(RefusedError, match="allowed subjects"):
            authenticate(world, remote, "a@example.com.evil.org")
        own_token = world.token("a@b.org")
        own_identity = world.deployment.issuers.authenticate(own_token, world.clock())
        assert own_identity.san.value == "a@b.org"
    for strict in (
        RuleSettings(issuer=remote.url, require_amr=("mfa",)),
        RuleSettings(issuer=remote.url, require_acr=("2",)),
    ):
        with world_of(path, strict) as world, pytest.raises(RefusedError):
            authenticate(world, remote)


def test_rate(tmp_path: Path, remote: RemoteIssuer) -> None:
    """An issuer's rate counts what it vouched for, and nobody else's."""
    path = write(tmp_path / "c.yaml", remote)
    rule = RuleSettings(issuer=remote.url, rate=parse_rate("2/h burst 2"))
    with world_of(path, rule) as world:
        for email in ("a@example.com", "b@example.com"):
            assert authenticate(world, remote, email).san.value == email
        with pytest.raises(TooOftenError):
            authenticate(world, remote)
        own_identity = world.deployment.issuers.authenticate(world.token(), world.clock())
        assert own_identity.issuer == world.issuer


def test_rate_counts_what_was_proven(tmp_path: Path, remote: RemoteIssuer) -> None:
    """Tokens that prove nothing use up nobody's rate."""
    path = write(tmp_path / "c.yaml", remote)
    rule = RuleSettings(issuer=remote.url, rate=parse_rate("1/h burst 1"))
    with world_of(path, rule) as world:
        for _ in range(5):
            with pytest.raises(RefusedError):
                authenticate(world, RemoteIssuer(remote.server))  # signed with another key
        assert authenticate(world, remote).issuer == remote.url


@pytest.mark.slow
def test_hanging_issuer(start: Start, tmp_path: Path, remote: RemoteIssuer) -> None:
    """While an issuer hangs the server answers others at once, and its own at the deadline."""
    data = tmp_path / "data"
    data.mkdir(0o700)
    write(tmp_path / "issuers.yaml", remote)
    (data / "touchplate.toml").write_text('[issuers]\nfile = "../issuers.yaml"\n')
    (data / "touchplate.toml").chmod(0o600)
    server = start(data)
    server.wait_until_ready()
    remote.server.answers[DISCOVERY] = lambda _: hang(remote.server)
    body = request_body(remote.own.mint(EMAIL, datetime.now(UTC)))
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        late = [pool.submit(server.request, "POST", "/api/v2/signingCert", body) for _ in range(8)]
        meanwhile = 0
        while not any(each.done() for each in late):
            assert remote.url in listed(server)
            meanwhile += 1
            time.sleep(0.1)
        assert {each.result()[0] for each in late} == {503}
    # One that had to wait for the issuer would have been the last.
    assert meanwhile > 5
    assert time.monotonic() - began > 9
    assert remote.server.count(DISCOVERY) == 1


def hang(server: Server) -> None:
    """Answer nothing until the test ends."""
    server.ended.wait(300)


def test_rule_for_nobody(tmp_path: Path, remote: RemoteIssuer) -> None:
    """A rule whose issuer is not in the file stops the start: it would protect nothing."""
    path = write(tmp_path / "c.yaml", remote)
    with pytest.raises(SettingsError, match="no such issuer"):
        world_of(path, RuleSettings(issuer=remote.url + "/"))


def test_settings() -> None:
    """The settings file names the file, hosts and rules; a mistake in a rule is named."""
    text = """
    [issuers]
    file = "config.yaml"
    private_hosts = ["idp.internal"]
    [[issuers.rules]]
    issuer = "https://idp.internal"
    require_amr = ["mfa"]
    rate = "10/min"
    """
    found = parse_settings(text.encode(), Path("/etc/t/t.toml"), Path()).issuers
    assert found.file == Path("/etc/t/config.yaml")
    assert found.rules[0].require_amr == ("mfa",)
    for wrong in ('issuer = ""', 'colour = "x"', 'issuer = "x"\nrate = "often"', "issuer = 5", ""):
        with pytest.raises(SettingsError, match="rules"):
            parse_settings(f"[[issuers.rules]]\n{wrong}\n".encode(), Path("t.toml"), Path())


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_reload_of_a_process(
    start: Start, tmp_path: Path, remote: RemoteIssuer, workers: int
) -> None:
    """Every worker takes up a new file, refuses a bad one, and drops no request meanwhile."""
    data = tmp_path / "data"
    data.mkdir(0o700)
    path = write(tmp_path / "issuers.yaml", "https://first.example")
    (data / "touchplate.toml").write_text('[issuers]\nfile = "../issuers.yaml"\n')
    (data / "touchplate.toml").chmod(0o600)
    server = start(data, "--workers", str(workers))
    server.wait_until_ready()
    faults: list[BaseException] = []
    ended = threading.Event()

    def ask() -> None:
        try:
            while not ended.is_set():
                listed(server)
        except (OSError, AssertionError) as error:
            faults.append(error)

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    try:
        assert "https://first.example" in listed(server)
        write(path, "https://second.example", remote)
        until(lambda: all("https://second.example" in listed(server) for _ in range(20)))
        write(path, text="oidc-issuers: [")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: sum("line 1" in line for line in server.errors) >= workers)
        assert all("https://second.example" in listed(server) for _ in range(20))
        write(path, "https://third.example", remote)
        server.process.send_signal(signal.SIGHUP)
        until(lambda: all("https://third.example" in listed(server) for _ in range(20)))
        body = request_body(remote.own.mint(EMAIL, datetime.now(UTC)))
        assert server.request("POST", "/api/v2/signingCert", body)[0] == 200
    finally:
        ended.set()
        for thread in asking:
            thread.join()
    assert faults == []


def listed(server: Process) -> set[str]:
    """Give who is believed, asked over a connection of its own."""
    status, body = server.get("/api/v2/configuration")
    assert status == 200
    return {row.get("issuerUrl", "") for row in json.loads(body)["issuers"]}
