"""Run the benchmarks, each in a process of its own: `make bench`, or `bench/run.py NAME…` for some.

A benchmark is a module with a `main` that prints medians and ratios: to its crypto floor (the same
cryptography in a bare loop) and, where there is one, to an installed peer. Read ratios, not
absolutes; they hold between machines.
"""

import platform
import subprocess
import sys
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parent.parent
BENCHMARKS: Final = (
    "verify_process",
    "verify_many",
    "tilelog",
    "append_http",
    "certificates",
    "timestamps",
    "index",
)


def main(names: list[str]) -> int:
    """Run the benchmarks named, or all; stop at the first that fails."""
    unknown = sorted(set(names) - set(BENCHMARKS))
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}")
        return 2
    print(f"Python {platform.python_version()} on {platform.machine()}", flush=True)
    for name in names or BENCHMARKS:
        print(f"\n== {name}", flush=True)
        done = subprocess.run([sys.executable, "-m", f"bench.{name}"], cwd=REPOSITORY, check=False)
        if done.returncode != 0:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
