"""What the operator does with the log's trees: freeze the active one, or go on with a new one.

A rotation ends as it should wherever it was interrupted: see `lineage` for its steps. It runs in a
process of its own beside servers, or in none.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from datetime import datetime

from touchplate.errors import SettingsError
from touchplate.keys.signer import Signer
from touchplate.server import vault as names
from touchplate.server.build import Deployment
from touchplate.server.lineage import Shard, freeze
from touchplate.server.locks import upkeep
from touchplate.server.opening import open_beside
from touchplate.server.publication import Tree
from touchplate.server.settings import Origin, ServeSettings
from touchplate.server.vault import Vault
from touchplate.tilelog.entry import SignedCheckpoint
from touchplate.tlog import log_key


@dataclass(frozen=True, slots=True)
class Frozen:
    """A tree that takes no more entries."""

    name: str
    origin: str
    tree_id: int
    last: SignedCheckpoint


@dataclass(frozen=True, slots=True)
class Rotated:
    """A rotation that is complete."""

    before: Frozen
    name: str
    origin: str
    tree_id: int
    # It had been decided by an earlier call, which was interrupted.
    resumed: bool
    # The new tree has the same name as one before it.
    same_name: bool


def freeze_log(
    settings: ServeSettings, environ: Mapping[str, str], now: Callable[[], datetime]
) -> Frozen:
    """Let the transparency log take no more entries; done again it changes nothing.

    Raises SettingsError, UnavailableError.
    """
    with upkeep_of(settings, "freeze"):
        _, deployment = open_beside(settings, environ, now)
        with closing(deployment):
            freeze(deployment.shards.active, now)
            deployment.remember()
            return _frozen(deployment, len(deployment.lineage.trees) - 1)


def rotate_log(
    settings: ServeSettings,
    environ: Mapping[str, str],
    now: Callable[[], datetime],
    url: Origin | None,
) -> Rotated:
    """Freeze the active tree and go on with a new one, with a URL of its own or the instance's.

    An earlier call that was interrupted is completed, and nothing more. Raises SettingsError,
    UnavailableError.
    """
    with upkeep_of(settings, "rotate"):
        folder, deployment = open_beside(settings, environ, now)
        with closing(deployment):
            lineage = deployment.lineage
            instance = folder.instance
            assert instance is not None  # noqa: S101  it was opened
            resumed = instance.rotating in [shard.name for shard, _ in lineage.trees]
            if not resumed:
                _check_name(deployment, settings, url)
                folder.update(lambda was: replace(was, rotating=lineage.next_name))
                rotate(deployment, folder, url)
            deployment.remember()
            rotated = _rotated(deployment, resumed=resumed)
        # Last: until here a further call completes this one, and does not rotate again.
        folder.update(lambda was: replace(was, rotating=""))
        return rotated


def prepare_log(
    settings: ServeSettings,
    environ: Mapping[str, str],
    now: Callable[[], datetime],
    url: Origin | None,
) -> tuple[str, ...]:
    """Make the keys of the next tree and nothing else; give its verifier keys.

    So other hosts and witnesses can have them before the rotation. Raises as `rotate_log` does.
    """
    with upkeep_of(settings, "rotate"):
        folder, deployment = open_beside(settings, environ, now)
        with closing(deployment):
            _check_name(deployment, settings, url)
            signer, second = _make_keys(deployment, folder)
            origin = (url or deployment.origin).host
            return log_key(origin, signer, for_witnesses=second).vkeys()


def rotate(deployment: Deployment, vault: Vault, url: Origin | None) -> None:
    """Make the next tree and have this deployment, and all others on its storage, use it."""
    name = deployment.lineage.next_name
    key = _make_keys(deployment, vault)[0].public_key
    # Whole seconds: it is the start of validity in the trusted root.
    created_at = deployment.now().replace(microsecond=0)
    shard = Shard(name, created_at, None if url is None else url.url, key.key_id.hex())
    # First: the next entry that is answered may be in the new tree.
    deployment.publication.publish(Tree(shard.origin(deployment.origin), key, created_at))
    deployment.lineage.decide(shard)
    deployment.follow()


def _make_keys(deployment: Deployment, vault: Vault) -> tuple[Signer, Signer | None]:
    """Make the keys of the next tree, or find them made."""
    name = deployment.lineage.next_name
    key = vault.later_key(name, names.KINDS[names.TLOG])
    if not deployment.witnessed:
        return key, None
    kind = names.LATER_KINDS[names.TLOG_ED25519]
    return key, vault.later_key(names.for_witnesses(name), kind)


def upkeep_of(settings: ServeSettings, what: str) -> AbstractContextManager[None]:
    """Be the only one who does this to the instance."""
    if not settings.data.is_dir():
        raise SettingsError(
            "FILE_UNREADABLE",
            f"there is no folder {settings.data}",
            hint="name the instance's folder with --data DIR",
        )
    return upkeep(settings.data, what)


def _check_name(deployment: Deployment, settings: ServeSettings, url: Origin | None) -> None:
    """A witness knows a log by its name: it would take the new tree for a fork of the old one."""
    origin = (url or deployment.origin).host
    used = [log.key.origin for log in deployment.shards.oldest_first]
    if settings.witness.policy is not None and origin in used:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"witnesses know the log as {origin!r} already, and would refuse a new tree of that "
            "name",
            hint="give the new tree a host name of its own, which leads to this service too: "
            "touchplate log rotate --url https://NAME",
        )


def _rotated(deployment: Deployment, *, resumed: bool) -> Rotated:
    trees = deployment.lineage.trees
    shard, log = trees[-1]
    others = [each.key.origin for _, each in trees[:-1]]
    return Rotated(
        _frozen(deployment, len(trees) - 2),
        shard.name,
        log.key.origin,
        log.key.tree_id,
        resumed,
        log.key.origin in others,
    )


def _frozen(deployment: Deployment, number: int) -> Frozen:
    shard, log = deployment.lineage.trees[number]
    return Frozen(shard.name, log.key.origin, log.key.tree_id, log.tiles.committed())
