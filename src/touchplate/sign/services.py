"""Which services to sign with, chosen by the signing config (signing-flow: service selection)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar

from touchplate.clients.ca import CaClient
from touchplate.clients.tlog import TlogClient, TlogV1Client, TlogV2Client
from touchplate.clients.tsa import TsaClient
from touchplate.errors import MalformedError, RefusedError, UnavailableError
from touchplate.formats.signing_config import (
    Selector,
    Service,
    SigningConfig,
    candidates,
    select_service,
    select_services,
)
from touchplate.formats.trusted_root import TrustedRoot
from touchplate.transport.http import Retrying, Transport

CA_VERSIONS: Final = (1,)
TSA_VERSIONS: Final = (1,)
TLOG_CLIENTS: Final[dict[int, Callable[[str, Transport], TlogClient]]] = {
    1: TlogV1Client,
    2: TlogV2Client,
}

C = TypeVar("C")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Choice(Generic[C]):
    """Services of one kind: all of them, or the first that answers."""

    clients: tuple[C, ...]
    any_one: bool

    def ask(self, question: Callable[[C], R]) -> tuple[R, ...]:
        """Put the question to the services and give their answers, in their order.

        With `any_one` the next is asked when one is away or takes no more (SERVICE_UNAVAILABLE,
        LOG_FROZEN); nothing was entered by then. The last one's error is what the caller sees.
        """
        if not self.any_one:
            return tuple(question(client) for client in self.clients)
        *others, last = self.clients
        for client in others:
            try:
                return (question(client),)
            except UnavailableError:
                continue
            except RefusedError as error:
                if error.code != "LOG_FROZEN":
                    raise
        return (question(last),)


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that one signature needs from elsewhere, and whom to believe about it."""

    ca: CaClient
    tlogs: Choice[TlogClient]
    tsas: Choice[TsaClient] | None
    # Without a timestamp there would be no verified time, or fewer than the config asks for.
    timestamp_required: bool
    trusted_root: TrustedRoot


def connect(
    config: SigningConfig,
    trusted_root: TrustedRoot,
    transport: Transport,
    at: datetime,
    *,
    tlog_version: int | None = None,
) -> Services:
    """Choose the services that are valid `at`; nothing is sent yet.

    `tlog_version` keeps only logs of that version. Raises SIGNING_CONFIG_INVALID: nothing usable,
    or a version 2 log without a timestamp authority, whose bundles could never be verified.
    """
    retrying = Retrying(transport)
    versions = tuple(TLOG_CLIENTS) if tlog_version is None else (tlog_version,)
    ca = select_service(config.ca_urls, CA_VERSIONS, at)
    tlogs, any_tlog = _select(config.rekor_tlog_urls, config.rekor_tlog_config, versions, at)
    tsas, any_tsa = _select(config.tsa_urls, config.tsa_config, TSA_VERSIONS, at)
    if not tlogs:
        raise MalformedError("SIGNING_CONFIG_INVALID", "the signing config names no log")
    is_v2 = any(tlog.major_api_version == 2 for tlog in tlogs)
    if is_v2 and not tsas:
        raise MalformedError(
            "SIGNING_CONFIG_INVALID",
            "the log states no time and the signing config names no timestamp authority",
            hint="add one to tsaUrls, or sign with a version 1 log",
        )
    return Services(
        ca=CaClient(ca.url, retrying),
        tlogs=Choice(
            tuple(TLOG_CLIENTS[each.major_api_version](each.url, retrying) for each in tlogs),
            any_tlog,
        ),
        tsas=Choice(tuple(TsaClient(each.url, retrying) for each in tsas), any_tsa)
        if tsas
        else None,
        timestamp_required=is_v2 or not any_tsa,
        trusted_root=trusted_root,
    )


def _select(
    services: Iterable[Service], selector: Selector, versions: tuple[int, ...], at: datetime
) -> tuple[tuple[Service, ...], bool]:
    """Give the services to use, and whether one of them is enough."""
    listed = tuple(services)
    chosen = select_services(listed, selector, versions, at)
    if selector.kind == "ANY":
        return candidates(listed, versions, at), True
    return chosen, False
