"""`touchplate rotate ca|tsa|ct`: the next key of a role, decided on beside running servers.

    key -> chain -> record -> trusted root -> … overlap … -> it signs

The record decides (`succession`); what comes before it is found and used again by a further call,
what comes after it is done by any process that finds the record. So a call may end anywhere.
"""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from touchplate import ca, tsa
from touchplate.ca.authority import check_chain as check_ca_chain
from touchplate.errors import SettingsError
from touchplate.formats.certificate import Certificate, parse_certificate
from touchplate.keys.signer import Signer
from touchplate.keystore import load_signer, probe_signer, shown_key_uri
from touchplate.server import vault as names
from touchplate.server.build import Deployment
from touchplate.server.certifying import COMMON_NAME, MAX_NAME, read_certificates
from touchplate.server.data import DataFolder, Instance
from touchplate.server.opening import open_beside
from touchplate.server.rotation import upkeep_of
from touchplate.server.settings import ServeSettings
from touchplate.server.succession import Tenure, key_name, whole_second
from touchplate.server.vault import CA, CT, TSA
from touchplate.tsa.authority import check_chain as check_tsa_chain
from touchplate.tuf.settings import TufSettings

# Metadata that a client has is used for so long at most; then it fetches the trusted root again.
OVERLAP: Final = TufSettings().timestamp.lifetime
MAX_OVERLAP: Final = timedelta(days=366)

_ROOTS: Final = {CA: names.CA_ROOT, TSA: names.TSA_ROOT}


@dataclass(frozen=True, slots=True)
class Wish:
    """What the operator asks for."""

    role: str
    overlap: timedelta = OVERLAP
    # URI of the new key, which is there; None: it is made where keys of this instance rest.
    key: str | None = None
    # PEM of the new key's chain, signing certificate first; None: it is made here.
    chain: Path | None = None
    new_root: bool = False
    # Although another one is announced that does not sign yet, and never will then.
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Appointed:
    """A key that was decided on."""

    tenure: Tenure
    before: Tenure
    # SHA-256 of the public keys, hex.
    key_id: str
    key_id_before: str
    # SHA-256 of the signing certificate and of the root, hex; empty for logs.
    fingerprints: tuple[str, ...]
    # When the window of the one before ends.
    valid_until: datetime
    # It had been decided by an earlier call, which was interrupted or is announced.
    resumed: bool
    # Whether it signs now.
    signs: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """A key that was made and that nothing was decided about."""

    name: str
    key_id: str
    pem: str


@dataclass(frozen=True, slots=True)
class Row:
    """One key of a role: for `rotate list`."""

    name: str
    # "signs", "announced", "retired" or "never signed".
    state: str
    key_id: str
    valid_from: datetime
    signs_from: datetime
    # None: its window is open.
    valid_until: datetime | None


def rotate_key(
    settings: ServeSettings, environ: Mapping[str, str], now: Callable[[], datetime], wish: Wish
) -> Appointed:
    """Decide on the next key of a role, and tell clients of it.

    One that is announced and does not sign yet is given back, and so is one that an interrupted
    call has decided on. Raises SettingsError, UnavailableError; then nothing is changed, or the
    next call goes on.
    """
    _check_wish(settings, wish)
    with upkeep_of(settings, "rotate"):
        folder, deployment = open_beside(settings, environ, now)
        with closing(deployment):
            line = deployment.authorities.lines[wish.role]
            instance = folder.instance
            assert instance is not None  # noqa: S101  it was opened
            newest = line.newest
            resumed = newest.name in instance.appointing or (
                line.pending(now()) is not None and not wish.replace
            )
            if not resumed:
                name = line.next_name
                signer, chain = _make(deployment, folder, wish, name)
                folder.update(lambda was: _appointing(was, name, begins=True))
                appoint(deployment, wish.role, signer, chain, wish.overlap)
            deployment.follow()
            deployment.remember()
            appointed = _appointed(deployment, wish.role, resumed=resumed)
        # Last: until here a further call completes this one, and does not rotate again.
        name = appointed.tenure.name
        folder.update(lambda was: _appointing(was, name, begins=False))
        return appointed


def prepare_key(
    settings: ServeSettings, environ: Mapping[str, str], now: Callable[[], datetime], wish: Wish
) -> Prepared:
    """Make the next key of a role and nothing else: for its certificate, and for other hosts."""
    _check_wish(settings, wish)
    with upkeep_of(settings, "rotate"):
        folder, deployment = open_beside(settings, environ, now)
        with closing(deployment):
            name = deployment.authorities.lines[wish.role].next_name
            key = _new_key(deployment, folder, wish, name).public_key
        return Prepared(name, key.key_id.hex(), key.pem())


