"""Calls by gRPC from one thread, each client with one call under way, on channels of their own.

The same `LoadResult` as of `load`; a status is that of gRPC, 0 is OK. The library's own threads
send and receive, so the load takes more of its core than by HTTP: read the server's CPU, not the
rate.
"""

import gc
import time
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any

import grpc

from bench.load import LoadResult

_SECONDS = 60.0
_CHANNELS = 4  # HTTP/2 connections; their calls share them


def run_calls(address: str, method: str, messages: Sequence[bytes], clients: int) -> LoadResult:
    """Send every message once: each client sends its next one when its last one is answered."""
    channels = [
        grpc.insecure_channel(address, options=(("grpc.use_local_subchannel_pool", 1),))
        for _ in range(min(_CHANNELS, clients))
    ]
    calls = [channel.unary_unary(method) for channel in channels]
    ended: SimpleQueue[tuple[int, float, Any]] = SimpleQueue()
    latencies: list[float] = []
    statuses: dict[int, int] = {}

    def send(number: int) -> None:
        begun = time.perf_counter()
        call = calls[number % len(calls)].future(messages[number], timeout=_SECONDS)
        call.add_done_callback(
            lambda done: ended.put((number, time.perf_counter() - begun, done.code()))
        )

    gc.collect()
    gc.disable()
    try:
        begun, own = time.perf_counter(), time.process_time()
        sent = min(clients, len(messages))
        for number in range(sent):
            send(number)
        while len(latencies) < len(messages):
            _, seconds, code = ended.get(timeout=2 * _SECONDS)
            latencies.append(seconds)
            status: int = code.value[0]
            statuses[status] = statuses.get(status, 0) + 1
            if sent < len(messages):
                send(sent)
                sent += 1
        return LoadResult(
            time.perf_counter() - begun,
            time.process_time() - own,
            tuple(latencies),
            statuses,
            (),
        )
    finally:
        gc.enable()
        for channel in channels:
            channel.close()
