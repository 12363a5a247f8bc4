"""Certificates over HTTP: token, proof of possession, precertificate logged and promised, answer.

One server process on one core, the load on another. Every request has a key of its own and a proof;
the token is one of the instance's own issuer (ES256). The precertificate is durable and integrated
in the CT log before the answer. CPU for each certificate is the server process's own (utime +
stime). The floor is the bare loop of the cryptography that no authority can leave out: verify the
token's signature, verify the proof, sign precertificate and certificate, sign the promise.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bench import instance, load

_CERTIFICATES = 6_000
_FLOOR_SAMPLES = 400
_CLIENTS = 64
_EMAIL = "dev@example.com"
_PATH = "/api/v2/signingCert"

P256 = ec.ECDSA(hashes.SHA256())
P384 = ec.ECDSA(hashes.SHA384())


def mint(data: Path) -> str:
    """Mint a token of the instance's own issuer."""
    script = Path(sys.executable).parent / "touchplate"
    done = subprocess.run(
        [script, "token", "--data", data, "--email", _EMAIL, "--minutes", "60"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def make_requests(count: int, token: str, host: str) -> list[bytes]:
    """Make `count` requests, each with its own key; the token in the header, as most clients do."""
    made = []
    for _ in range(count):
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        proof = b64encode(key.sign(_EMAIL.encode(), P256)).decode()
        body = json.dumps(
            {
                "publicKeyRequest": {
                    "publicKey": {"algorithm": "ECDSA", "content": pem.decode()},
                    "proofOfPossession": proof,
                }
            }
        ).encode()
        head = (
            f"POST {_PATH} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


def floor_seconds(ca_key: str) -> float:
    """Give the median seconds of the bare loop for one certificate."""
    issuer, holder, log = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    authority = ec.generate_private_key(ec.SECP384R1() if ca_key == "p384" else ec.SECP256R1())
    scheme = P384 if ca_key == "p384" else P256
    message, tbs = os.urandom(400), os.urandom(560)
    token, proof = issuer.sign(message, P256), holder.sign(_EMAIL.encode(), P256)
    point = holder.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    known = issuer.public_key()
    rounds = []
    for _ in range(5):
        begun = time.process_time()
        for _ in range(_FLOOR_SAMPLES):
            known.verify(token, message, P256)
            key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
            key.verify(proof, _EMAIL.encode(), P256)
            authority.sign(tbs, scheme)
            authority.sign(tbs, scheme)
            log.sign(tbs, P256)
        rounds.append((time.process_time() - begun) / _FLOOR_SAMPLES)
    return statistics.median(rounds)


def main() -> None:
    """Print certificates a second, CPU for each, latency, and the ratio to the floor."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else _CERTIFICATES
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[-1]})
    print(f"certificates over HTTP, {count} for each row, server and load on a core each")
    print(f"{'CA key':>7}{'clients':>8}{'certs/s':>9}{'CPU us':>8}{'floor us':>10}", end="")
    print(f"{'CPU/floor':>11}{'p50 ms':>8}{'p99 ms':>8}")
    for ca_key in ("p256", "p384"):
        with instance.running("--ca-key", ca_key, cores=cores[:1]) as server:
            token = mint(server.data)
            requests = make_requests(count, token, server.host)
            load.run_load(server.address, requests[: count // 10], _CLIENTS)
            peak = 0.0
            for clients in (1, 16, _CLIENTS):
                share = requests if clients > 1 else requests[: count // 4]
                # The floor beside each row, for the machine's speed changes from minute to minute.
                floor = floor_seconds(ca_key)
                before = load.cpu_seconds(server.pid)
                result = load.run_load(server.address, share, clients)
                used = (load.cpu_seconds(server.pid) - before) / len(share)
                floor = (floor + floor_seconds(ca_key)) / 2
                show(f"{ca_key:>7}{clients:8}", result, used, floor)
                peak = max(peak, len(share) / result.seconds)
            result = load.run_paced(
                server.address, requests[: count // 2], peak / 2, clients=_CLIENTS
            )
            show(f"{ca_key:>7}{'half':>8}", result, 0.0, 1.0)


def show(head: str, result: load.LoadResult, used: float, floor: float) -> None:
    """Print one row."""
    if set(result.statuses) != {200}:
        raise RuntimeError(f"not every certificate was issued: {result.statuses}")
    rate = len(result.latencies) / result.seconds
    ratio = f"{used * 1e6:8.1f}{floor * 1e6:10.1f}{used / floor:11.2f}" if used else " " * 29
    print(
        f"{head}{rate:9.0f}{ratio}"
        f"{result.percentile(0.5) * 1e3:8.2f}{result.percentile(0.99) * 1e3:8.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
