"""gRPC beside HTTP, on a port of its own: the services, health, reflection, and a clean end.

grpcio runs the calls in threads; what takes long in them, signatures and disk, does not hold the
interpreter's lock. Imported only where an address for it is set.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from touchplate.errors import SettingsError

# A call that appends waits in its thread for the batch that takes its entry.
THREADS: Final = 64
# Calls that run or wait for a thread; more are RESOURCE_EXHAUSTED at once.
MAX_CALLS: Final = 1024
MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
MAX_METADATA_BYTES: Final = 16 * 1024
MAX_STREAMS: Final = 256  # of one connection
# A client that lets its connection rest so long opens another.
MAX_IDLE_MS: Final = 15 * 60 * 1000

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.max_concurrent_streams", MAX_STREAMS),
    ("grpc.max_connection_idle_ms", MAX_IDLE_MS),
)

# The messages of version 1 are those of version 1alpha, which the library speaks.
_REFLECTION_V1: Final = "grpc.reflection.v1.ServerReflection"


# Told of each call of a method that there is when it has ended: service, method and code, which is
# spelled as Go spells it, for that is how dashboards know it: InvalidArgument.
Observer = Callable[[str, str, str], None]


@dataclass(frozen=True, slots=True)
class Service:
    """One service: its full name, whose description was loaded with its messages, and its calls."""

    name: str
    handler: grpc.GenericRpcHandler


class GrpcServer:
    """A running server; `serve_grpc` makes it."""

    def __init__(
        self, server: grpc.Server, executor: ThreadPoolExecutor, checks: health.HealthServicer
    ) -> None:
        self._server = server
        self._executor = executor
        self._checks = checks
        self.port = 0

    def stop(self, drain_seconds: float) -> None:
        """End: no new calls, then wait for those under way, then break them off."""
        self._checks.enter_graceful_shutdown()
        self._server.stop(drain_seconds).wait()
        self._executor.shutdown()


def serve_grpc(
    services: Sequence[Service],
    listen: tuple[str, int],
    *,
    tls: tuple[Path, Path] | None = None,
    share_port: bool = False,
    max_calls: int = MAX_CALLS,
    observe: Observer | None = None,
) -> GrpcServer:
    """Start to answer; `stop` the server that is given back.

    Port 0 takes a free one, `GrpcServer.port` says which. `tls` has the files of the certificate,
    with its chain, and of its key, both PEM. With `share_port` several processes may listen on the
    same port, and the kernel spreads connections over them; each starts its server after it was
    forked. Raises SettingsError SETTINGS_INVALID or FILE_UNREADABLE.
    """
    executor = ThreadPoolExecutor(THREADS, thread_name_prefix="grpc")
    server = grpc.server(
        executor,
        handlers=[service.handler for service in services],
        interceptors=() if observe is None else (_Counting(observe),),
        options=(*_OPTIONS, ("grpc.so_reuseport", int(share_port))),
        maximum_concurrent_rpcs=max_calls,
    )
    checks = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    names = [service.name for service in services]
    _add_reflection(server, (*names, health.SERVICE_NAME, reflection.SERVICE_NAME))
    running = GrpcServer(server, executor, checks)
    running.port = _bind(server, listen, tls)
    for name in ("", *names):
        checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    server.start()
    return running


class _Counting(grpc.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """Tells of each unary call how it ended."""

    def __init__(self, observe: Observer) -> None:
        self._observe = observe
        self._counted: dict[str, grpc.RpcMethodHandler] = {}  # by method; there are few

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler | None],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        """Give the handler of a call; none is left as it is, for its name is the client's word."""
        counted = self._counted.get(details.method)
        if counted is not None:
            return counted
        handler = continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler
        _, service, method = details.method.split("/")
        counted = grpc.unary_unary_rpc_method_handler(
            self._counting(handler.unary_unary, service, method),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )
        self._counted[details.method] = counted
        return counted

    def _counting(
        self, call: Callable[[Any, grpc.ServicerContext], Any], service: str, method: str
    ) -> Callable[[Any, grpc.ServicerContext], Any]:
        def answer(request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401  any message
            try:
                found = call(request, context)
            except Exception:
                code = context.code() or grpc.StatusCode.UNKNOWN
                self._observe(service, method, _in_go(code))
                raise
            self._observe(service, method, _in_go(grpc.StatusCode.OK))
            return found

        return answer


def _in_go(code: grpc.StatusCode) -> str:
    """Spell a code as Go does."""
    if code is grpc.StatusCode.OK:
        return "OK"
    if code is grpc.StatusCode.CANCELLED:
        return "Canceled"
    return "".join(word.capitalize() for word in code.name.split("_"))


def _add_reflection(server: grpc.Server, names: Sequence[str]) -> None:
    reflection.enable_server_reflection(names, server)
    servicer = reflection.ReflectionServicer(names)
    call = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=_serialize,
    )
    handler = grpc.method_handlers_generic_handler(_REFLECTION_V1, {"ServerReflectionInfo": call})
    server.add_generic_rpc_handlers((handler,))


def _serialize(message: Message) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def _bind(server: grpc.Server, listen: tuple[str, int], tls: tuple[Path, Path] | None) -> int:
    host, port = listen
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if tls is None:
            bound: int = server.add_insecure_port(address)
        else:
            certificate, key = (_read(path) for path in tls)
            credentials = grpc.ssl_server_credentials([(key, certificate)])
            bound = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        # It says the same of an address that is taken and of a certificate that is none.
        raise SettingsError(
            "SETTINGS_INVALID",
            f"cannot serve gRPC on {address}",
            hint="give a free address with --grpc-listen HOST:PORT"
            + (
                ""
                if tls is None
                else "; the certificate and its key must be PEM, and belong together"
            ),
        ) from error
    return bound


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError("FILE_UNREADABLE", f"{path}: {error.strerror}") from error
