"""Log appends over HTTP: durable, integrated, with proof and signed checkpoint in the answer.

One server process on one core, the load on another. Every request is a distinct hashedrekord 0.0.2
entry with its own certificate and P-256 signature, as real clients send them. CPU for each entry is
the server process's own (utime + stime), so the load generator can neither flatter nor hurt it. The
floor is the bare loop that no log can leave out: load the certificate, verify the signature, hash.
"""

import hashlib
import os
import statistics
import sys
import time
from base64 import b64encode
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from bench import instance, load

_ENTRIES = 20_000
_FLOOR_SAMPLES = 2_000
_CLIENTS = 64


def make_entries(count: int) -> list[tuple[bytes, bytes, bytes]]:
    """Make (digest, signature, certificate DER) for `count` artifacts, each with its own key."""
    authority = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    entries = []
    for number in range(count):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(x509.Name([]))
            .public_key(key.public_key())
            .serial_number(number + 1)
            .not_valid_before(now)
            .not_valid_after(now + timedelta(minutes=10))
            .add_extension(
                x509.SubjectAlternativeName([x509.RFC822Name("dev@example.com")]), critical=True
            )
            .sign(authority, hashes.SHA256())
        )
        digest = hashlib.sha256(b"artifact %d" % number).digest()
        signature = key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))
        entries.append((digest, signature, certificate.public_bytes(serialization.Encoding.DER)))
    return entries


def request_body(digest: bytes, signature: bytes, certificate: bytes) -> bytes:
    """Write the body of POST /api/v2/log/entries."""
    return (
        b'{"hashedRekordRequestV002":{"digest":"%s","signature":{"content":"%s","verifier":'
        b'{"x509Certificate":{"rawBytes":"%s"},"keyDetails":"PKIX_ECDSA_P256_SHA_256"}}}}'
        % (b64encode(digest), b64encode(signature), b64encode(certificate))
    )


def floor_seconds(entries: list[tuple[bytes, bytes, bytes]]) -> float:
    """Give the median seconds of the bare loop for one entry."""
    algorithm = ec.ECDSA(Prehashed(hashes.SHA256()))
    rounds = []
    for _ in range(5):
        begun = time.process_time()
        for digest, signature, der in entries:
            key = x509.load_der_x509_certificate(der).public_key()
            assert isinstance(key, ec.EllipticCurvePublicKey)
            key.verify(signature, digest, algorithm)
            hashlib.sha256(der).digest()
        rounds.append((time.process_time() - begun) / len(entries))
    return statistics.median(rounds)


def main() -> None:
    """Print entries a second, CPU for each entry, latency, and the ratio to the floor."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else _ENTRIES
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[-1]})
    entries = make_entries(count)
    print(f"log append over HTTP, {count} entries, server and load on a core each")
    print(f"{'clients':>8}{'entries/s':>11}{'CPU us':>8}{'floor us':>10}{'CPU/floor':>11}", end="")
    print(f"{'p50 ms':>8}{'p99 ms':>8}")
    with instance.running(cores=cores[:1]) as server:
        bodies = [request_body(*entry) for entry in entries]
        requests = [load.post("/api/v2/log/entries", server.host, body) for body in bodies]
        warm_up = len(requests) // 10
        load.run_load(server.address, requests[:warm_up], _CLIENTS)
        rest = requests[warm_up:]
        shares = {1: len(rest) // 10, 16: 3 * len(rest) // 10, _CLIENTS: 6 * len(rest) // 10}
        done = 0
        for clients, share in shares.items():
            # The floor beside each row, for the machine's speed changes from minute to minute.
            floor = floor_seconds(entries[:_FLOOR_SAMPLES])
            before = load.cpu_seconds(server.pid)
            result = load.run_load(server.address, rest[done : done + share], clients)
            used = (load.cpu_seconds(server.pid) - before) / share
            floor = (floor + floor_seconds(entries[:_FLOOR_SAMPLES])) / 2
            done += share
            if set(result.statuses) != {201}:
                raise RuntimeError(f"not every entry was taken: {result.statuses}")
            print(
                f"{clients:8}{share / result.seconds:11.0f}{used * 1e6:8.1f}{floor * 1e6:10.1f}"
                f"{used / floor:11.2f}"
                f"{result.percentile(0.5) * 1e3:8.2f}{result.percentile(0.99) * 1e3:8.2f}"
            )


if __name__ == "__main__":
    main()
