from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from touchplate.clients.tlog import TlogV1Client, TlogV2Client
from touchplate.errors import MalformedError, RefusedError, UnavailableError
from touchplate.formats.signing_config import Selector, Service, SigningConfig
from touchplate.formats.trusted_root import TrustedRoot
from touchplate.sign.services import Choice, connect
from touchplate.transport.http import HttpTransport

NOW = datetime(2030, 1, 15, tzinfo=UTC)
START = datetime(2030, 1, 1, tzinfo=UTC)


def service(name: str, version: int = 1, start: datetime = START, operator: str = "a") -> Service:
    """Give a service at NAME.example.test."""
    return Service(f"https://{name}.example.test", version, start, None, operator)


def config(
    *tlogs: Service,
    tsas: tuple[Service, ...] = (service("tsa"),),
    tlog_selector: str = "ANY",
    tsa_selector: str = "ANY",
) -> SigningConfig:
    """Give a signing config with these logs."""
    return SigningConfig(
        ca_urls=(service("ca"),),
        rekor_tlog_urls=tlogs,
        rekor_tlog_config=Selector(tlog_selector),
        tsa_urls=tsas,
        tsa_config=Selector(tsa_selector if tsas else "SERVICE_SELECTOR_UNDEFINED"),
    )


def test_worked_example() -> None:
    """Before a v2 log starts its v1 predecessor is used, then the new one, unless v1 is forced."""
    start = datetime(2030, 2, 1, tzinfo=UTC)
    both = config(service("rekor"), service("log2030-1", 2, start))

    def kind(at: datetime, version: int | None = None) -> tuple[type, str]:
        services = connect(both, TrustedRoot(), HttpTransport(), at, tlog_version=version)
        (client,) = services.tlogs.clients
        return type(client), client.url

    assert kind(NOW) == (TlogV1Client, "https://rekor.example.test")
    assert kind(start + timedelta(days=1)) == (TlogV2Client, "https://log2030-1.example.test")
    assert kind(start + timedelta(days=1), 1) == (TlogV1Client, "https://rekor.example.test")


def test_v2_without_tsa() -> None:
    """A v2 log without a timestamp authority is refused before anything is signed."""
    with pytest.raises(MalformedError) as caught:
        connect(config(service("log", 2), tsas=()), TrustedRoot(), HttpTransport(), NOW)
    assert caught.value.code == "SIGNING_CONFIG_INVALID"


@pytest.mark.parametrize(
    ("tlog", "selector", "required"),
    [
        (service("log", 2), "ANY", True),
        (service("log"), "ALL", True),
        (service("log"), "ANY", False),
    ],
)
def test_timestamp_required(tlog: Service, selector: str, required: bool) -> None:
    """A timestamp may fail only where the log itself says when, and no number is asked for."""
    found = connect(config(tlog, tsa_selector=selector), TrustedRoot(), HttpTransport(), NOW)
    assert found.timestamp_required is required


def test_no_log() -> None:
    """A config that uses no log cannot be signed with."""
    nothing = config(tlog_selector="SERVICE_SELECTOR_UNDEFINED")
    with pytest.raises(MalformedError):
        connect(nothing, TrustedRoot(), HttpTransport(), NOW)


def test_forced_version_missing() -> None:
    """A version that no log has is refused."""
    with pytest.raises(MalformedError):
        connect(config(service("log")), TrustedRoot(), HttpTransport(), NOW, tlog_version=2)


def answers(**outcomes: str | Exception) -> Callable[[str], str]:
    """Make a question that is answered as told, by name."""

    def question(name: str) -> str:
        outcome = outcomes[name]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return question


AWAY = UnavailableError("SERVICE_UNAVAILABLE", "away")
FROZEN = RefusedError("LOG_FROZEN", "frozen")
NO = RefusedError("SERVICE_REFUSED", "no")


@pytest.mark.parametrize("first", [AWAY, FROZEN])
def test_any_goes_on(first: Exception) -> None:
    """With ANY the next service is asked when one is away or takes no more."""
    assert Choice(("x", "y"), any_one=True).ask(answers(x=first, y="yes")) == ("yes",)


@pytest.mark.parametrize("last", [AWAY, FROZEN, NO])
def test_any_ends(last: Exception) -> None:
    """When the last one fails too, its error is told."""
    with pytest.raises(type(last)):
        Choice(("x", "y"), any_one=True).ask(answers(x=AWAY, y=last))


def test_any_refusal() -> None:
    """A refusal is about us: another service is not tried behind its back."""
    with pytest.raises(RefusedError):
        Choice(("x", "y"), any_one=True).ask(answers(x=NO, y="yes"))


def test_all() -> None:
    """With ALL every service answers, in order, or it fails."""
    everyone = Choice(("x", "y"), any_one=False)
    assert everyone.ask(answers(x="1", y="2")) == ("1", "2")
    with pytest.raises(UnavailableError):
        everyone.ask(answers(x="1", y=AWAY))
