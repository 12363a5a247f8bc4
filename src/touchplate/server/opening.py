"""From a data folder to a deployment: the first start, a start after a crash, and each later one.

The order makes every interruption harmless: the URL is remembered first, because the logs are named
after it; each key and chain is made once and never replaced; the trust root is published last; then
the instance is marked complete, and from there on nothing missing is made anew.
"""

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from types import MappingProxyType

from touchplate.errors import SettingsError
from touchplate.server.build import Deployment, build
from touchplate.server.counts import Counts
from touchplate.server.data import DataFolder, Instance
from touchplate.server.keys import KeyPlaces
from touchplate.server.limits import Limits
from touchplate.server.lineage import (
    check_all_there,
    check_remembered,
    read_shards,
    remembered,
)
from touchplate.server.logs import Stores
from touchplate.server.ownership import claim_objects
from touchplate.server.settings import Origin, ServeSettings, listen_origin, parse_origin
from touchplate.server.succession import (
    check_decisions,
    read_decisions,
    remembered_decisions,
)
from touchplate.storage.schemes import open_index, open_log, open_objects


def choose_origin(
    instance: Instance | None, given: Origin | None, listening: tuple[str, int]
) -> tuple[Origin, bool]:
    """Say under which URL the service is, and whether that follows where it listens.

    The operator's word wins, then what the folder remembers, then where the server listens. The
    host name never changes: it is the name of the logs, which every bundle made here names.
    """
    if given is not None:
        origin, follows = given, False
    elif instance is not None and not instance.url_follows_listen:
        origin, follows = parse_origin(instance.url), False
    else:
        origin, follows = listen_origin(*listening), True
    if instance is not None:
        before = parse_origin(instance.url)
        if before.host != origin.host:
            raise SettingsError(
                "SETTINGS_INVALID",
                f"the logs in this folder are named {before.host!r}, and so are all bundles "
                f"that were made with them; they cannot be served as {origin.host!r}",
                hint=f"keep the host name (--url {before.url}), or start a new instance in "
                "another folder",
            )
    return origin, follows


def open_deployment(
    folder: DataFolder,
    origin: Origin,
    *,
    follows: bool,
    settings: ServeSettings,
    now: Callable[[], datetime],
    environ: Mapping[str, str] = MappingProxyType({}),
    counts: Counts | None = None,
    limits: Limits | None = None,
) -> Deployment:
    """Build the deployment of a folder that this process holds; completes a first start.

    `environ` holds credentials of storage; `counts` are of this process, if there are several.
    """
    instance = folder.instance
    if instance is None:
        # Whole seconds: it is the start of validity in the trusted root.
        created_at = now().replace(microsecond=0)
        instance = Instance(
            *(origin.url, follows, created_at, settings.ca_key), id=secrets.token_hex(16)
        )
        folder.remember(instance)
    elif (instance.url, instance.url_follows_listen) != (origin.url, follows):
        instance = replace(instance, url=origin.url, url_follows_listen=follows)
        folder.remember(instance)
    stores = open_stores(folder, settings, environ)
    claim_objects(stores.objects, instance.id, first=not instance.complete)
    check_all_there(instance.shards, read_shards(stores.objects, instance.created_at))
    check_decisions(instance.decisions, read_decisions(stores.objects))
    deployment = build(
        folder,
        stores,
        origin,
        created_at=instance.created_at,
        now=now,
        settings=replace(settings, ca_key=instance.ca_key),
        counts=counts,
        limits=limits,
    )
    try:
        _remember(folder, deployment)
    except BaseException:
        deployment.close()
        raise
    deployment.remember = partial(_remember, folder, deployment)
    # While we began another process may have rotated the log, and published that before we did.
    deployment.follow()
    if deployment.index is not None:
        deployment.index.start()
    return deployment


def open_beside(
    settings: ServeSettings, environ: Mapping[str, str], now: Callable[[], datetime]
) -> tuple[DataFolder, Deployment]:
    """Build the deployment of an instance that has started, beside servers that may run.

    Raises SETTINGS_INVALID for another user than the folder's: what is made must be readable to
    the service.
    """
    folder = DataFolder(settings.data, KeyPlaces.of(settings.keys, environ))
    instance = folder.instance
    if instance is None or not instance.complete:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"{settings.data} holds no instance",
            hint=f"start one first: touchplate serve --data {settings.data}",
        )
    owner = settings.data.stat().st_uid
    if os.geteuid() != owner:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"{settings.data} belongs to the user {owner}, who could not read what this makes",
            hint="run it as that user",
        )
    settings = replace(settings, index=replace(settings.index, enabled=False))
    origin = settings.url or parse_origin(instance.url)
    if origin.host != parse_origin(instance.url).host:
        origin = parse_origin(instance.url)
    follows = instance.url_follows_listen
    return folder, open_deployment(
        folder, origin, follows=follows, settings=settings, now=now, environ=environ
    )


def _remember(folder: DataFolder, deployment: Deployment) -> None:
    """Hold the log's trees to what the folder remembers, and have it remember what is new."""
    found = remembered(deployment.lineage)
    decided = deployment.authorities.succession.decided

    def change(instance: Instance) -> Instance:
        check_remembered(instance.shards, found)
        # Another process may have read a decision that this one has not.
        known = max(instance.decisions, remembered_decisions(decided), key=len)
        return replace(instance, shards=found, decisions=known, complete=True)

    folder.remember_keys()
    folder.update(change)


def open_stores(folder: DataFolder, settings: ServeSettings, environ: Mapping[str, str]) -> Stores:
    """Open what the settings name; what they do not name rests in the folder."""
    storage = settings.storage
    database = storage.database or folder.path.as_uri()
    objects = storage.objects or (folder.path / "objects").as_uri()
    if settings.workers > 1 and "memory:" in (database, objects):
        raise SettingsError(
            "SETTINGS_INVALID",
            "memory: is not shared between workers",
            hint="name a storage that is, or say workers = 1",
        )
    return Stores(
        objects=open_objects(objects, environ),
        database=lambda name: open_log(database, name),
        index=lambda: open_index(database),
    )
