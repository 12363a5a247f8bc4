"""Opening who holds an office: the keys and chains of the authorities, and the certificate logs.

The first ones are made if this is the first start; later ones were appointed by a rotation, and are
opened when it is decided or when a process starts after it (`succession`).
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial

from touchplate import ca, ctlog, tsa
from touchplate.errors import SettingsError
from touchplate.formats.certificate import Certificate
from touchplate.keys.public import PublicKey
from touchplate.keys.signer import Signer
from touchplate.server import vault as names
from touchplate.server.authorities import RetiredSigner, check_key, freeze_ct, parse_chain
from touchplate.server.certificate_log import LazyLeafIndex, accepted_roots
from touchplate.server.certifying import COMMON_NAME, MAX_NAME, first_ca_chain
from touchplate.server.logs import Logs, in_ms
from touchplate.server.ownership import read_ct_checkpoint
from touchplate.server.publication import ct_origin
from touchplate.server.settings import Origin, ServeSettings
from touchplate.server.succession import Tenure
from touchplate.server.vault import Keys, Vault, open_chain


class Holders:
    """Opens the keys of the authorities and of the certificate log, the first and later ones."""

    def __init__(
        self,
        vault: Vault,
        keys: Keys,
        origin: Origin,
        now: Callable[[], datetime],
        settings: ServeSettings,
        logs: Logs,
        clock: tsa.Drift | None,
        others: Sequence[tuple[Certificate, ...]],
    ) -> None:
        self._vault = vault
        self._keys = keys
        self._origin = origin
        self._now = now
        self._settings = settings
        self._logs = logs
        self._clock = clock
        self._others = others
        self._roots: list[bytes] = []
        self._ct_logs: list[ctlog.CertificateLog] = []

    def first_chain(self, role: str) -> tuple[Certificate, ...]:
        """Give the chain that the instance begins with, made if this is its first start."""
        if role == names.CA:
            return parse_chain(
                first_ca_chain(self._vault, self._keys, self._origin, self._now, self._settings)
            )

        def make() -> tuple[bytes, ...]:
            return tsa.create_chain(
                self._keys[names.TSA_ROOT],
                self._vault.key(names.TSA, names.KINDS[names.TSA]),
                organization=self._origin.host[:MAX_NAME],
                common_name=f"{COMMON_NAME}-tsa",
                now=self._now(),
            )

        return parse_chain(open_chain(self._vault, role, make))

    def first_ct_key(self) -> PublicKey:
        """Give the key of the first certificate log."""
        known = self._vault.find_public_key(names.CT)
        return known or self._vault.key(names.CT, names.KINDS[names.CT]).public_key

    def ca(self, tenure: Tenure) -> ca.Authority:
        """Open an authority's key. Raises SettingsError, UnavailableError."""
        kind = self._settings.ca_key
        signer = check_key(tenure, self._vault.key(tenure.name, kind))
        return ca.Authority.load(signer, self._chain(tenure), self._now())

    def tsa(self, tenure: Tenure) -> tsa.Stamping:
        """Open a timestamp authority's key. Raises as `ca`."""
        signer = check_key(tenure, self._vault.key(tenure.name, names.KINDS[names.TSA]))
        return tsa.Stamping.load(
            signer,
            self._chain(tenure),
            self._now,
            self._settings.tsa.stamping,
            check_time=self._clock.check if self._clock else None,
        )

    def ct(self, tenure: Tenure, takes_entries: bool) -> ctlog.CertificateLog:  # noqa: FBT001  as `OpenCt` says
        """Open a certificate log. Raises as `ca`; one that took entries before needs no key."""
        signer = self._ct_signer(tenure, takes_entries=takes_entries)
        name = ct_origin(self._origin, tenure.number)
        read = partial(read_ct_checkpoint, name, signer.public_key)
        tiles = self._logs.open(
            ctlog.tile_log_settings(signer, name, in_ms(self._now), tenure.name), read
        )
        log = ctlog.CertificateLog(
            tiles,
            signer,
            origin=name,
            roots=self._roots,
            objects=self._logs.stores.objects,
            name=tenure.name,
            settings=self._settings.ct.ctlog,
            find=LazyLeafIndex(self._logs.opened, self._logs.stores.index, tiles, tenure.name).find,
        )
        self._ct_logs.append(log)
        if not takes_entries and not isinstance(signer, RetiredSigner):
            freeze_ct(log, tenure.name)
        return log

    def accept(self, chains: Iterable[tuple[Certificate, ...]]) -> None:
        """Have the certificate logs take what these authorities issue, beside others."""
        own = [chain[-1].der for chain in (*chains, *self._others)]
        roots = accepted_roots(own, self._settings.ct.roots)
        if roots != self._roots:
            self._roots = roots
            for log in self._ct_logs:
                log.accept(roots)

    def _chain(self, tenure: Tenure) -> tuple[bytes, ...]:
        chain = tenure.certificates or self.first_chain(tenure.role)
        return tuple(each.der for each in chain)

    def _ct_signer(self, tenure: Tenure, *, takes_entries: bool) -> Signer:
        try:
            return check_key(tenure, self._vault.key(tenure.name, names.KINDS[names.CT]))
        except SettingsError as error:
            known = tenure.public_key or self._vault.find_public_key(tenure.name)
            if takes_entries or known is None or error.code != "KEY_NOT_FOUND":
                raise
            return RetiredSigner(known)
