"""`touchplate verify` as a whole process against `sigstore verify identity --offline`.

One bundle, one file, no network, both from the same environment's interpreter; the runs of the two
alternate, so that a slow moment of the machine meets both. Wall clock, CPU (user and system) and
peak memory come from wait4(2) of each child.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import corpus

_RUNS = 21
_WARM_UP = 2


@dataclass(frozen=True, slots=True)
class Run:
    """One process: seconds of wall clock and of CPU, and its largest resident size in MiB."""

    wall: float
    cpu: float
    peak: float


# Linux counts the size of the process that calls exec into the peak of the program that replaces
# it, so the child is started by an interpreter of 8 MiB and not by this one, which read bundles.
_LAUNCHER = """
import os, sys, time
begun = time.perf_counter()
null = os.open(os.devnull, os.O_RDWR)
quiet = [(os.POSIX_SPAWN_DUP2, null, 1)]
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(child, 0)
wall = time.perf_counter() - begun
print(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def measure(command: Sequence[str], environment: dict[str, str]) -> Run:
    """Run a command to its end, which must be exit 0."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _LAUNCHER, *command],
        env=environment,
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {done.stderr}")
    wall, cpu, peak = map(float, done.stdout.split())
    return Run(wall, cpu, peak)


def compare(commands: dict[str, Sequence[str]], environment: dict[str, str]) -> dict[str, Run]:
    """Give the medians of each command, runs interleaved."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for turn in range(_RUNS + _WARM_UP):
        for name, command in commands.items():
            run = measure(command, environment)
            if turn >= _WARM_UP:
                runs[name].append(run)
    return {
        name: Run(
            statistics.median(run.wall for run in taken),
            statistics.median(run.cpu for run in taken),
            statistics.median(run.peak for run in taken),
        )
        for name, taken in runs.items()
    }


def main() -> None:
    """Print one table for a v2 bundle with a timestamp and one for a v1 bundle."""
    scripts = Path(sys.executable).parent
    print("verify, whole process, medians of", _RUNS)
    print(f"{'':34}{'wall ms':>9}{'CPU ms':>9}{'MiB':>7}")
    for version in (2, 1):
        with TemporaryDirectory() as name:
            case = corpus.write_case(Path(name), tlog_version=version)
            environment = {
                **os.environ,
                "HOME": name,
                "XDG_CACHE_HOME": name,
                "XDG_DATA_HOME": name,
            }
            medians = compare(
                {
                    "interpreter": [sys.executable, "-c", "pass"],
                    "touchplate": [
                        str(scripts / "touchplate"), "verify", str(case.artifact),
                        "--bundle", str(case.bundle), "--trusted-root", str(case.trusted_root),
                        "--identity", case.identity, "--issuer", case.issuer,
                    ],
                    "sigstore": [
                        str(scripts / "sigstore"), "--trust-config", str(case.trust_config),
                        "verify", "identity", "--offline", "--bundle", str(case.bundle),
                        "--cert-identity", case.identity, "--cert-oidc-issuer", case.issuer,
                        str(case.artifact),
                    ],
                },
                environment,
            )  # fmt: skip
        for label, run in medians.items():
            row = f"log v{version}, {label}"
            print(f"{row:34}{run.wall * 1e3:9.1f}{run.cpu * 1e3:9.1f}{run.peak:7.1f}")
        ours, peer = medians["touchplate"], medians["sigstore"]
        print(
            f"{f'log v{version}, touchplate / sigstore':34}{ours.wall / peer.wall:9.2f}"
            f"{ours.cpu / peer.cpu:9.2f}{ours.peak / peer.peak:7.2f}"
        )


if __name__ == "__main__":
    main()
