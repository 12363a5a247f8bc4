import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import MalformedError
from touchplate.formats.signing_config import (
    CLIENT_TRUST_MEDIA_TYPE,
    MAX_SERVICES,
    MEDIA_TYPE,
    ClientTrustConfig,
    Selector,
    Service,
    SigningConfig,
    candidates,
    encode_client_trust_config,
    encode_signing_config,
    parse_client_trust_config,
    parse_signing_config,
    select_service,
    select_services,
)
from touchplate.formats.trusted_root import TrustedRoot

EXAMPLE = b"""
{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json",
 "caUrls":[{"url":"https://fulcio.example.test","majorApiVersion":1,"validFor":{"start":"2030-01-01T00:00:00Z"},"operator":"example.test"}],
 "oidcUrls":[{"url":"https://login.example.test/auth","majorApiVersion":1,"validFor":{"start":"2030-01-01T00:00:00Z"},"operator":"example.test"}],
 "rekorTlogUrls":[{"url":"https://log2030-1.example.test","majorApiVersion":2,"validFor":{"start":"2030-02-01T00:00:00Z"},"operator":"example.test"}],
 "tsaUrls":[{"url":"https://tsa.example.test/api/v1/timestamp","majorApiVersion":1,"validFor":{"start":"2030-01-01T00:00:00Z"},"operator":"example.test"}],
 "rekorTlogConfig":{"selector":"ANY"},"tsaConfig":{"selector":"EXACT","count":1}}
"""
JANUARY = datetime(2030, 1, 15, tzinfo=UTC)
FEBRUARY = datetime(2030, 2, 2, tzinfo=UTC)


def service(url: str, version: int = 1, start: int = 2029, operator: str = "a") -> Service:
    """Give a service that is valid from a year on."""
    return Service(url, version, datetime(start, 1, 1, tzinfo=UTC), None, operator)


OLD = Service("https://rekor.example.test", 1, datetime(2021, 1, 1, tzinfo=UTC), None, "a")
NEW = Service("https://log2030-1.example.test", 2, datetime(2030, 2, 1, tzinfo=UTC), None, "a")


def invalid(data: bytes, code: str = "SIGNING_CONFIG_INVALID") -> None:
    """Hold that this is no signing config."""
    with pytest.raises(MalformedError) as error:
        parse_signing_config(data)
    assert error.value.code == code


def changed(**members: Any) -> bytes:
    """Give the example with members replaced."""
    return json.dumps({**json.loads(EXAMPLE), **members}).encode()


def test_example() -> None:
    """The example of the specification is read, and written back as the same values."""
    config = parse_signing_config(EXAMPLE)
    assert config.rekor_tlog_urls == (
        Service(
            "https://log2030-1.example.test",
            2,
            datetime(2030, 2, 1, tzinfo=UTC),
            None,
            "example.test",
        ),
    )
    assert config.tsa_config == Selector("EXACT", 1)
    assert parse_signing_config(encode_signing_config(config)) == config
    assert json.loads(encode_signing_config(config)) == json.loads(EXAMPLE)


def test_production(conformance: Path) -> None:
    """The public instance's config is read and written back."""
    config = parse_signing_config(
        (conformance / "signing_config.production.v0.2.json").read_bytes()
    )
    assert config.ca_urls[0].url == "https://fulcio.sigstore.dev"
    assert parse_signing_config(encode_signing_config(config)) == config


@pytest.mark.parametrize(
    "members",
    [
        {"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.1+json"},
        {"mediaType": None},
        {"caUrls": {}},
        {"caUrls": ["https://x"]},
        {"caUrls": [{}]},
        {"caUrls": [{"url": "https://x", "majorApiVersion": 1}]},
        {"caUrls": [{"url": "https://x", "majorApiVersion": 1, "validFor": {}}]},
        {"caUrls": [{"url": "", "validFor": {"start": "2030-01-01T00:00:00Z"}}]},
        {
            "caUrls": [
                {
                    "url": "u",
                    "majorApiVersion": -1,
                    "validFor": {"start": "2030-01-01T00:00:00Z"},
                }
            ]
        },
        {"tsaConfig": {"selector": "SOME"}},
        {"tsaConfig": {"selector": "EXACT", "count": -1}},
        {"tsaConfig": {"selector": 9}},
        {"tsaConfig": []},
    ],
)
def test_malformed(members: dict[str, Any]) -> None:
    """Each rule of the form has a document that breaks it alone."""
    invalid(changed(**members))


def test_limits() -> None:
    """The lists are bounded."""
    one = json.loads(EXAMPLE)["caUrls"][0]
    invalid(changed(caUrls=[one] * (MAX_SERVICES + 1)), "LIMIT_EXCEEDED")


def test_numeric_selector() -> None:
    """Enums come as numbers too; an empty selector is undefined."""
    config = parse_signing_config(changed(tsaConfig={"selector": 2}, rekorTlogConfig={}))
    assert config.tsa_config == Selector("ANY")
    assert config.rekor_tlog_config == Selector()


