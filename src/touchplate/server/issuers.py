"""Who is believed: our own issuer, and those of the file that `[issuers]` names, read again.

A table is exchanged as a whole: a request uses one from its beginning to its end. A file that
cannot be used is refused with its line and reason in the log, and the table that is there stays.
Keys that were fetched are kept over that.
"""

import logging
import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Final

from touchplate.errors import SettingsError
from touchplate.oidc.config import parse_config
from touchplate.oidc.discovery import ClusterAccess, Discovery
from touchplate.oidc.document import MAX_FILE
from touchplate.oidc.identity import Identity
from touchplate.oidc.issuers import Authenticator, Issuer, OpenedToken, Prepared
from touchplate.oidc.rules import IssuerRule
from touchplate.server.config import check_owner
from touchplate.server.limits import Limits
from touchplate.server.settings import IssuerSettings

log = logging.getLogger("touchplate.issuers")

# Where Fulcio's Kubernetes deployments have them.
CLUSTER_CERTIFICATES: Final = Path("/var/run/fulcio/ca.crt")
CLUSTER_TOKEN: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")

Stamp = tuple[int, int, int]


class Issuers:
    """The table that is in force. Any thread may ask it, and have it read again."""

    def __init__(
        self,
        own: Issuer,
        settings: IssuerSettings,
        limits: Limits,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the file (SETTINGS_INVALID, FILE_UNREADABLE, DATA_FOLDER_UNSAFE)."""
        self._own = own
        self._settings = settings
        self._limits = limits
        self._rates = {rule.issuer: rule.rate for rule in settings.rules if rule.rate}
        self._rules = tuple(
            IssuerRule(rule.issuer, rule.require_acr, rule.require_amr, rule.allowed_subjects)
            for rule in settings.rules
        )
        self._discovery = Discovery(
            monotonic, log.warning, private_hosts=settings.private_hosts, cluster=_read_cluster
        )
        self._lock = Lock()
        self._stamp: Stamp | None = None
        self._current = self._load()
        without = self._current.rules_without_issuer()
        if without:
            raise SettingsError(
                "SETTINGS_INVALID",
                f"there is a rule for {without[0]!r}, and no such issuer",
                hint="a rule names an issuer's URL or pattern as the file of issuers writes it",
            )

    def authenticate(self, token: str | OpenedToken, at: datetime) -> Identity:
        """Prove a token; see `Authenticator.authenticate`."""
        return self._current.authenticate(token, at)

    def prepare(self, token: str) -> Prepared:
        """Read a token, and begin what `authenticate` would wait for."""
        return self._current.prepare(token)

    def rows(self) -> tuple[Issuer, ...]:
        """Give the table: issuers, then patterns, each by URL."""
        return self._current.issuers

    def reload(self) -> bool:
        """Read the file again; say whether a new table is in force. Errors go to the log."""
        with self._lock:
            try:
                found = self._load()
            except SettingsError as error:
                log.error(  # noqa: TRY400  the operator's to mend
                    "the issuers stay as they were: %s: %s", error.code, error
                )
                return False
            for rule in found.rules_without_issuer():
                log.warning("there is a rule for %s, and no such issuer any more", rule)
            self._current = found
        log.info("%d issuers are believed", len(found.issuers))
        return True

    def reload_if_changed(self) -> bool:
        """Read the file again if it is another one than the last time."""
        if self._settings.file is None:
            return False
        try:
            stamp = _stamp(self._settings.file.stat())
        except OSError:
            # It is being replaced; if it stays away the table stays, and a SIGHUP says why.
            return False
        return stamp != self._stamp and self.reload()

    def _load(self) -> Authenticator:
        rows = (self._own, *self._read_file())
        table = Authenticator(
            rows,
            discover=self._discovery.keys_of if len(rows) > 1 else None,
            rules=self._rules,
            count=self._count if self._rates else None,
        )
        self._discovery.adopt(rows)
        return table

    def _read_file(self) -> tuple[Issuer, ...]:
        path = self._settings.file
        if path is None:
            return ()
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                content = file.read(MAX_FILE + 1)
        except OSError as error:
            raise SettingsError("FILE_UNREADABLE", f"{path}: {error.strerror}") from error
        self._stamp = _stamp(status)
        # Whoever can change it can be anybody.
        check_owner(path, status)
        config = parse_config(content, str(path))
        for warning in config.warnings:
            log.warning("%s", warning)
        return config.issuers

    def _count(self, row: str, issuer: str) -> None:
        rate = self._rates.get(row)
        if rate is not None:
            self._limits.take_issuer(rate, issuer)


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read_cluster() -> ClusterAccess:
    """Read how the cluster's issuer is reached; both files are exchanged while we run."""
    try:
        return ClusterAccess(
            CLUSTER_CERTIFICATES.read_text("ascii"), CLUSTER_TOKEN.read_text("ascii").strip()
        )
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError("FILE_UNREADABLE", f"the cluster's issuer: {error}") from error
