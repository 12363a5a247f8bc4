"""A real PostgreSQL for tests, from Debian's package: `PostgresServer`.

    with PostgresServer() as server:
        open_log(server.uri(), "log")   # each uri() is a schema of its own
        server.restart()

It runs as the user `postgres` if we are root, on a free loopback port, in a temporary folder, with
`fsync` on. `why_not()` says why a test must be skipped. `tools/debian_packages.sh` installs it.
"""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from tests.servers.process import Program, free_ports, missing_program, rights_of
from tests.servers.tls import Certificate

USER = "touchplate"
PASSWORD = "loopback only"
_PROGRAMS = Path("/usr/lib/postgresql")


def why_not() -> str | None:
    """Say why no PostgreSQL can be started here, or give None."""
    if _programs() is None:
        return f"no PostgreSQL below {_PROGRAMS}: tools/debian_packages.sh installs it"
    return missing_program("setpriv")


def _programs() -> Path | None:
    versions = (each for each in _PROGRAMS.glob("*/bin") if (each / "initdb").exists())
    return max(versions, key=lambda each: int(each.parent.name), default=None)


def postgres_uri(port: int, schema: str | None = None) -> str:
    """Give a URI of a test server's database, by default with a schema that nobody has used."""
    schema = schema or f"t_{secrets.token_hex(8)}"
    return f"postgresql://{USER}:{quote(PASSWORD)}@127.0.0.1:{port}/postgres?schema={schema}"


class PostgresServer:
    """One server with its own folder and some settings. Use it in a `with`, or call `close`.

    With a certificate it speaks TLS with those who ask for it.
    """

    def __init__(self, certificate: Certificate | None = None, **settings: str) -> None:
        self._settings = {**settings, "ssl": "on"} if certificate else settings
        programs = _programs()
        assert programs is not None, why_not()
        self._programs = programs
        self._user = "postgres" if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="touchplate-postgres-"))
        (self.port,) = free_ports(1)
        self._program: Program | None = None
        password = self._folder / "password"
        password.write_text(PASSWORD)
        if self._user:
            shutil.chown(self._folder, self._user)
            shutil.chown(password, self._user)
        subprocess.run(
            [
                *rights_of(self._user),
                str(programs / "initdb"),
                f"--pgdata={self._folder / 'data'}",
                f"--username={USER}",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._folder,
        )
        if certificate:
            # Where it looks for them by itself.
            for name, data in zip(("server.crt", "server.key"), certificate, strict=True):
                path = self._folder / "data" / name
                path.write_bytes(data)
                path.chmod(0o600)
                if self._user:
                    shutil.chown(path, self._user)
        self.begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def about(self) -> dict[str, Any]:
        """What others need to use it."""
        return {"port": self.port}

    @property
    def pid(self) -> int:
        """The process under which all of it runs."""
        assert self._program is not None
        return self._program.pid

    def uri(self, schema: str | None = None) -> str:
        """Give a URI for `open_log`, by default with a schema that nobody has used."""
        return postgres_uri(self.port, schema)

    def begin(self) -> None:
        """Start the server over the folder as it is; it recovers first if it was killed."""
        self._program = Program(
            [
                str(self._programs / "postgres"),
                "-D",
                str(self._folder / "data"),
                *("-c", f"port={self.port}"),
                *("-c", "listen_addresses=127.0.0.1"),
                *("-c", "unix_socket_directories="),
                *("-c", "max_connections=200"),
                *("-c", "log_min_messages=fatal"),
                *(f"--{name}={value}" for name, value in self._settings.items()),
            ],
            self._folder / "log",
            user=self._user,
        )
        self._program.wait_until(self._is_up)

    def end(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT cuts connections and shuts down, SIGQUIT is a crash that it survives."""
        if self._program is not None:
            self._program.end(how)
            self._program = None

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it and start it again on the same port."""
        self.end(how)
        self.begin()

    def close(self) -> None:
        """Stop it and remove the folder."""
        self.end(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _is_up(self) -> bool:
        ready = subprocess.run(
            [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)],
            check=False,
        )
        return ready.returncode == 0
