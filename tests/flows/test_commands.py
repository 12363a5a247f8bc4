"""The main job as people do it: the `touchplate` command only, and verification with no service."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

COMMAND = (sys.executable, "-m", "touchplate.cli")
READY_SECONDS = 90


@dataclass
class Machine:
    """A folder, a home in it, and the service's process."""

    folder: Path
    server: subprocess.Popen[bytes] | None = None

    def run(self, *words: str, status: int = 0) -> str:
        """Run the command to its end and give its standard output."""
        done = subprocess.run(
            [*COMMAND, *words],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + (done.stderr if status else "")

    def serve(self, until: str = "touchplate verify") -> str:
        """Start the service, and give what it said by the time it said `until`."""
        log = self.folder / "serve.log"
        with log.open("wb") as output:
            self.server = subprocess.Popen(
                [*COMMAND, "serve", "--data", "instance", "--listen", "127.0.0.1:0"],
                cwd=self.folder,
                env=self.environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + READY_SECONDS
        while until not in (said := log.read_text()):
            assert self.server.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.02)
        return said

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the service."""
        assert self.server is not None
        self.server.send_signal(number)
        status = self.server.wait(READY_SECONDS)
        self.server = None
        return status

    def environment(self) -> dict[str, str]:
        """Give the environment of every command."""
        return os.environ | {"TOUCHPLATE_HOME": str(self.folder / "home"), "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Give a machine, and end its service."""
    made = Machine(tmp_path)
    yield made
    if made.server is not None:
        made.server.kill()
        made.server.wait()


def test_main_job(machine: Machine) -> None:
    """Serve, trust, mint, sign two files, stop the service, verify; a changed byte is refused."""
    said = machine.serve()
    added = re.search(r"trust add (\S+) --fingerprint (\S+)", said)
    assert added is not None
    url, fingerprint = added.groups()
    machine.run("trust", "add", url, "--fingerprint", fingerprint)
    to_file = ("--email", "a@example.org", "--output", "token")
    assert machine.run("token", "--data", "instance", *to_file) == ""
    assert (machine.folder / "token").stat().st_mode & 0o777 == 0o600
    for name in ("a.txt", "b.txt"):
        (machine.folder / name).write_text(name)
    machine.run("sign", "a.txt", "b.txt", "--identity-token", "token")
    assert machine.stop() == 0

    who = ("--identity", "a@example.org", "--issuer", f"{url}/oidc")
    found = json.loads(machine.run("verify", "a.txt", "b.txt", *who, "--json"))
    assert [each["entries"][0]["logIndex"] for each in found["results"]] == [0, 1]
    (machine.folder / "a.txt").write_text("a.txu")
    assert "DIGEST_MISMATCH" in machine.run("verify", "a.txt", "b.txt", *who, status=1)
    assert "IDENTITY_MISMATCH" in machine.run(
        "verify", "b.txt", "--identity", "b@example.org", *who[2:], status=1
    )
    assert "SERVICE_UNAVAILABLE" in machine.run(
        "sign", "a.txt", "--overwrite", "--identity-token", "token", status=3
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_service_comes_back(machine: Machine, number: int) -> None:
    """After its end, gentle or not, the service is the same instance and its log goes on."""
    said = machine.serve()
    added = re.search(r"trust add (\S+) --fingerprint (\S+)", said)
    assert added is not None
    machine.run("trust", "add", added[1], "--fingerprint", added[2])
    (machine.folder / "a.txt").write_text("a")
    for index in range(2):
        token = machine.run("token", "--data", "instance", "--email", "a@example.org").strip()
        words = ("--identity-token", token, "--overwrite")
        assert f":{index}\n" in machine.run("sign", "a.txt", *words)
        machine.stop(number)
        if index == 0:
            assert added[2] in machine.serve(until="trust root:")


def test_one_name(machine: Machine) -> None:
    """What sign calls an entry is what search calls it and takes, also after a rotation."""
    said = machine.serve()
    added = re.search(r"trust add (\S+) --fingerprint (\S+)", said)
    assert added is not None
    machine.run("trust", "add", added[1], "--fingerprint", added[2])
    names, numbers = [], []
    for number, version in enumerate("2121"):
        if number == 2:
            machine.run("log", "rotate", "--data", "instance")
        (machine.folder / "a.txt").write_text(f"{number}")
        token = machine.run("token", "--data", "instance", "--email", "a@example.org").strip()
        words = ("--identity-token", token, "--overwrite", "--tlog-version", version)
        found = re.search(
            r"log entry (\S+)(?: \((\d+) over all trees\))?\n", machine.run("sign", "a.txt", *words)
        )
        assert found is not None
        names.append(found[1])
        numbers.append(found[2])
        (row,) = json.loads(machine.run("search", "--entry", found[1], "--proofs", "--json"))[
            "rows"
        ]
        assert row["digests"] == ["sha256:" + sha256(b"%d" % number).hexdigest()]
        assert (row["name"], row["logIndex"]) == (found[1], number)
        assert machine.run("search", "--entry", str(number)).startswith(found[1] + "  ")
        who = ("--identity", "a@example.org", "--issuer", f"{added[1]}/oidc", "--json")
        (proven,) = json.loads(machine.run("verify", "a.txt", *who))["results"]
        assert proven["entries"][0]["name"] == found[1]

    assert [name.partition(":")[2] for name in names] == ["0", "1", "0", "1"]
    assert len({name.partition(":")[0] for name in names}) == 2
    assert numbers == [None, "1", None, "3"]
    deadline = time.monotonic() + READY_SECONDS
    while len(listed := machine.run("search", "--oldest").splitlines()) < 4:
        assert time.monotonic() < deadline, listed
        time.sleep(0.1)
    assert [line.split("  ")[0] for line in listed] == names
