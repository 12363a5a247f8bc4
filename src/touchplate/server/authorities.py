"""The authorities and the certificate log of a deployment, opened: who signs, who did, who will.

`succession` says which keys there are and `office` who signs now; here they become the roles'
values: a CA authority, a stamping, a certificate log. What clients must know of them follows.
"""

import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from threading import Lock
from typing import Final

from touchplate import ca, ctlog, tsa
from touchplate.ca.profile import LIFETIME as LEAF_LIFETIME
from touchplate.errors import SettingsError, TouchplateError, UnavailableError
from touchplate.formats.certificate import Certificate, parse_certificate
from touchplate.keys.public import PublicKey
from touchplate.keys.signer import Signer
from touchplate.server.office import Office
from touchplate.server.publication import BACKDATED, Held, HeldLog, Signers, ct_url
from touchplate.server.settings import Origin
from touchplate.server.succession import Line, Lines, Succession, Tenure, Window, whole_second
from touchplate.server.vault import CA, CT, TSA

# How long after its last signature a key's window is open. Processes take up a decision within
# seconds, and clocks differ; what the CA signs is used for as long as it is valid.
LAG: Final = {CA: LEAF_LIFETIME + BACKDATED, TSA: BACKDATED, CT: BACKDATED}

_logger = logging.getLogger("touchplate.server")

OpenCt = Callable[[Tenure, bool], ctlog.CertificateLog]
"""A tenure, and whether it takes entries or will -> its log."""


class Authorities:
    """All three roles. Any thread may call the methods."""

    def __init__(
        self,
        succession: Succession,
        origin: Origin,
        *,
        open_ca: Callable[[Tenure], ca.Authority],
        open_tsa: Callable[[Tenure], tsa.Stamping],
        open_ct: OpenCt,
        first_chain: Callable[[str], tuple[Certificate, ...]],
        first_ct_key: Callable[[], PublicKey],
        now: Callable[[], datetime],
    ) -> None:
        """Open what signs now and later, and the certificate logs that took entries before."""
        self.succession = succession
        self._origin = origin
        self._now = now
        self._first_chain = lru_cache(maxsize=None)(first_chain)
        self._first_ct_key = first_ct_key
        lines = succession.lines
        self._lines = lines
        self.ca = Office(lines[CA], open_ca, now)
        self.tsa = Office(lines[TSA], open_tsa, now)
        self._past = {
            tenure.number: open_ct(tenure, False)  # noqa: FBT003  as `OpenCt` says
            for tenure in lines[CT].needed(1)
            if tenure.number < lines[CT].at(now()).number
        }
        self.ct = Office(lines[CT], lambda tenure: open_ct(tenure, True), now)  # noqa: FBT003
        self._lock = Lock()  # of who takes up decisions
        self.publish: Callable[[], bool] = lambda: True
        """Makes the newest lines what clients get; says whether they name every key."""
        self._is_told = True
        self.adopted: Callable[[tuple[tuple[Certificate, ...], ...]], None] = lambda _chains: None
        """Called with the CA's chains when there are others, before any of them issues."""

    @property
    def lines(self) -> Lines:
        """Give what was decided, as far as this process uses it."""
        return self._lines

    def follow(self) -> bool:
        """Take up what was decided since, also by others; say whether there was anything.

        Clients are told before a key is used; until that succeeds the new one does not sign here,
        and the old one not beyond its end. Raises UnavailableError.
        """
        with self._lock:
            lines = self.succession.read()
            changed = lines != self._lines
            if changed or not self._is_told:
                self._lines = lines
                self._is_told = False
                self.adopted(self.chains(lines))
                try:
                    self._is_told = self.publish()
                finally:
                    self._take_up()
            elif any(office.is_incomplete for office in (self.ca, self.tsa, self.ct)):
                self._take_up()
            self._freeze()
        return changed

    def active(self) -> ctlog.CertificateLog:
        """Give the certificate log that takes entries (UnavailableError)."""
        return self.ct.holder()

    def find_ct(self, number: int) -> ctlog.CertificateLog | None:
        """Give the certificate log with this number, from 1; None if there is none here."""
        for tenure, log in self.ct.opened.items():
            if tenure.number == number:
                return log
        return self._past.get(number)

    def ct_logs(self) -> dict[str, ctlog.CertificateLog]:
        """Give all certificate logs that are opened, by name, oldest first."""
        opened = {tenure.name: log for tenure, log in self.ct.opened.items()}
        past = {self._lines[CT].tenures[n - 1].name: log for n, log in self._past.items()}
        return {**past, **opened}

    def chains(self, lines: Lines | None = None) -> tuple[tuple[Certificate, ...], ...]:
        """Give the CA's chains: the one that issues first, the others newest first."""
        line = (lines or self._lines)[CA]
        active = line.at(self._now())
        others = [each.tenure for each in reversed(_listed(line)) if each.tenure is not active]
        return tuple(self.chain(each) for each in (active, *others))

    def chain(self, tenure: Tenure) -> tuple[Certificate, ...]:
        """Give the chain of an authority's key."""
        return tenure.certificates or self._first_chain(tenure.role)

    def issuing(self) -> Iterator[Certificate]:
        """Give the certificates of the CA whose keys signed, sign or will."""
        return (chain[0] for chain in self.chains())

    def ct_key(self, tenure: Tenure) -> PublicKey:
        """Give the key of a certificate log."""
        return tenure.public_key or self._first_ct_key()

    def signers(self) -> Signers:
        """Give what clients must know, of all that is decided by now."""
        lines = self.succession.read()
        return Signers(
            tuple(self._held(window) for window in _listed(lines[CA])),
            tuple(self._held(window) for window in _listed(lines[TSA])),
            tuple(self._held_log(window) for window in _listed(lines[CT])),
        )

    def follow_frozen(self, log: ctlog.CertificateLog) -> bool:
        """Go on after a certificate log that is frozen; say whether another one takes entries."""
        if self.ct.holder() is not log:
            return True
        self.follow()
        number = next((t.number for t, each in self.ct.opened.items() if each is log), 0)
        self.ct.pass_over(number)
        return self.ct.holder() is not log

    def expiries(self) -> dict[str, datetime]:
        """Give when the certificate of each authority that signs now ends."""
        return {
            role: self.chain(self._lines[role].at(self._now()))[0].not_after for role in (CA, TSA)
        }

    def ends(self, window: Window) -> tuple[datetime, datetime | None]:
        """Give the window that clients are told."""
        tenure, ends_at = window
        # Older clients read no fractions.
        since = whole_second(tenure.announced_at) - BACKDATED
        lag: timedelta = LAG[tenure.role]
        return since, None if ends_at is None else whole_second(ends_at, up=True) + lag

    def _take_up(self) -> None:
        for role, office in ((CA, self.ca), (TSA, self.tsa), (CT, self.ct)):
            office.take_up(self._lines[role], may_open=self._is_told)

    def _freeze(self) -> None:
        """Let the certificate logs that are at their end take no more entries, in any process."""
        active = self._lines[CT].at(self._now())
        if self.ct.line.at(self._now()) != active:
            return
        for tenure, log in self.ct.opened.items():
            if tenure.number < active.number:
                freeze_ct(log, tenure.name)

    def _held(self, window: Window) -> Held:
        return Held(self.chain(window.tenure), *self.ends(window))

    def _held_log(self, window: Window) -> HeldLog:
        tenure = window.tenure
        url = ct_url(self._origin, tenure.number)
        return HeldLog(url, self.ct_key(tenure), *self.ends(window))


