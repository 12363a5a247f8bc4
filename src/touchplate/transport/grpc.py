"""What passes between a role's `grpc.py` and the server: services, calls and how they end.

A role names its methods; the service made of them here reads a request, counts it, has it answered
in the thread of the call, and ends the call with a fault when something goes wrong. Imported only
where gRPC is to be served.
"""

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import grpc
from google.protobuf.message import DecodeError, Message

from touchplate.errors import TouchplateError
from touchplate.transport.asgi import TooOftenError
from touchplate.transport.fault import INTERNAL, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, Fault

log = logging.getLogger("touchplate.transport")

_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

# Method (POST writes, GET reads) and address of a call; gives metadata, raises TooOftenError.
TakeRequest = Callable[[str, str], tuple[tuple[str, str], ...]]
# What an error of ours is answered with; None if it should not have come up there.
FaultOf = Callable[[TouchplateError], Fault | None]


class Method(NamedTuple):
    """One method of a service: the message that it takes, and what answers it, in any thread.

    An answer is a message, or one that was encoded already.
    """

    kind: type[Any]
    call: Callable[[Any, grpc.ServicerContext], Message | bytes]
    writes: bool = False


class FaultError(Exception):
    """The call ends with `fault`; stays in the role's `grpc.py`. `metadata` goes with it too."""

    def __init__(self, fault: Fault, metadata: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.metadata = metadata


def service_handler(
    service: str,
    methods: Mapping[str, Method],
    fault_of: FaultOf,
    take_request: TakeRequest | None = None,
) -> grpc.GenericRpcHandler:
    """Give the handler of a service, of this full name; `take_request` counts each call."""
    return grpc.method_handlers_generic_handler(
        service,
        {
            name: grpc.unary_unary_rpc_method_handler(
                _guard(f"{service}/{name}", method, fault_of, take_request),
                response_serializer=_serialize,
            )
            for name, method in methods.items()
        },
    )


@lru_cache(maxsize=1024)  # of each connection there are many calls
def address_of(peer: str) -> str:
    """Give the address of a peer as gRPC names it: `ipv4:192.0.2.1:443`, `ipv6:%5B::1%5D:443`."""
    kind, _, rest = unquote(peer).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return peer
    return rest.rpartition(":")[0].strip("[]")


def _guard(
    name: str, method: Method, fault_of: FaultOf, take_request: TakeRequest | None
) -> Callable[[bytes, grpc.ServicerContext], Message | bytes]:
    """Read the request and translate what goes wrong: a bug costs one call and is not shown."""
    kind, call, writes = method

    def answer(data: bytes, context: grpc.ServicerContext) -> Message | bytes:
        metadata: tuple[tuple[str, str], ...] = ()
        try:
            if take_request is not None:
                state = take_request("POST" if writes else "GET", address_of(context.peer()))
                if state:
                    context.set_trailing_metadata(state)
            return call(kind.FromString(data), context)
        except DecodeError as error:
            fault = Fault(INVALID_ARGUMENT, 400, str(error))
        except FaultError as error:
            fault, metadata = error.fault, error.metadata
        except TooOftenError as error:
            fault = Fault(RESOURCE_EXHAUSTED, 429, str(error), error.headers)
        except Exception as error:
            found = fault_of(error) if isinstance(error, TouchplateError) else None
            if found is None:
                log.exception("%s failed", name)
                found = Fault(INTERNAL, 500, "internal server error")
            fault = found
        _end(context, fault, metadata)
        raise AssertionError("`abort` raises")

    return answer


def _end(
    context: grpc.ServicerContext, fault: Fault, metadata: tuple[tuple[str, str], ...]
) -> None:
    """End a call with a fault; what HTTP has as headers is metadata, for a gateway to read."""
    seconds = dict(fault.headers).get("retry-after")
    if seconds is not None:
        # gRPC's own way to say when to come again (gRFC A6).
        context.set_trailing_metadata((("grpc-retry-pushback-ms", f"{seconds}000"),))
    context.send_initial_metadata((*fault.headers, *metadata))
    context.abort(_CODES[fault.code], fault.message)


def _serialize(message: Message | bytes) -> bytes:
    if isinstance(message, bytes):
        return message
    data: bytes = message.SerializeToString()
    return data
