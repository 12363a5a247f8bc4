"""`signing_config.v0.2.json`: which services to sign with; and `client_trust_config.json`.

Spec: `sigstore_trustroot.proto` of protobuf-specs. `select_services` chooses as the client spec
asks: usable versions, valid now, one per operator, as many as the selector says.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from json import dumps
from typing import Final

from touchplate.errors import MalformedError
from touchplate.formats.jsontext import Fields, JsonObject, parse_json
from touchplate.formats.timetext import time_range_json
from touchplate.formats.trusted_root import TrustedRoot, read_trusted_root, trusted_root_json

ERROR: Final = "SIGNING_CONFIG_INVALID"
MEDIA_TYPE: Final = "application/vnd.dev.sigstore.signingconfig.v0.2+json"
CLIENT_TRUST_MEDIA_TYPE: Final = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"

MAX_BYTES: Final = 1024 * 1024
MAX_SERVICES: Final = 256
"""Of each of the four lists."""
MAX_CLIENT_TRUST_BYTES: Final = 5 * 1024 * 1024

UNDEFINED: Final = "SERVICE_SELECTOR_UNDEFINED"
_SELECTORS: Final = {0: UNDEFINED, 1: "ALL", 2: "ANY", 3: "EXACT"}
_MAX_UINT32: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Service:
    """One service, usable within its window (both ends included)."""

    url: str
    """Base URL; of a timestamp authority the whole URL."""
    major_api_version: int
    """0 is unreleased, and never used."""
    valid_from: datetime
    valid_until: datetime | None = None
    """The last instant of the window; None if it is open."""
    operator: str = ""


@dataclass(frozen=True, slots=True)
class Selector:
    """How many services of a list to use."""

    kind: str = UNDEFINED
    """`ANY`, `ALL`, `EXACT`, or undefined, which is allowed for an empty list only."""
    count: int = 0
    """For `EXACT`."""


@dataclass(frozen=True, slots=True)
class SigningConfig:
    """The services of one instance."""

    ca_urls: tuple[Service, ...] = ()
    oidc_urls: tuple[Service, ...] = ()
    rekor_tlog_urls: tuple[Service, ...] = ()
    rekor_tlog_config: Selector = Selector()
    tsa_urls: tuple[Service, ...] = ()
    tsa_config: Selector = Selector()


@dataclass(frozen=True, slots=True)
class ClientTrustConfig:
    """A trusted root and a signing config in one file, trusted as it stands."""

    trusted_root: TrustedRoot
    signing_config: SigningConfig


def parse_signing_config(data: bytes) -> SigningConfig:
    """Read a signing config 0.2. Raises SIGNING_CONFIG_INVALID, LIMIT_EXCEEDED."""
    members = parse_json(data, what="the signing config", max_bytes=MAX_BYTES, error=ERROR)
    return read_signing_config(Fields(members, error=ERROR))


def read_signing_config(fields: Fields) -> SigningConfig:
    """Read a signing config that is part of another document."""
    _check_media_type(fields, MEDIA_TYPE)
    return SigningConfig(
        ca_urls=_read_services(fields, "caUrls"),
        oidc_urls=_read_services(fields, "oidcUrls"),
        rekor_tlog_urls=_read_services(fields, "rekorTlogUrls"),
        rekor_tlog_config=_read_selector(fields, "rekorTlogConfig"),
        tsa_urls=_read_services(fields, "tsaUrls"),
        tsa_config=_read_selector(fields, "tsaConfig"),
    )


def parse_client_trust_config(data: bytes) -> ClientTrustConfig:
    """Read a client trust config: SIGNING_CONFIG_INVALID, TRUST_ROOT_INVALID, LIMIT_EXCEEDED."""
    members = parse_json(
        data, what="the client trust config", max_bytes=MAX_CLIENT_TRUST_BYTES, error=ERROR
    )
    fields = Fields(members, error=ERROR)
    _check_media_type(fields, CLIENT_TRUST_MEDIA_TYPE)
    fields.require("trustedRoot")
    root = Fields(members["trustedRoot"], error="TRUST_ROOT_INVALID", path="trustedRoot")
    return ClientTrustConfig(
        read_trusted_root(root), read_signing_config(fields.require("signingConfig"))
    )


def _check_media_type(fields: Fields, expected: str) -> None:
    found = fields.string("mediaType")
    if found != expected:
        raise MalformedError(
            ERROR,
            f"{fields.path('mediaType')} is not the one we read",
            expected=expected,
            found=repr(found),
        )


def _read_services(fields: Fields, name: str) -> tuple[Service, ...]:
    entries = fields.objects(name)
    if len(entries) > MAX_SERVICES:
        raise MalformedError("LIMIT_EXCEEDED", f"{name} has over {MAX_SERVICES} services")
    return tuple([_read_service(entry) for entry in entries])


def _read_service(fields: Fields) -> Service:
    url = fields.string("url")
    if not url:
        raise fields.missing("url")
    version = fields.int64("majorApiVersion")
    if not 0 <= version <= _MAX_UINT32:
        raise fields.wrong("majorApiVersion", "a version")
    start, end = fields.require("validFor").time_range()
    return Service(url, version, start, end, fields.string("operator"))


def _read_selector(fields: Fields, name: str) -> Selector:
    selector = fields.object(name)
    if selector is None:
        return Selector()
    kind = selector.enum("selector", _SELECTORS, UNDEFINED)
    count = selector.int64("count")
    if kind is None or not 0 <= count <= _MAX_UINT32:
        raise selector.wrong("count", "a small number")
    return Selector(kind, count)


def candidates(
    services: Collection[Service], supported: Collection[int], at: datetime
) -> tuple[Service, ...]:
    """Give the services that may be used at that time: one per operator, newest start first.

    Only those of the highest version in `supported` that any valid service has: versions are not
    mixed. Operators come in the order of the list. May be empty.
    """
    usable = [
        service
        for service in services
        if service.major_api_version in supported
        and service.major_api_version > 0
        and service.valid_from <= at
        and (service.valid_until is None or at <= service.valid_until)
    ]
    version = max((service.major_api_version for service in usable), default=0)
    newest: dict[str, Service] = {}
    for service in usable:
        if service.major_api_version == version:
            other = newest.get(service.operator)
            if other is None or service.valid_from > other.valid_from:
                newest[service.operator] = service
    return tuple(newest.values())


def select_services(
    services: Collection[Service],
    selector: Selector,
    supported: Collection[int],
    at: datetime,
) -> tuple[Service, ...]:
    """Give the services to use at that time, or raise SIGNING_CONFIG_INVALID.

    `ANY` gives one; who cannot reach it may try the next of `candidates`. An undefined selector
    with an empty list gives none: the service is not used.
    """
    if selector.kind == UNDEFINED:
        if services:
            raise _no_service("the signing config does not say how many services to use")
        return ()
    found = candidates(services, supported, at)
    if not found:
        raise _no_service("the signing config has no service that can be used now", supported, at)
    if selector.kind == "ANY":
        return found[:1]
    if selector.kind == "ALL":
        return found
    if not 1 <= selector.count <= len(found):
        raise MalformedError(
            ERROR,
            "the signing config asks for a number of operators that it has not",
            expected=str(selector.count),
            found=str(len(found)),
        )
    return found[: selector.count]


def select_service(
    services: Collection[Service], supported: Collection[int], at: datetime
) -> Service:
    """Give the one service to use of a list without selector: authorities and issuers."""
    return select_services(services, Selector("ANY"), supported, at)[0]


def _no_service(
    text: str, supported: Collection[int] = (), at: datetime | None = None
) -> MalformedError:
    if at is None:
        return MalformedError(ERROR, text)
    versions = " or ".join(str(version) for version in sorted(supported))
    return MalformedError(ERROR, text, expected=f"API version {versions}, valid at {at}")


def encode_signing_config(config: SigningConfig) -> bytes:
    """Give the document as JSON."""
    return dumps(signing_config_json(config), indent=2).encode() + b"\n"


def encode_client_trust_config(config: ClientTrustConfig) -> bytes:
    """Give the document as JSON."""
    members = {
        "mediaType": CLIENT_TRUST_MEDIA_TYPE,
        "trustedRoot": trusted_root_json(config.trusted_root),
        "signingConfig": signing_config_json(config.signing_config),
    }
    return dumps(members, indent=2).encode() + b"\n"


def signing_config_json(config: SigningConfig) -> JsonObject:
    """Give the document as a JSON object, to be part of another."""
    members: JsonObject = {
        "mediaType": MEDIA_TYPE,
        "caUrls": [_service_json(service) for service in config.ca_urls],
        "oidcUrls": [_service_json(service) for service in config.oidc_urls],
        "rekorTlogUrls": [_service_json(service) for service in config.rekor_tlog_urls],
        "tsaUrls": [_service_json(service) for service in config.tsa_urls],
    }
    for name, selector in (
        ("rekorTlogConfig", config.rekor_tlog_config),
        ("tsaConfig", config.tsa_config),
    ):
        if selector.kind != UNDEFINED:
            members[name] = {"selector": selector.kind}
            if selector.count:
                members[name]["count"] = selector.count
    return members


def _service_json(service: Service) -> JsonObject:
    members: JsonObject = {
        "url": service.url,
        "majorApiVersion": service.major_api_version,
        "validFor": time_range_json(service.valid_from, service.valid_until),
    }
    if service.operator:
        members["operator"] = service.operator
    return members
