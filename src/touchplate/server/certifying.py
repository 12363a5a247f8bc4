"""The certificate authority of a deployment: its chain, made here or the operator's, and others."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from touchplate import ca, ctlog
from touchplate.ca.desk import Desk, SubmitThen, Told
from touchplate.errors import RefusedError, SettingsError, TouchplateError, UnavailableError
from touchplate.formats.certificate import Certificate, parse_pem_certificates
from touchplate.formats.sct import SignedCertificateTimestamp
from touchplate.keys.signer import PrivateKeySigner, Signer
from touchplate.oidc.issuers import Issuer
from touchplate.server import vault as names
from touchplate.server.settings import CaSettings, Origin, ServeSettings
from touchplate.server.vault import Vault, open_chain
from touchplate.tilelog.entry import Receipt
from touchplate.tilelog.eventloop import LoopAppender

# RFC 5280, appendix A.1: a name in a certificate has at most 64 characters.
MAX_NAME: Final = 64
COMMON_NAME: Final = "touchplate"
MAX_CHAIN_FILE: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Certifying:
    """The authority as HTTP and gRPC serve it."""

    issuance: ca.Issuance
    desk: Desk
    issuers: Callable[[], Iterable[Issuer]]
    others: Callable[[], Iterable[tuple[bytes, ...]]]


def first_ca_chain(
    vault: Vault,
    keys: Mapping[str, Signer],
    origin: Origin,
    now: Callable[[], datetime],
    settings: ServeSettings,
) -> tuple[bytes, ...]:
    """Give the chain that an instance begins with: the operator's, else ours, made at first start.

    Raises SettingsError.
    """
    if settings.ca.chain is not None:
        return tuple(each.der for each in read_certificates(settings.ca.chain))

    def make() -> tuple[bytes, ...]:
        return ca.create_chain(
            keys[names.CA_ROOT],
            vault.key(names.CA, settings.ca_key),
            organization=origin.host[:MAX_NAME],
            common_name=COMMON_NAME,
            now=now(),
        )

    return open_chain(vault, names.CA, make)


def read_others(settings: CaSettings) -> tuple[tuple[Certificate, ...], ...]:
    """Read the chains that clients are to trust beside the one that issues (SettingsError)."""
    if settings.others is None:
        return ()
    return ca.split_chains(read_certificates(settings.others))


class CtLogs(Protocol):
    """The certificate logs, as far as who submits must know them."""

    def active(self) -> ctlog.CertificateLog:
        """Give the log that takes entries (UnavailableError)."""

    def follow_frozen(self, log: ctlog.CertificateLog) -> bool:
        """Go on after a log that is frozen; say whether another one takes entries."""


def submit_to(logs: CtLogs, settings: CaSettings) -> ca.Submit:
    """Give the function that logs what the authority signs.

    What finds its log frozen goes to the one after it: no request fails for a rotation.
    """

    def submit(chain: tuple[bytes, ...]) -> "Future[SignedCertificateTimestamp]":
        log, result = logs.active(), Future[SignedCertificateTimestamp]()
        result.set_running_or_notify_cancel()

        def told(done: "Future[SignedCertificateTimestamp]") -> None:
            try:
                if is_frozen(done.exception()) and logs.follow_frozen(log):
                    submit(chain).add_done_callback(partial(_copy, result))
                else:
                    _copy(result, done)
            except TouchplateError as error:
                result.set_exception(error)

        try:
            if settings.sct == "embedded":
                log.submit_own(chain).add_done_callback(told)
            else:
                log.submit(chain, precertificate=False).add_done_callback(told)
        except RefusedError as error:
            if not is_frozen(error) or not logs.follow_frozen(log):
                raise
            return submit(chain)
        return result

    return submit


def is_frozen(error: BaseException | None) -> bool:
    """Say whether a log refused an entry because it takes no more."""
    return isinstance(error, RefusedError) and error.code == "LOG_FROZEN"


def _copy(
    result: "Future[SignedCertificateTimestamp]", done: "Future[SignedCertificateTimestamp]"
) -> None:
    error = done.exception()
    if error is None:
        result.set_result(done.result())
    else:
        result.set_exception(error)


def submit_in_loop(logs: CtLogs, settings: CaSettings) -> SubmitThen | None:
    """Give the way into the log for what the authority signs in an event loop, if it signs any."""
    return LoopSubmitter(logs) if settings.sct == "embedded" else None


class LoopSubmitter:
    """Logs precertificates from an event loop, whichever one is running; one thread calls it."""

    def __init__(self, logs: CtLogs) -> None:
        self._logs = logs
        self._log: ctlog.CertificateLog | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._appender: LoopAppender | None = None

    def __call__(self, chain: tuple[bytes, ...], told: Told) -> None:
        """Log a chain and have `told` called in the loop, later and once; raises as the log does.

        Many that are committed together cost the loop one waking.
        """
        log, loop = self._logs.active(), asyncio.get_running_loop()
        appender = self._appender
        if appender is None or loop is not self._loop or log is not self._log:
            self._log, self._loop = log, loop
            appender = self._appender = LoopAppender(log.log, loop)
        promise = partial(self._promise, log, chain, told)
        appender.append_then(log.own_submission(chain), promise)

    def _promise(
        self,
        log: ctlog.CertificateLog,
        chain: tuple[bytes, ...],
        told: Told,
        outcome: Receipt | Exception,
    ) -> None:
        run = asyncio.get_running_loop().run_in_executor
        if isinstance(outcome, Receipt):
            if isinstance(log.signer, PrivateKeySigner):
                told(log.promise(outcome.record))
                return
            # The log's key is elsewhere, and may be away.
            promising = run(None, log.promise, outcome.record)
            promising.add_done_callback(partial(_promised, told))
        elif is_frozen(outcome):
            # Looking for the next log takes files or a network: not in the loop.
            following = run(None, self._logs.follow_frozen, log)
            following.add_done_callback(partial(self._again, chain, told, outcome))
        else:
            told(outcome)

    def _again(
        self,
        chain: tuple[bytes, ...],
        told: Told,
        outcome: Exception,
        following: "asyncio.Future[bool]",
    ) -> None:
        error = None if following.cancelled() else following.exception()
        if following.cancelled() or not (error or following.result()):
            told(outcome)
        elif isinstance(error, Exception):
            told(error)
        else:
            try:
                self(chain, told)
            except TouchplateError as failure:
                told(failure)


def _promised(told: Told, promising: "asyncio.Future[SignedCertificateTimestamp]") -> None:
    if promising.cancelled():
        told(UnavailableError("SERVICE_UNAVAILABLE", "the server ends"))
        return
    error = promising.exception()
    if error is None:
        told(promising.result())
    elif isinstance(error, Exception):
        told(error)


def read_certificates(path: Path) -> tuple[Certificate, ...]:
    """Read a file of certificates, PEM (FILE_UNREADABLE, SETTINGS_INVALID)."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CHAIN_FILE + 1)
    except OSError as error:
        raise SettingsError("FILE_UNREADABLE", f"{path}: {error.strerror}") from error
    if len(content) > MAX_CHAIN_FILE:
        raise SettingsError("SETTINGS_INVALID", f"{path} is longer than {MAX_CHAIN_FILE} bytes")
    try:
        return parse_pem_certificates(content.decode("ascii"))
    except (TouchplateError, UnicodeDecodeError) as error:
        raise SettingsError("SETTINGS_INVALID", f"{path}: {error}") from error