def list_rows(
    settings: ServeSettings, environ: Mapping[str, str], now: Callable[[], datetime]
) -> tuple[Row, ...]:
    """List the keys of all roles with their windows, oldest first."""
    _, deployment = open_beside(settings, environ, now)
    with closing(deployment):
        return tuple(row for role in (CA, TSA, CT) for row in _rows(deployment, role, now()))


def appoint(
    deployment: Deployment,
    role: str,
    signer: Signer,
    chain: tuple[bytes, ...],
    overlap: timedelta,
) -> Tenure:
    """Decide that this key is the role's next one, which signs after `overlap`."""
    now = deployment.now()
    tenure = Tenure(
        role,
        deployment.authorities.lines[role].newest.number + 1,
        whole_second(now),
        whole_second(now + overlap),
        signer.public_key.pem(),
        "".join(parse_certificate(der).pem() for der in chain),
    )
    deployment.authorities.succession.decide(tenure)
    return tenure


def make_chain(
    deployment: Deployment,
    role: str,
    signer: Signer,
    load_root: Callable[[str], Signer],
    make_root: Callable[[str, str], Signer],
    *,
    new_root: bool,
) -> tuple[bytes, ...]:
    """Make the chain of the next key of a role: under the root of the one before, or a new one.

    Both functions give a root's key by its name; one makes it, of a kind. Raises SettingsError.
    """
    if role == CT:
        return ()
    line = deployment.authorities.lines[role]
    number = line.newest.number + 1
    base = COMMON_NAME if role == CA else f"{COMMON_NAME}-tsa"
    create, extend = (
        (ca.create_chain, ca.extend_chain) if role == CA else (tsa.create_chain, tsa.extend_chain)
    )
    organization = deployment.origin.host[:MAX_NAME]
    common_name = f"{base}-{number}"
    now = deployment.now()
    if new_root:
        root = make_root(key_name(_ROOTS[role], number), names.KINDS[_ROOTS[role]])
        return create(root, signer, organization=organization, common_name=common_name, now=now)
    above = deployment.authorities.chain(line.newest)
    root = load_root(_root_name(deployment, role))
    return extend(root, above, signer, organization=organization, common_name=common_name, now=now)


def _root_name(deployment: Deployment, role: str) -> str:
    """Give the name of the key of the root that the newest key is under."""
    line = deployment.authorities.lines[role]
    root = deployment.authorities.chain(line.newest)[-1].der
    for tenure in line.tenures:
        if deployment.authorities.chain(tenure)[-1].der == root:
            return key_name(_ROOTS[role], tenure.number)
    raise AssertionError("the newest key has a root")


def _make(
    deployment: Deployment, folder: DataFolder, wish: Wish, name: str
) -> tuple[Signer, tuple[bytes, ...]]:
    """Make key and chain, or find them made."""
    given = None if wish.chain is None else read_certificates(wish.chain)
    if given is None and wish.role == CA and _is_foreign(deployment, wish):
        raise SettingsError(
            "SETTINGS_INVALID",
            "the authority's root is not this instance's: its next chain is made elsewhere",
            hint="touchplate rotate ca --prepare makes the key; have a certificate made for it, "
            "and name the chain with --chain FILE",
        )
    signer = _new_key(deployment, folder, wish, name)
    if given is not None:
        chain = tuple(each.der for each in given)
    else:
        chain = make_chain(
            *(deployment, wish.role, signer),
            folder.load_key,
            folder.later_key,
            new_root=wish.new_root,
        )
    _check_chain(deployment, wish.role, signer, chain)
    # Its public half is known from here on: no other key is taken for it.
    folder.remember_keys()
    return signer, chain


def _is_foreign(deployment: Deployment, wish: Wish) -> bool:
    """Say whether the root is of an authority elsewhere."""
    chain = deployment.authorities.chain(deployment.authorities.lines[wish.role].newest)
    return not wish.new_root and len(chain) != 2


def _new_key(deployment: Deployment, folder: DataFolder, wish: Wish, name: str) -> Signer:
    """Make the key, or load the one that is named; if it is refused nothing is changed."""
    kind = names.KINDS[wish.role] if wish.role != CA else _ca_kind(folder)
    if wish.key is None:
        signer = folder.later_key(name, kind)
    else:
        signer = load_signer(wish.key, secrets=folder.secrets())
    where = shown_key_uri(wish.key) if wish.key else name
    probe = probe_signer(signer)
    if probe.fault is not None:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"the key {where} cannot be used: {probe.fault}",
            hint="touchplate keys check URI says more",
        )
    _check_kind(wish.role, signer, where)
    _check_unused(deployment, folder, signer, name, where)
    if wish.key is not None:
        known = folder.find_public_key(name)
        if known is not None and known != signer.public_key:
            # Of a call that was interrupted, or of --prepare with another key.
            folder.forget_key(name)
        folder.note_key(name, wish.key)
        signer = folder.later_key(name, kind)
    return signer


