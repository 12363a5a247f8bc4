"""The command in this process, and an instance on a free port of loopback that it can reach."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
import uvicorn

from touchplate.cli.__main__ import main
from touchplate.formats.signing_config import ClientTrustConfig, encode_client_trust_config
from touchplate.formats.trusted_root import encode_trusted_root
from touchplate.testing import World
from touchplate.verify import Artifact

IDENTITY = "maker@example.com"


@dataclass
class Result:
    """What a command said, and its exit status."""

    status: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Give a function that runs the command in an empty folder with a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOUCHPLATE_HOME", str(tmp_path / "home"))
    for name in ("SIGSTORE_IDENTITY_TOKEN", "SIGSTORE_ID_TOKEN", "TOUCHPLATE_DEBUG"):
        monkeypatch.delenv(name, raising=False)

    def command(*words: str | Path) -> Result:
        capfd.readouterr()
        status = main([str(word) for word in words])
        said = capfd.readouterr()
        return Result(status, said.out, said.err)

    return command


@dataclass
class Served:
    """A world that answers on a port of loopback; its clock started with the test."""

    world: World
    url: str
    fingerprint: str
    trust_config: bytes

    @property
    def trusted_root(self) -> bytes:
        """What verifiers must trust, as a file."""
        return encode_trusted_root(self.world.trusted_root)

    @property
    def who(self) -> tuple[str, ...]:
        """The words that name whom to expect."""
        return ("--identity", IDENTITY, "--issuer", self.world.issuer)


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """Serve a world until the tests of this process end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with World(datetime.now(UTC), url=url) as world:
            server = uvicorn.Server(
                uvicorn.Config(world.app, lifespan="off", log_config=None, ws="none")
            )
            thread = threading.Thread(target=asyncio.run, args=(server.serve([listener]),))
            thread.start()
            root = world.transport.request("GET", url + "/tuf/1.root.json").body
            config = ClientTrustConfig(world.trusted_root, world.signing_config)
            yield Served(world, url, sha256(root).hexdigest(), encode_client_trust_config(config))
            server.should_exit = True
            thread.join()
            world.check()


@pytest.fixture
def signed(served: Served, tmp_path: Path) -> Path:
    """Give a file with its bundle beside it, the trusted root in `root.json`."""
    (tmp_path / "root.json").write_bytes(served.trusted_root)
    (tmp_path / "trust.json").write_bytes(served.trust_config)
    path = tmp_path / "a.txt"
    path.write_bytes(b"release\n")
    made = served.world.signer(IDENTITY).sign(Artifact.from_bytes(b"release\n"))
    (tmp_path / "a.txt.sigstore.json").write_bytes(made.encoded)
    return path