def test_version_of_the_day() -> None:
    """The new log is used from its start on, by those who support it."""
    services = (OLD, NEW)
    assert select_services(services, Selector("ANY"), {1, 2}, JANUARY) == (OLD,)
    assert select_services(services, Selector("ANY"), {1, 2}, FEBRUARY) == (NEW,)
    assert select_services(services, Selector("ANY"), {1}, FEBRUARY) == (OLD,)


def test_versions_are_not_mixed() -> None:
    """An operator that has only the older version drops out beside one with the newer."""
    other = service("https://b", 1, operator="b")
    assert candidates((OLD, NEW, other), {1, 2}, FEBRUARY) == (NEW,)
    assert candidates((OLD, NEW, other), {1, 2}, JANUARY) == (OLD, other)


def test_version_zero() -> None:
    """An unreleased version is never used, whatever is supported."""
    assert candidates((service("https://x", 0),), {0, 1}, JANUARY) == ()


def test_window_is_closed() -> None:
    """A service may be used at both ends of its window, and not beyond."""
    end = datetime(2030, 1, 15, tzinfo=UTC)
    start = datetime(2030, 1, 1, tzinfo=UTC)
    one = (Service("https://x", 1, start, end, ""),)
    for at in (start, end):
        assert candidates(one, {1}, at) == one
    for at in (start.replace(year=2029), end.replace(microsecond=1)):
        assert candidates(one, {1}, at) == ()


def test_newest_of_an_operator() -> None:
    """Of each operator the service with the newest start is used, wherever it stands."""
    old, new = service("https://1", start=2027), service("https://2", start=2028)
    other = service("https://3", operator="b")
    for services in ((old, other, new), (new, other, old)):
        assert set(candidates(services, {1}, JANUARY)) == {new, other}
    assert candidates((old, other, new), {1}, JANUARY)[0] == new


THREE = tuple(service(f"https://{name}", operator=name) for name in "abc")


@pytest.mark.parametrize(
    ("selector", "count"),
    [
        (Selector("ANY"), 1),
        (Selector("ALL"), 3),
        (Selector("EXACT", 1), 1),
        (Selector("EXACT", 2), 2),
        (Selector("EXACT", 3), 3),
    ],
)
def test_selectors(selector: Selector, count: int) -> None:
    """The selector says how many operators are used."""
    assert select_services(THREE, selector, {1}, JANUARY) == THREE[:count]


@pytest.mark.parametrize(
    ("services", "selector"),
    [
        (THREE, Selector("EXACT", 4)),
        (THREE, Selector("EXACT", 0)),
        (THREE, Selector()),
        ((), Selector("ANY")),
        ((), Selector("ALL")),
        ((), Selector("EXACT", 1)),
        ((NEW,), Selector("ANY")),
        ((THREE[0], service("https://a2", operator="a")), Selector("EXACT", 2)),
    ],
)
def test_too_few(services: tuple[Service, ...], selector: Selector) -> None:
    """Too few operators, or no word on how many, is an error; two of one operator are one."""
    with pytest.raises(MalformedError) as error:
        select_services(services, selector, {1, 2}, JANUARY)
    assert error.value.code == "SIGNING_CONFIG_INVALID"


def test_service_not_used() -> None:
    """An empty list without a selector means that there is no such service."""
    assert select_services((), Selector(), {1}, JANUARY) == ()


def test_select_service() -> None:
    """Authorities and issuers have no selector: the first that may be used is."""
    assert select_service((NEW, *THREE), {1}, JANUARY) == THREE[0]
    with pytest.raises(MalformedError):
        select_service((), {1}, JANUARY)


def test_client_trust_config() -> None:
    """Root and config in one file are read and written back."""
    both = ClientTrustConfig(TrustedRoot(), parse_signing_config(EXAMPLE))
    assert parse_client_trust_config(encode_client_trust_config(both)) == both


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"mediaType": MEDIA_TYPE}, "SIGNING_CONFIG_INVALID"),
        ({"trustedRoot": None}, "SIGNING_CONFIG_INVALID"),
        ({"signingConfig": None}, "SIGNING_CONFIG_INVALID"),
        ({"trustedRoot": {}}, "TRUST_ROOT_INVALID"),
        ({"signingConfig": {}}, "SIGNING_CONFIG_INVALID"),
        ({"trustedRoot": []}, "SIGNING_CONFIG_INVALID"),
    ],
)
def test_client_trust_config_malformed(members: dict[str, Any], code: str) -> None:
    """Both members are required, and each is read by its own rules."""
    good = json.loads(encode_client_trust_config(ClientTrustConfig(TrustedRoot(), SigningConfig())))
    assert good["mediaType"] == CLIENT_TRUST_MEDIA_TYPE
    with pytest.raises(MalformedError) as error:
        parse_client_trust_config(json.dumps({**good, **members}).encode())
    assert error.value.code == code


@given(st.binary(max_size=50))
def test_garbage(data: bytes) -> None:
    """Garbage raises our error and nothing else."""
    invalid(data)
