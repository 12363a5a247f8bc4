"""The certificate authority of a deployment: its chain, made here or the operator's, and others."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from touchplate import ca, ctlog
from touchplate.ca.signing_route import SubmitThen, Told
from touchplate.errors import SettingsError, TouchplateError
from touchplate.formats.certificate import Certificate, parse_pem_certificates
from touchplate.keys.signer import Signer
from touchplate.oidc.issuers import Issuer
from touchplate.server import vault as names
from touchplate.server.settings import CaSettings, Origin
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
    issuers: Callable[[], Iterable[Issuer]]
    others: Callable[[], Iterable[tuple[bytes, ...]]]


def open_authority(
    vault: Vault,
    keys: Mapping[str, Signer],
    origin: Origin,
    now: Callable[[], datetime],
    settings: CaSettings,
) -> ca.Authority:
    """Give the authority that issues: of the operator's chain, else of ours, made at first start.

    Raises SettingsError: the chain is not one that may issue, or not that of our key.
    """
    if settings.chain is not None:
        chain = tuple(each.der for each in _read_certificates(settings.chain))
        return ca.Authority.load(keys[names.CA], chain, now())

    def make() -> tuple[bytes, ...]:
        return ca.create_chain(
            keys[names.CA_ROOT],
            keys[names.CA],
            organization=origin.host[:MAX_NAME],
            common_name=COMMON_NAME,
            now=now(),
        )

    return ca.Authority.load(keys[names.CA], open_chain(vault, names.CA, make), now())


def read_others(settings: CaSettings) -> tuple[tuple[Certificate, ...], ...]:
    """Read the chains that clients are to trust beside the one that issues (SettingsError)."""
    if settings.others is None:
        return ()
    return ca.split_chains(_read_certificates(settings.others))


def submit_to(log: ctlog.CertificateLog, settings: CaSettings) -> ca.Submit:
    """Give the function that logs what the authority signs."""
    if settings.sct == "embedded":
        return log.submit_own
    return partial(log.submit, precertificate=False)


def submit_in_loop(log: ctlog.CertificateLog, settings: CaSettings) -> SubmitThen | None:
    """Give the way into the log for what the authority signs in an event loop, if it signs any."""
    return LoopSubmitter(log) if settings.sct == "embedded" else None


class LoopSubmitter:
    """Logs precertificates from an event loop, whichever one is running; one thread calls it."""

    def __init__(self, log: ctlog.CertificateLog) -> None:
        self._log = log
        self._loop: asyncio.AbstractEventLoop | None = None
        self._appender: LoopAppender | None = None

    def __call__(self, chain: tuple[bytes, ...], told: Told) -> None:
        """Log a chain and have `told` called in the loop, later and once; raises as the log does.

        Many that are committed together cost the loop one waking.
        """
        loop, appender = asyncio.get_running_loop(), self._appender
        if appender is None or loop is not self._loop:
            self._loop = loop
            appender = self._appender = LoopAppender(self._log.log, loop)
        appender.append_then(self._log.own_submission(chain), partial(self._promise, told))

    def _promise(self, told: Told, outcome: Receipt | Exception) -> None:
        if isinstance(outcome, Receipt):
            try:
                told(self._log.promise(outcome.record))
            except TouchplateError as error:  # the log's key is elsewhere, and failed
                told(error)
        else:
            told(outcome)


def _read_certificates(path: Path) -> tuple[Certificate, ...]:
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
