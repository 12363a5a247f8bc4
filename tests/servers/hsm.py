"""A PKCS#11 token for tests: SoftHSM, in this process or behind p11-kit's server in another.

    token = make_token(folder)          # with SOFTHSM2_CONF set to configuration(folder)
    with HsmServer(folder, socket) as server:   # with P11_KIT_SERVER_ADDRESS set to server.address
        server.pause()                  # calls hang; `end` and `begin`: they fail, and work again

`why_not()` and `why_no_server()` say why a test must be skipped. `tools/debian_packages.sh`
installs both programs.
"""

import itertools
import os
import secrets
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

from tests.servers.process import Program, missing_program

PIN: Final = "7181 not a secret"

_SOFTHSM: Final = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)
_SERVERS: Final = ("/usr/libexec/p11-kit/p11-kit-server", "/usr/lib/p11-kit/p11-kit-server")


def _first(paths: tuple[str, ...]) -> Path | None:
    return next((Path(each) for each in paths if Path(each).exists()), None)


def softhsm() -> Path | None:
    """Find SoftHSM's library."""
    return _first(_SOFTHSM)


def _client() -> Path | None:
    found = itertools.chain(
        Path("/usr/lib").glob("*/pkcs11/p11-kit-client.so"),
        Path("/usr/lib64/pkcs11").glob("p11-kit-client.so"),
    )
    return next(found, None)


def why_not() -> str | None:
    """Say why there is no token, or give None."""
    if softhsm() is None:
        return "no SoftHSM: tools/debian_packages.sh installs it"
    return missing_program("softhsm2-util")


def why_no_server() -> str | None:
    """Say why no token can be in another process, or give None."""
    if _client() is None or _first(_SERVERS) is None:
        return "no p11-kit server and client: tools/debian_packages.sh installs them"
    return why_not() or missing_program("setpriv")


@dataclass(frozen=True, slots=True)
class Token:
    """A token and the library that reaches it."""

    label: str
    module: Path
    pin: str = PIN

    def uri(self, name: str, query: str | None = None) -> str:
        """Give the URI of a key; `query` in place of the PIN itself."""
        how = f"pin-value={quote(self.pin)}" if query is None else query
        return f"pkcs11:token={quote(self.label)};object={name}?module-path={self.module}&{how}"


def configuration(folder: Path) -> Path:
    """Give SoftHSM's configuration over a folder, made if it is not there."""
    path = folder / "softhsm2.conf"
    tokens = folder / "tokens"
    tokens.mkdir(exist_ok=True)
    if not path.exists():
        path.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\n")
    return path


def make_token(folder: Path, module: Path | None = None, label: str | None = None) -> Token:
    """Make a token in the folder that nobody has used."""
    label = label or f"t {secrets.token_hex(6)}"
    found = module or softhsm()
    assert found is not None, why_not()
    subprocess.run(
        [
            *("softhsm2-util", "--init-token", "--free", f"--label={label}", f"--pin={PIN}"),
            "--so-pin=the officer's",
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "SOFTHSM2_CONF": str(configuration(folder))},
    )
    return Token(label, found)


class HsmServer:
    """An HSM in a process of its own, with one token. Use it in a `with`."""

    def __init__(self, folder: Path, socket: Path) -> None:
        client = _client()
        assert client is not None, why_no_server()
        self._folder = folder
        # One for all servers of a process: the client keeps the first address that it reads.
        self._socket = socket
        self.address = f"unix:path={self._socket}"
        self.token = make_token(folder, client)
        self._program: Program | None = None

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.resume()
        self.end()

    def begin(self) -> None:
        """Start it over the token as it is."""
        server, module = _first(_SERVERS), softhsm()
        assert server is not None
        self._socket.unlink(missing_ok=True)
        self._program = Program(
            [
                *(str(server), "--foreground", "--provider", str(module)),
                *("--name", str(self._socket), f"pkcs11:token={quote(self.token.label)}"),
            ],
            self._folder / "hsm.log",
            environ={"SOFTHSM2_CONF": str(configuration(self._folder))},
        )
        self._program.wait_until(self._socket.exists)

    def end(self) -> None:
        """Kill it, and each process that serves a connection."""
        if self._program is not None:
            self._program.signal_group(signal.SIGKILL)
            self._program.end(signal.SIGKILL)
            self._program = None

    def pause(self) -> None:
        """Let every call hang."""
        if self._program is not None:
            self._program.signal_group(signal.SIGSTOP)

    def resume(self) -> None:
        """Let calls go on."""
        if self._program is not None:
            self._program.signal_group(signal.SIGCONT)
