"""What the operator says about a deployment: command line, else environment, else file, else this.

`config` reads the file; each table of it is a data class here, whose members say of what kind they
are. docs/reference/settings.md has the same tables; a test holds the two together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from touchplate.ca.settings import ALGORITHMS as CA_ALGORITHMS
from touchplate.ca.settings import DEFAULT_ALGORITHMS, SCT_FORMS, IssueSettings, SctForm
from touchplate.ctlog import CtlogSettings
from touchplate.entries.admission import ALLOWED
from touchplate.errors import SettingsError
from touchplate.formats.timestamp_builder import DEFAULT_POLICY
from touchplate.formats.timestamp_request import is_oid
from touchplate.server.keys import KeySettings
from touchplate.server.rate import Rate, parse_rate
from touchplate.server.reading import (
    BOOLEAN,
    FILE,
    NETWORKS,
    TEXT,
    URI,
    WORDS,
    Kind,
    Network,
    choice,
    integer,
    member,
    read_text,
    seconds,
    several,
    table,
    tables,
    texts,
)
from touchplate.transport.http import is_loopback
from touchplate.transport.ntp import parse_source
from touchplate.tsa.drift import MAX_SOURCES
from touchplate.tsa.settings import StampSettings

# Environment variable: what it sets. The command line wins over them, they win over the file.
VARIABLES: Final[Mapping[str, str]] = {
    "TOUCHPLATE_DATA": "data",
    "TOUCHPLATE_CONFIG": "config",
    "TOUCHPLATE_LISTEN": "listen",
    "TOUCHPLATE_URL": "url",
    "TOUCHPLATE_WORKERS": "workers",
    "TOUCHPLATE_DATABASE": "storage.database",
    "TOUCHPLATE_OBJECTS": "storage.objects",
}

MAX_WORKERS: Final = 64
# Names of log-v1's operations, as upstream's own setting has them.
V1_ENDPOINTS: Final = frozenset(
    {
        "searchIndex",
        "getLogInfo",
        "getPublicKey",
        "getLogProof",
        "createLogEntry",
        "getLogEntryByIndex",
        "getLogEntryByUUID",
        "searchLogQuery",
    }
)
# Kinds that new entries may be of.
V1_KINDS: Final = frozenset({"hashedrekord", "dsse", "intoto", "rekord"})


@dataclass(frozen=True, slots=True)
class Origin:
    """A public base URL: scheme, host and port, and nothing after them."""

    # Without a slash at the end.
    url: str
    # Host name without port: the name of the log, the origin of its checkpoints.
    host: str

    @property
    def protects(self) -> bool:
        """Say whether what passes under this URL can be read or changed on the way."""
        return self.url.startswith("https://") or is_loopback(self.host)


def parse_listen(text: str) -> tuple[str, int]:
    """Read HOST:PORT, `[::1]:PORT` for IPv6."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise SettingsError(
            "SETTINGS_INVALID", f"listen address {text!r}", expected="HOST:PORT, port 0 to 65535"
        )
    return host, int(port)


def parse_origin(text: str) -> Origin:
    """Read a public base URL such as `https://sign.example.org`."""
    try:
        parts = urlsplit(text.rstrip("/"))
        port = parts.port
    except ValueError as error:
        raise _bad_origin(text, str(error)) from error
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        raise _bad_origin(text, "needs http:// or https:// and a host name")
    if parts.path or parts.query or parts.fragment or parts.username is not None or "@" in text:
        raise _bad_origin(text, "must end after the host and port: all parts have fixed paths")
    if not all(each.isalnum() or each in "-._:" for each in host) or not host.isascii():
        # A checkpoint's origin and a note's key name hold no space and no plus (C2SP signed-note).
        raise _bad_origin(text, f"host name {host!r}")
    shown = f"[{host}]" if ":" in host else host
    return Origin(f"{parts.scheme}://{shown}" + ("" if port is None else f":{port}"), host)