def _listed(line: Line) -> list[Window]:
    return [window for window in line.windows if not window.is_empty]


def freeze_ct(log: ctlog.CertificateLog, name: str) -> None:
    """Let a certificate log take no more entries, if it still does."""
    if log.log.is_frozen:
        return
    try:
        log.log.freeze("")
    except UnavailableError as error:
        # It is tried again; nobody submits to it, but who does not know of the next one yet.
        _logger.error("%s was not frozen: %s", name, error)  # noqa: TRY400  ours to tell
        return
    _logger.info("%s is frozen: %d entries", name, log.log.checkpoint().size)


def check_key(tenure: Tenure, signer: Signer) -> Signer:
    """Refuse a key that is not the one that was decided on (KEY_NOT_FOUND)."""
    known = tenure.public_key
    if tenure.chain:
        known = tenure.certificates[0].public_key
    if known is not None and known != signer.public_key:
        raise SettingsError(
            "KEY_NOT_FOUND",
            f"the key {tenure.name} is not the one that was rotated to",
            expected=f"SHA-256 {known.key_id.hex()}",
            found=f"SHA-256 {signer.public_key.key_id.hex()}",
            hint=f"copy keys/{tenure.name}.* from the host where it was rotated",
        )
    return signer


class RetiredSigner:
    """The public half of a key that signs no more, and need not be there any more."""

    def __init__(self, public_key: PublicKey) -> None:
        self.public_key = public_key
        self.algorithm = public_key.algorithms[0]

    def sign(self, message: bytes) -> bytes:
        """Refuse."""
        raise UnavailableError("SERVICE_UNAVAILABLE", f"this key signs no more ({len(message)})")

    def sign_digest(self, digest: bytes) -> bytes:
        """Refuse."""
        return self.sign(digest)


def parse_chain(ders: tuple[bytes, ...]) -> tuple[Certificate, ...]:
    """Parse a chain of our own (SETTINGS_INVALID)."""
    try:
        return tuple(parse_certificate(der) for der in ders)
    except TouchplateError as error:
        raise SettingsError("SETTINGS_INVALID", f"a certificate chain: {error}") from error
