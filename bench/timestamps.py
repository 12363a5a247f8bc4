"""Timestamps over HTTP: RFC 3161 responses a second, and what one costs beside its signature.

One server process on one core, the load on another. Every request has its own digest and nonce and
asks for the certificate. CPU for each is the server process's own (utime + stime); the floor is its
one signature, made in a bare loop with the same kind of key. The second row of a
kind is offered half of the peak, and is there for its latency.
"""

import hashlib
import os
import secrets
import statistics
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench import instance, load
from touchplate.formats.timestamp_request import TimestampRequest, encode_timestamp_request
from touchplate.keys.signer import generate
from touchplate.keystore import create_signer
from touchplate.server.data import DataFolder, Instance

_REQUESTS = 20_000
_FLOOR_SAMPLES = 2_000
_CLIENTS = 64
_PATH = "/api/v1/timestamp"
_KINDS = ("p256", "p384")


def make_request(number: int) -> bytes:
    """Make one query as sigstore-python's client does: SHA-256, a nonce, with certificate."""
    digest = hashlib.sha256(b"signature %d" % number).digest()
    nonce = secrets.randbits(63)
    request = TimestampRequest("sha256", digest, None, nonce, wants_certificates=True)
    return encode_timestamp_request(request)


def floor_seconds(kind: str) -> float:
    """Give the median seconds of one signature over attributes of the usual size."""
    signer = generate(f"ecdsa-{kind}")
    message = secrets.token_bytes(219)
    rounds = []
    for _ in range(5):
        begun = time.process_time()
        for _ in range(_FLOOR_SAMPLES // 5):
            signer.sign(message)
        rounds.append((time.process_time() - begun) / (_FLOOR_SAMPLES // 5))
    return statistics.median(rounds)


def make_key(kind: str, data: Path) -> None:
    """Leave the folder as a first start that was cut short does, with this key of the authority."""
    with DataFolder.serve(data) as folder:
        folder.remember(
            Instance("http://127.0.0.1:1", True, datetime.now(UTC), "ecdsa-p256", id="0" * 32)  # noqa: FBT003  its URL follows
        )
    create_signer((data / "keys" / "tsa.pem").as_uri(), f"ecdsa-{kind}")


def measure(
    server: instance.Server,
    kind: str,
    requests: Sequence[bytes],
    rate: float | None = None,
    *,
    polls: bool,
) -> float:
    """Send the requests, as fast as 64 clients can or at a rate; print a row; give the rate."""
    floor = floor_seconds(kind)
    before = load.cpu_seconds(server.pid)
    if rate is None:
        result = load.run_load(server.address, requests, _CLIENTS, polls=polls)
    else:
        result = load.run_paced(server.address, requests, rate, clients=_CLIENTS, polls=polls)
    used = (load.cpu_seconds(server.pid) - before) / len(requests)
    floor = (floor + floor_seconds(kind)) / 2
    if set(result.statuses) != {200}:
        raise RuntimeError(f"not every request got its timestamp: {result.statuses}")
    reached = len(requests) / result.seconds
    print(
        f"{kind:>6}{'peak' if rate is None else 'half':>6}{reached:10.0f}{used * 1e6:8.1f}"
        f"{floor * 1e6:10.1f}{used / floor:11.2f}"
        f"{result.percentile(0.5) * 1e3:8.2f}{result.percentile(0.99) * 1e3:8.2f}"
    )
    return reached


def main() -> None:
    """Print timestamps a second, CPU for each, the ratio to the floor, and latency."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else _REQUESTS
    cores = sorted(os.sched_getaffinity(0))
    polls = len(cores) > 1
    if polls:
        os.sched_setaffinity(0, {cores[-1]})
    queries = [make_request(number) for number in range(count)]
    print(f"timestamps over HTTP, {count} requests, {_CLIENTS} clients, a core each")
    print(
        f"{'key':>6}{'load':>6}{'stamps/s':>10}{'CPU us':>8}{'floor us':>10}{'CPU/floor':>11}",
        end="",
    )
    print(f"{'p50 ms':>8}{'p99 ms':>8}")
    for kind in _KINDS:
        with instance.running(cores=cores[:1], prepare=partial(make_key, kind)) as server:
            requests = [
                load.post(_PATH, server.host, query, "application/timestamp-query")
                for query in queries
            ]
            load.run_load(server.address, requests[: count // 10], _CLIENTS)
            peak = measure(server, kind, requests, polls=polls)
            measure(server, kind, requests[: count // 4], peak / 2, polls=polls)


if __name__ == "__main__":
    main()
