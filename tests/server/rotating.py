"""What tests of exchanged keys beside real servers share."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tests.server.conftest import until
from tests.server.test_hosts import URL
from touchplate.errors import TouchplateError, VerificationError
from touchplate.formats.bundle import Bundle
from touchplate.formats.signing_config import ClientTrustConfig, parse_client_trust_config
from touchplate.formats.trusted_root import TrustedRoot
from touchplate.server.build import Deployment
from touchplate.server.data import DataFolder
from touchplate.server.opening import choose_origin, open_deployment
from touchplate.server.settings import ServeSettings, StorageSettings
from touchplate.sign import Signer, connect
from touchplate.transport.http import HttpTransport
from touchplate.verify import Artifact, identity, verify

if TYPE_CHECKING:
    from tests.server.conftest import Server

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
