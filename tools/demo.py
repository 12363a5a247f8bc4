"""The main job on real input: `make demo`.

Builds this project's own wheel and sdist, starts an instance in a fresh folder on a free port,
signs both files with one login, and verifies them. Then it changes one byte, lets the log grow and
computes an entry's inclusion again from the tiles that the instance serves; at last it verifies
with the instance gone. All is done through the `touchplate` command and plain HTTP; nothing is
prepared beforehand, and nothing is left running.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from touchplate.merkle.proof import check_consistency, check_inclusion
from touchplate.merkle.tile import (
    consistency_proof,
    inclusion_proof,
    tile_path,
    tile_width,
    tree_root,
)
from touchplate.merkle.tree import leaf_hash

REPOSITORY: Final = Path(__file__).resolve().parent.parent
EMAIL: Final = "maker@example.com"
READY_SECONDS: Final = 30


class Demo:
    """A folder with a home of its own, so that nothing of the user's is read or changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        (folder / "home").mkdir()
        self.url = ""

    def run(self, *command: str, shown: str = "", status: int = 0, quiet: bool = False) -> str:
        """Show a command, run it, show its output; stop the demo if it does not end as it must."""
        print(f"\n$ {shown or shlex.join(command)}", flush=True)
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            text=True,
        )
        if not quiet or done.returncode != status:
            print(done.stdout, end="")
        if done.returncode != status:
            sys.exit(f"demo: this should have ended with {status}, not {done.returncode}")
        if status:
            print(f"[exit {status}]")
        return done.stdout

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Run an instance on a free port; gives what it prints until it is ready."""
        command = ("touchplate", "serve", "--data", "instance", "--listen", "127.0.0.1:0")
        print(f"\n$ {shlex.join(command)} &", flush=True)
        log = self.folder / "serve.log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            said = _wait_until_ready(server, log)
            print(said, end="")
            yield said
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                status = server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                status = server.wait()
            print(f"\nThe instance was told to stop and ended with status {status}.")

    def fetch(self, path: str) -> bytes:
        """GET a path of the instance."""
        request = urllib.request.Request(f"{self.url}/{path}")  # noqa: S310  our own instance
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  the same
            body: bytes = answer.read()
            return body

    def checkpoint(self) -> tuple[int, bytes]:
        """Give size and root of the log as its newest checkpoint states them."""
        lines = self.fetch("checkpoint").decode().splitlines()
        return int(lines[1]), b64decode(lines[2])

    def read_tile(self, level: int, index: int, width: int) -> bytes:
        """Fetch a tile, as `touchplate.merkle` asks for it."""
        return self.fetch(tile_path(level, index, width))


def _wait_until_ready(server: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        said = log.read_text("utf-8")
        if re.search(r"^.*--fingerprint .*\n", said, flags=re.MULTILINE):
            return said
        time.sleep(0.05)
    sys.exit(f"demo: the instance did not start:\n{log.read_text('utf-8')}")


def step(text: str) -> None:
    """Say what comes next."""
    print(f"\n── {text}", flush=True)


def build(demo: Demo) -> tuple[Path, Path]:
    """Build wheel and sdist of this repository."""
    step("Build a real release: this project's own wheel and sdist.")
    source = demo.folder / "source"
    for name in ("src", "docs", "pyproject.toml", "README.md", "LICENSE"):
        path = REPOSITORY / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(path, source / name)
    demo.run(
        *(sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist", str(source)),
        shown="python -m build --no-isolation --outdir dist",
        quiet=True,
    )
    wheel, sdist = (next((demo.folder / "dist").glob(kind)) for kind in ("*.whl", "*.tar.gz"))
    for path in (wheel, sdist):
        print(f"{path.name}  {path.stat().st_size:,} bytes")
    return wheel, sdist


def recompute(demo: Demo, path: Path, before: tuple[int, bytes]) -> None:
    """Compute the inclusion of the file's entry again, from tiles alone."""
    size, root = demo.checkpoint()
    print(f"\nThe log had {before[0]} entries and has {size} now.")
    bundle = json.loads(path.with_name(f"{path.name}.sigstore.json").read_bytes())
    entry = bundle["verificationMaterial"]["tlogEntries"][0]
    index = int(entry.get("logIndex", 0))
    leaf = leaf_hash(b64decode(entry["canonicalizedBody"]))

    stored = demo.read_tile(0, index // 256, tile_width(0, index // 256, size))
    hold(stored[index % 256 * 32 :][:32] == leaf, "the tile holds another leaf")
    print(f"Leaf {index} of the tiles is the hash of the entry:   {leaf.hex()}")
    hold(tree_root(size, demo.read_tile) == root, "the tiles have another root")
    print(f"The root of the tiles is the checkpoint's:      {root.hex()}")
    proof = inclusion_proof(index, size, demo.read_tile)
    check_inclusion(index, size, leaf, proof, root)
    print(f"An inclusion proof of {len(proof)} hashes, made from tiles, leads from leaf to root.")
    older = consistency_proof(before[0], size, demo.read_tile)
    check_consistency(before[0], size, older, before[1], root)
    print(f"A consistency proof, too: this tree begins with the one of {before[0]} entries.")


def hold(condition: bool, otherwise: str) -> None:  # noqa: FBT001  a claim, not an option
    """End the demo if a claim that it makes is not true."""
    if not condition:
        sys.exit(f"demo: {otherwise}")


def main() -> None:
    """Show the main job from an empty folder to a verdict."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="touchplate-demo-") as name:
        demo = Demo(Path(name))
        wheel, sdist = build(demo)
        files = [str(path.relative_to(demo.folder)) for path in (wheel, sdist)]

        step("Start a whole instance in an empty folder, and trust it by its fingerprint.")
        with demo.serving() as said:
            trust = re.search(r"touchplate trust add (\S+) --fingerprint (\S+)", said)
            if trust is None:
                sys.exit("demo: the instance did not print how to trust it")
            demo.url = trust[1]
            demo.run("touchplate", "trust", "add", demo.url, "--fingerprint", trust[2])

            step("Sign both files with one login.")
            login = ("touchplate", "token", "--data", "instance", "--email", EMAIL)
            token = demo.run(*login, shown=f"{shlex.join(login)} > token", quiet=True)
            (demo.folder / "token").write_text(token, "utf-8")
            sign = ("touchplate", "sign", "--instance", demo.url, "--identity-token", "token")
            demo.run(*sign, *files)

            step("Verify, with every step and its evidence.")
            who = ("--identity", EMAIL, "--issuer", f"{demo.url}/oidc")
            demo.run("touchplate", "verify", files[0], *who, "--explain")
            demo.run("touchplate", "verify", files[1], *who)

            step("Change one byte: refused, and why.")
            changed = change_one_byte(wheel)
            demo.run("touchplate", "verify", str(changed.relative_to(demo.folder)), *who, status=1)

            step(
                "Let the log grow, and compute an entry's inclusion again from the tiles it serves."
            )
            before = demo.checkpoint()
            shown = f"sha256sum {shlex.join(files)} > SHA256SUMS"
            sums = demo.run("sha256sum", *files, shown=shown, quiet=True)
            (demo.folder / "SHA256SUMS").write_text(sums, "utf-8")
            demo.run(*sign, "SHA256SUMS")
            recompute(demo, wheel, before)

        step("The instance is gone. Verifying never needed it.")
        demo.run("touchplate", "verify", *files, "SHA256SUMS", *who)
    print(
        f"\nDone in {time.monotonic() - begun:.0f} s. Nothing was left running, nothing was kept."
    )


def change_one_byte(path: Path) -> Path:
    """Copy a file and its bundle, with one bit of the copy's middle byte turned."""
    folder = path.parent.with_name("changed")
    folder.mkdir()
    copy = folder / path.name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    copy.write_bytes(data)
    bundle = f"{path.name}.sigstore.json"
    shutil.copy2(path.with_name(bundle), folder / bundle)
    print(f"\nbyte {len(data) // 2} of a copy of {path.name} is changed")
    return copy


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("\ndemo: interrupted; nothing was left running, nothing was kept", file=sys.stderr)
        sys.exit(130)
