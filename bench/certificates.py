"""Certificates: token, proof of possession, precertificate logged and promised, answer.

One server process on one core, the load on another. Every request has a key of its own, a proof,
and a token of its own by the instance's issuer (ES256). The precertificate is durable and
integrated in the CT log before the answer. CPU for each certificate is the server process's own
(utime + stime). The floor is the bare loop of the cryptography that no authority can leave out:
verify the token's signature, verify the proof, sign precertificate and certificate, sign the
promise. With 64 clients HTTP and gRPC take turns.
"""

import json
import os
import socket
import statistics
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bench import grpc_load, instance, load
from touchplate.keystore import load_signer
from touchplate.oidc import mint_token
from touchplate.protobuf import sigstore_fulcio_v2_pb2 as v2

_CERTIFICATES = 6_000
_FLOOR_SAMPLES = 100
_CLIENTS = 64
_TURNS = 9  # of HTTP and of gRPC
_EMAIL = "dev@example.com"
_PATH = "/api/v2/signingCert"
_CALL = "/dev.sigstore.fulcio.v2.CA/CreateSigningCertificate"

P256 = ec.ECDSA(hashes.SHA256())
P384 = ec.ECDSA(hashes.SHA384())


def mint(server: instance.Server, count: int) -> list[str]:
    """Mint tokens of the instance's own issuer, no two alike."""
    signer = load_signer((server.data / "keys" / "issuer.pem").as_uri())
    url: str = json.loads(server.get("/oidc/.well-known/openid-configuration"))["issuer"]
    now, life = datetime.now(UTC), timedelta(hours=1)
    return [mint_token(signer, url, _EMAIL, now=now, lifetime=life) for _ in range(count)]


def make_proof() -> tuple[str, bytes]:
    """Make a key; give it as PEM, with the proof that we have it."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem.decode(), key.sign(_EMAIL.encode(), P256)


def make_requests(tokens: Sequence[str], host: str) -> list[bytes]:
    """Make a request of each token; it stands in the header, as most clients write it."""
    made = []
    for token in tokens:
        pem, proof = make_proof()
        body = json.dumps(
            {
                "publicKeyRequest": {
                    "publicKey": {"algorithm": "ECDSA", "content": pem},
                    "proofOfPossession": b64encode(proof).decode(),
                }
            }
        ).encode()
        head = (
            f"POST {_PATH} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


def make_messages(tokens: Sequence[str]) -> list[bytes]:
    """Make the message of each token."""
    made: list[bytes] = []
    for token in tokens:
        pem, proof = make_proof()
        message = v2.CreateSigningCertificateRequest()
        message.credentials.oidc_identity_token = token
        message.public_key_request.public_key.content = pem
        message.public_key_request.proof_of_possession = proof
        made.append(message.SerializeToString())
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


def measure(
    server: instance.Server, ca_key: str, count: int, run: Callable[[], load.LoadResult]
) -> tuple[load.LoadResult, float, float]:
    """Run a load; give what it saw, the server's CPU seconds for each certificate, and the floor.

    The floor is taken before and after, on the server's core, for the machine's speed changes from
    minute to minute, and one core may be slower than another.
    """
    own = os.sched_getaffinity(0)

    def floor() -> float:
        os.sched_setaffinity(0, os.sched_getaffinity(server.pid))
        try:
            return floor_seconds(ca_key)
        finally:
            os.sched_setaffinity(0, own)

    first = floor()
    before = load.cpu_seconds(server.pid)
    result = run()
    used = (load.cpu_seconds(server.pid) - before) / count
    return result, used, (first + floor()) / 2


def main() -> None:
    """Print certificates a second, CPU for each, latency, and the ratio to the floor."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else _CERTIFICATES
    cores = sorted(os.sched_getaffinity(0))
    polls = len(cores) > 1
    if polls:
        os.sched_setaffinity(0, {cores[-1]})
    print(f"certificates, {count} for each row, server and load on a core each")
    print(f"{'CA key':>7}{'clients':>8}{'certs/s':>9}{'CPU us':>8}{'floor us':>10}", end="")
    print(f"{'CPU/floor':>11}{'p50 ms':>8}{'p99 ms':>8}")
    for ca_key in ("p256", "p384"):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            listen = f"127.0.0.1:{taken.getsockname()[1]}"
        options = ("--ca-key", ca_key, "--grpc-listen", listen)
        with instance.running(*options, cores=cores[:1]) as server:
            tokens = mint(server, count)
            requests = make_requests(tokens, server.host)
            load.run_load(server.address, requests[: count // 10], _CLIENTS)
            for clients in (1, 16):
                share = requests[: count // 4]
                found = measure(
                    *(server, ca_key, len(share)),
                    partial(load.run_load, server.address, share, clients, polls=polls),
                )
                show(f"{ca_key:>7}{clients:8}", *found)
            messages = make_messages(tokens)
            peak = take_turns(server, ca_key, listen, requests, messages, polls=polls)
            result = load.run_paced(
                *(server.address, requests[: count // 2], peak / 2), clients=_CLIENTS, polls=polls
            )
            show(f"{ca_key:>7}{'half':>8}", result, 0.0, 1.0)


def take_turns(
    server: instance.Server,
    ca_key: str,
    listen: str,
    requests: Sequence[bytes],
    messages: Sequence[bytes],
    *,
    polls: bool,
) -> float:
    """Print a row for HTTP and one for gRPC, and how much more CPU that takes; give HTTP's rate.

    The two take turns. A row is that of the turn with the median ratio to its own floor.
    """
    ask = partial(load.run_load, server.address, clients=_CLIENTS, polls=polls)
    call = partial(grpc_load.run_calls, listen, _CALL, clients=_CLIENTS, polls=polls)
    call(messages[: len(messages) // 10])
    share = len(messages) // _TURNS
    by_http, by_grpc = [], []
    for start in range(0, share * _TURNS, share):
        asked, called = requests[start : start + share], messages[start : start + share]
        by_http.append(measure(server, ca_key, share, partial(ask, asked)))
        by_grpc.append(measure(server, ca_key, share, partial(call, called)))
    ratio = statistics.median(
        grpc[1] / http[1] for http, grpc in zip(by_http, by_grpc, strict=True)
    )
    middle = sorted(by_http, key=_in_floors)[_TURNS // 2]
    show(f"{ca_key:>7}{_CLIENTS:8}", *middle)
    show(f"{ca_key:>7}{'gRPC 64':>8}", *sorted(by_grpc, key=_in_floors)[_TURNS // 2], granted=0)
    print(f"{'':>15}gRPC takes {ratio:.2f} times the CPU of HTTP", flush=True)
    return share / middle[0].seconds


def _in_floors(measured: tuple[load.LoadResult, float, float]) -> float:
    _, used, floor = measured
    return used / floor


def show(head: str, result: load.LoadResult, used: float, floor: float, granted: int = 200) -> None:
    """Print one row."""
    if set(result.statuses) != {granted}:
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