def listen_origin(host: str, port: int) -> Origin:
    """Give the origin of a server that clients reach where it listens."""
    if host in ("0.0.0.0", "::"):  # noqa: S104  compared, not bound
        raise SettingsError(
            "SETTINGS_INVALID",
            f"listening on {host} says nothing about where clients reach the service",
            hint="give --url https://NAME",
        )
    return parse_origin(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")


def _read_ca_key(value: object) -> str:
    kinds = {"p256": "ecdsa-p256", "p384": "ecdsa-p384"}
    kind = kinds.get(read_text(value), read_text(value))
    if kind not in kinds.values():
        raise SettingsError("SETTINGS_INVALID", f"CA key {kind!r}", expected="p256 or p384")
    return kind


def _read_sct_form(value: object) -> SctForm:
    for form in SCT_FORMS:
        if value == form:
            return form
    raise ValueError(f"{value!r} is not allowed")


SCT_FORM: Final = Kind('"embedded", "detached" or "none"', _read_sct_form)
CA_KEY: Final = Kind('"p256" or "p384"', _read_ca_key)
LISTEN: Final = Kind("HOST:PORT", lambda value: parse_listen(read_text(value)))
OPTIONAL_LISTEN: Final[Kind[tuple[str, int] | None]] = Kind("HOST:PORT", LISTEN.read)
OPTIONAL_ORIGIN: Final[Kind[Origin | None]] = Kind(
    "http:// or https:// and a host", lambda value: parse_origin(read_text(value))
)
RATE: Final[Kind[Rate | None]] = Kind(
    '"off", or a rate such as "100/s burst 500" (s, min or h)',
    lambda value: parse_rate(read_text(value)),
)


def _read_policy(text: str) -> str:
    if not is_oid(text):
        raise ValueError(f"{text[:100]!r} is no object identifier")
    return text


def _read_source(text: str) -> str:
    parse_source(text)
    return text


def _read_moment(value: object) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(f"{str(value)[:100]} is no time with its zone")
    return value.astimezone(UTC)


MOMENT: Final[Kind[datetime | None]] = Kind("a time, such as 2026-01-01T00:00:00Z", _read_moment)
POLICY: Final = Kind(
    "an object identifier, such as 1.2.3", lambda value: _read_policy(read_text(value))
)


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Where state rests; None: in the data folder."""

    # Of the logs: what changes.
    database: str | None = member(URI, None)
    # Tiles, entries, issuers, files of the trust repository: what never changes.
    objects: str | None = member(URI, None)


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What the transparency log takes and answers, and how much may wait in each of the logs."""

    # 201 with its proof for an entry that the log has, or upstream's 409.
    duplicates: str = member(choice("accept", "conflict"), "accept")
    # Take envelopes in v2 requests as `dsse` 0.0.2 entries.
    dsse_v002: bool = member(BOOLEAN, default=True)
    # Registry names of what new hashedrekord entries may use.
    algorithms: frozenset[str] = member(several(ALLOWED), ALLOWED)
    # Kinds that new v1 entries may be of.
    kinds: frozenset[str] = member(several(V1_KINDS), V1_KINDS)
    # Operations of the v1 API that are answered; the others give 501.
    endpoints: frozenset[str] = member(several(V1_ENDPOINTS), V1_ENDPOINTS)
    # Keep the attestations of intoto entries.
    attestations: bool = member(BOOLEAN, default=False)
    max_attestation_bytes: int = member(integer(1, 4 * 1024 * 1024), 100 * 1024)
    # Entries that may wait for their batch, in each process.
    max_waiting: int = member(integer(1, 1_000_000), 4096)


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """How often one client may ask; None: as often as it likes."""

    # Requests that make or search something (POST), for each address.
    address: Rate | None = member(RATE, None)
    # Requests that read (GET), for each address.
    reads: Rate | None = member(RATE, None)
    # Certificates for each identity, and log entries for each identity or key.
    identity: Rate | None = member(RATE, None)
    # Whose X-Forwarded-For is believed.
    proxies: tuple[Network, ...] = member(NETWORKS, ())
    # Requests that a process may have under way at once.
    max_active: int = member(integer(1, 1_000_000), 8192)


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """What is asked of the identities of one issuer; each member that is there must hold."""

    # The issuer's URL, or its pattern, as the file of issuers writes it.
    issuer: str = member(TEXT, "")
    # The token's `acr` is one of these.
    require_acr: tuple[str, ...] = member(WORDS, ())
    # The token's `amr` has all of these.
    require_amr: tuple[str, ...] = member(WORDS, ())
    # The name in the certificate matches one of these; `*` stands for any characters.
    allowed_subjects: tuple[str, ...] = member(WORDS, ())
    # Certificates for all identities of the issuer together.
    rate: Rate | None = member(RATE, None)

    def __post_init__(self) -> None:
        """Refuse a rule for nobody (SETTINGS_INVALID)."""
        if not self.issuer:
            raise SettingsError("SETTINGS_INVALID", "a rule names no issuer")


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """Whose identity tokens are believed, beside our own issuer's."""

    # Fulcio's config.yaml; None: nobody else's.
    file: Path | None = member(FILE, None)
    # Hosts of issuers that may be at addresses which are not public.
    private_hosts: tuple[str, ...] = member(WORDS, ())
    rules: tuple[RuleSettings, ...] = member(tables(RuleSettings), ())


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """Search."""

    enabled: bool = member(BOOLEAN, default=True)


@dataclass(frozen=True, slots=True)
class WitnessSettings:
    """Whether checkpoints wait for witnesses."""

    # The witness policy; None: no witnesses.
    policy: Path | None = member(FILE, None)
    # What happens when too few answer: nothing is published, or the checkpoint without them.
    mode: str = member(choice("fail-closed", "fail-open"), "fail-closed")
    # How long a checkpoint waits for them.
    deadline_seconds: float = member(seconds(0.01, 60), 1.0)
    # Wait for all of them until then, also when the policy is met.
    greedy: bool = member(BOOLEAN, default=False)
    # How old cosignatures may be: then a tree that has not grown is cosigned again.
    republish_seconds: float = member(seconds(1, 86_400), 600.0)


@dataclass(frozen=True, slots=True)
class TsaSettings:
    """What the timestamp authority answers, and what proves its clock."""

    # Policy of responses whose request names none.
    default_policy: str = member(POLICY, DEFAULT_POLICY)
    # Policies that a request may name; the default one has to be among them.
    accepted_policies: tuple[str, ...] = member(
        texts("object identifiers", _read_policy, 1, 64), (DEFAULT_POLICY,)
    )
    # Where certificates are asked for, give the authorities too, not only the signing one.
    include_chain: bool = member(BOOLEAN, default=False)
    # How a fault is told.
    rejections: str = member(choice("http", "rfc3161"), "http")
    # NTP servers; none: the host's clock is believed.
    time_sources: tuple[str, ...] = member(
        texts('time servers, such as "ntp.example.org:123"', _read_source, 0, MAX_SOURCES), ()
    )
    # How far our clock may be from theirs.
    max_drift_seconds: float = member(seconds(0.001, 3600), 1.0)
    # How often they are asked, and how long an answer may take.
    time_period_seconds: float = member(seconds(0.1, 86_400), 60.0)
    time_timeout_seconds: float = member(seconds(0.01, 60), 2.0)
    # How long timestamps go on when too few of them answer.
    time_grace_seconds: float = member(seconds(0, 86_400), 600.0)

    def __post_init__(self) -> None:
        """Refuse a default policy that is not accepted, and sources named twice."""
        if self.default_policy not in self.accepted_policies:
            raise SettingsError(
                "SETTINGS_INVALID",
                "tsa.default_policy is not among tsa.accepted_policies",
                expected=f"{self.default_policy} in the list",
            )
        if len({parse_source(each) for each in self.time_sources}) != len(self.time_sources):
            raise SettingsError("SETTINGS_INVALID", "tsa.time_sources names a server twice")

    @property
    def stamping(self) -> StampSettings:
        """Give what the authority itself takes of this."""
        return StampSettings(
            self.default_policy, self.accepted_policies, self.include_chain, self.rejections
        )


@dataclass(frozen=True, slots=True)
class CaSettings:
    """What the certificate authority issues, and under which chain."""

    # PEM, issuing certificate first, root last; None: the one made at the first start.
    chain: Path | None = member(FILE, None)
    # PEM of whole chains that clients are to trust too: of other authorities, or of former ones.
    others: Path | None = member(FILE, None)
    # Registry names of the client keys, with their hash, that get certificates.
    algorithms: frozenset[str] = member(several(CA_ALGORITHMS), frozenset(DEFAULT_ALGORITHMS))
    # Where the CT log's promise stands: in the certificate, beside it, or nowhere: nothing is
    # logged.
    sct: SctForm = member(SCT_FORM, "embedded")

    @property
    def issuing(self) -> IssueSettings:
        """Give what the authority itself takes of this."""
        return IssueSettings(self.algorithms, self.sct)


@dataclass(frozen=True, slots=True)
class CtSettings:
    """What the certificate log takes."""

    # Whose chains: those of this instance's own authority as it issues, or anybody's that lead to
    # the accepted roots.
    submissions: str = member(choice("own", "open"), "open")
    # Further accepted roots, PEM; this instance's own always is.
    roots: Path | None = member(FILE, None)
    # Leaves whose validity ends before the one, or not before the other, are refused.
    not_after_start: datetime | None = member(MOMENT, None)
    not_after_limit: datetime | None = member(MOMENT, None)

    def __post_init__(self) -> None:
        """Refuse a range that nothing is in (SETTINGS_INVALID)."""
        start, limit = self.not_after_start, self.not_after_limit
        if start is not None and limit is not None and start >= limit:
            raise SettingsError(
                "SETTINGS_INVALID", "ct.not_after_limit is not after ct.not_after_start"
            )

    @property
    def ctlog(self) -> CtlogSettings:
        """Give what the log itself takes of this."""
        return CtlogSettings(self.submissions == "open", self.not_after_start, self.not_after_limit)


@dataclass(frozen=True, slots=True)
class GrpcSettings:
    """gRPC beside HTTP."""

    # Where to listen; None: nowhere. Several workers share the port, which can not be 0 then.
    listen: tuple[str, int] | None = member(OPTIONAL_LISTEN, None)
    # Certificate with its chain, and its key, both PEM; None: without TLS.
    certificate: Path | None = member(FILE, None)
    key: Path | None = member(FILE, None)

    def __post_init__(self) -> None:
        """Refuse one of the files without the other (SETTINGS_INVALID)."""
        if (self.certificate is None) != (self.key is None):
            raise SettingsError(
                "SETTINGS_INVALID",
                "gRPC has only one of a certificate and its key",
                expected="both, or neither",
            )

    @property
    def tls(self) -> tuple[Path, Path] | None:
        """Give the files of certificate and key, if there is to be TLS."""
        if self.certificate is None or self.key is None:
            return None
        return self.certificate, self.key


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """How one server runs."""

    # Folder of keys, logs and certificates; made if it is not there. Never set by the file.
    data: Path = Path()
    # Address to listen on; port 0 takes a free one (the one of the last time if it still is).
    listen: tuple[str, int] = member(LISTEN, ("127.0.0.1", 7878))
    # Where clients reach the service; None: where it was before, else where it listens.
    url: Origin | None = member(OPTIONAL_ORIGIN, None)
    # Kind of the certificate authority's signing key; chosen at the first start, then kept.
    ca_key: str = member(CA_KEY, "ecdsa-p256")
    # Processes that answer.
    workers: int = member(integer(1, MAX_WORKERS), 1)
    # Threads for signatures and disk beside the event loop of each process; 0: two for each
    # processor, at least 4.
    threads: int = member(integer(0, 1024), 0)
    # On SIGTERM requests under way have so long to end.
    drain_seconds: int = member(integer(0, 3600), 20)
    storage: StorageSettings = table(StorageSettings)
    log: LogSettings = table(LogSettings)
    limits: LimitSettings = table(LimitSettings)
    issuers: IssuerSettings = table(IssuerSettings)
    ca: CaSettings = table(CaSettings)
    tsa: TsaSettings = table(TsaSettings)
    ct: CtSettings = table(CtSettings)
    index: SearchSettings = table(SearchSettings)
    witness: WitnessSettings = table(WitnessSettings)
    grpc: GrpcSettings = table(GrpcSettings)
    keys: KeySettings = table(KeySettings)


def make_settings(
    environ: Mapping[str, str], settings: ServeSettings | None = None, **given: str | None
) -> ServeSettings:
    """Put what was given over the environment, and both over `settings`, which the file gave.

    What can be `given` are data, listen, grpc_listen, url, ca_key, workers, database and objects.
    Raises SETTINGS_INVALID naming the value.
    """

    def find(name: str) -> str | None:
        return given.get(name) or environ.get(f"TOUCHPLATE_{name.upper()}") or None

    settings = settings or ServeSettings(data_folder(environ, given.get("data")))
    if listen := find("listen"):
        settings = replace(settings, listen=parse_listen(listen))
    if grpc_listen := given.get("grpc_listen"):
        at = parse_listen(grpc_listen)
        settings = replace(settings, grpc=replace(settings.grpc, listen=at))
    if url := find("url"):
        settings = replace(settings, url=parse_origin(url))
    if ca_key := given.get("ca_key"):
        settings = replace(settings, ca_key=CA_KEY.read(ca_key))
    if workers := find("workers"):
        settings = replace(settings, workers=_workers(workers))
    if settings.workers > 1 and settings.grpc.listen and not settings.grpc.listen[1]:
        raise SettingsError("SETTINGS_INVALID", "workers can not share a gRPC port that is 0")
    storage = settings.storage
    if database := find("database"):
        storage = replace(storage, database=database)
    if objects := find("objects"):
        storage = replace(storage, objects=objects)
    return replace(settings, storage=storage)


def data_folder(environ: Mapping[str, str], data: str | None = None) -> Path:
    """Choose the data folder: argument, TOUCHPLATE_DATA, else the user's data folder."""
    given = data or environ.get("TOUCHPLATE_DATA")
    if given:
        return Path(given).absolute()
    base = environ.get("XDG_DATA_HOME", "")
    # The XDG specification: a relative path there is to be ignored.
    if not base.startswith("/"):
        base = f"{environ.get('HOME') or Path.home()}/.local/share"
    return Path(base) / "touchplate" / "server"


def _workers(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= MAX_WORKERS:
        raise SettingsError(
            "SETTINGS_INVALID", f"workers {text[:100]!r}", expected=f"1 to {MAX_WORKERS}"
        )
    return int(text)


def _bad_origin(text: str, reason: str) -> SettingsError:
    return SettingsError("SETTINGS_INVALID", f"URL {text!r}: {reason}")