def _ca_kind(folder: DataFolder) -> str:
    assert folder.instance is not None  # noqa: S101  it was opened
    return folder.instance.ca_key


def _check_kind(role: str, signer: Signer, where: str) -> None:
    if role == CT and signer.public_key.kind != names.KINDS[CT]:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"the key {where} is of the wrong kind",
            expected=names.KINDS[CT],
            found=signer.public_key.kind,
        )
    if signer.algorithm.kind not in ("ecdsa", "rsa-pkcs1"):
        raise SettingsError(
            "SETTINGS_INVALID",
            f"the key {where} is of the wrong kind: clients do not accept its signatures",
            expected="ECDSA or RSA",
            found=signer.public_key.kind,
        )


def _check_unused(
    deployment: Deployment, folder: DataFolder, signer: Signer, name: str, where: str
) -> None:
    """Refuse a key that this instance uses for something, or did."""
    key_id = signer.public_key.key_id
    for path in sorted((folder.path / "keys").glob("*.pub")):
        public = folder.find_public_key(path.stem)
        if path.stem != name and public is not None and public.key_id == key_id:
            raise SettingsError("SETTINGS_INVALID", f"the key {where} is in use, as {path.stem}")
    authorities = deployment.authorities
    for role, line in authorities.lines.items():
        for tenure in line.tenures:
            used = (
                authorities.ct_key(tenure)
                if role == CT
                else authorities.chain(tenure)[0].public_key
            )
            if used.key_id == key_id:
                raise SettingsError("SETTINGS_INVALID", f"the key {where} is in use: {tenure.name}")


def _check_chain(
    deployment: Deployment, role: str, signer: Signer, chain: tuple[bytes, ...]
) -> None:
    """Hold the new chain to what a start would ask of it."""
    certificates: tuple[Certificate, ...] = tuple(map(parse_certificate, chain))
    if role == CA:
        check_ca_chain(signer, certificates, deployment.now())
    elif role == TSA:
        check_tsa_chain(signer, certificates, deployment.now())


def _check_wish(settings: ServeSettings, wish: Wish) -> None:
    if not timedelta(0) <= wish.overlap <= MAX_OVERLAP:
        raise SettingsError(
            "SETTINGS_INVALID", f"an overlap of {wish.overlap}", expected=f"0 to {MAX_OVERLAP}"
        )
    if wish.role == CT and (wish.chain is not None or wish.new_root):
        raise SettingsError("USAGE", "a certificate log has no certificates")
    if wish.chain is not None and wish.new_root:
        raise SettingsError("USAGE", "--chain and --new-root exclude each other")
    if wish.role == CA and settings.ca.chain is not None and not (wish.chain or wish.new_root):
        raise SettingsError(
            "SETTINGS_INVALID",
            "the authority's chain is yours (ca.chain), so its next one is too",
            hint="touchplate rotate ca --prepare makes the key; have a certificate made for it, "
            "and name the chain with --chain FILE",
        )


def _appointing(was: Instance, name: str, *, begins: bool) -> Instance:
    others = tuple(each for each in was.appointing if each != name)
    return replace(was, appointing=(*others, name) if begins else others)


def _appointed(deployment: Deployment, role: str, *, resumed: bool) -> Appointed:
    authorities = deployment.authorities
    line = authorities.lines[role]
    tenure = line.newest
    rows = _rows(deployment, role, deployment.now())
    # The one that signs until then: one that was announced and never signs is passed over.
    before = next(row for row in reversed(rows[:-1]) if row.state != "never signed")
    chain = () if role == CT else authorities.chain(tenure)
    return Appointed(
        tenure,
        next(each for each in line.tenures if each.name == before.name),
        rows[-1].key_id,
        before.key_id,
        tuple(hashlib.sha256(each.der).hexdigest() for each in chain),
        before.valid_until or tenure.signs_from,
        resumed,
        line.at(deployment.now()) is tenure,
    )


def _rows(deployment: Deployment, role: str, at: datetime) -> tuple[Row, ...]:
    authorities = deployment.authorities
    line = authorities.lines[role]
    active = line.at(at)
    rows = []
    for window in line.windows:
        tenure = window.tenure
        key = authorities.ct_key(tenure) if role == CT else authorities.chain(tenure)[0].public_key
        state = "announced" if tenure.number > active.number else "retired"
        if tenure is active:
            state = "signs"
        elif window.is_empty:
            state = "never signed"
        since, until = authorities.ends(window)
        rows.append(Row(tenure.name, state, key.key_id.hex(), since, tenure.signs_from, until))
    return tuple(rows)
