"""Export the transparency log of an instance: `touchplate log export`.

From the data folder and the storage that its settings name, beside a running server or without
one. Nothing of the instance is written.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from touchplate.errors import RefusedError, SettingsError
from touchplate.formats.entry_name import tree_id_of
from touchplate.formats.note import encode_vkey
from touchplate.keys.public import PublicKey
from touchplate.server.checking import reading_settings
from touchplate.server.data import DataFolder
from touchplate.server.lineage import read_shards
from touchplate.server.opening import open_stores
from touchplate.server.settings import ServeSettings
from touchplate.storage.folder import FolderObjects
from touchplate.tilelog.export import Exported, export
from touchplate.tilelog.imports import check_imported
from touchplate.tilelog.tiles import Tiles, checkpoint_of, existing


class ExportedLog(NamedTuple):
    """What was exported, and the verifier key that its checkpoint is signed with."""

    exported: Exported
    vkey: str


def export_log(
    settings: ServeSettings,
    environ: Mapping[str, str],
    out: Path,
    *,
    tree_id: int | None = None,
    progress: Callable[[int, int], None] = lambda _done, _size: None,
) -> ExportedLog:
    """Write a tree, as of its published checkpoint, to a folder, or add to an earlier export.

    It is the newest tree of the log unless another is named. Raises SettingsError, NOT_FOUND,
    FILE_EXISTS if other files are there, TLOG_INVALID, UnavailableError.
    """
    folder = DataFolder(settings.data)
    if folder.instance is None or not folder.instance.complete:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"{settings.data} holds no instance",
            hint="name the instance's folder with --data DIR",
        )
    out = out.resolve()
    if out == folder.path.resolve() or folder.path.resolve() in out.parents:
        raise SettingsError(
            "SETTINGS_INVALID", "an export does not go into the instance's own folder"
        )
    stores = open_stores(folder, settings, environ)
    shards = read_shards(stores.objects, folder.instance.created_at)
    keys = {shard.name: folder.public_key(shard.name) for shard in shards}
    name = shards[-1].name if tree_id is None else _named(keys, tree_id)
    check_imported(stores.objects, name)
    log = reading_settings(name)
    with closing(stores.database(name)) as database:
        tiles = Tiles(log, database, stores.objects)
        # Where witnesses cosign, what they have not seen is not exported.
        published = database.published()
        newest = existing(database.state()) if published is None else published
        files = FolderObjects(out, public=True)
        exported = export(
            *(log, tiles, checkpoint_of(newest), files),
            progress=lambda done: progress(done, newest.size),
        )
    return ExportedLog(exported, encode_vkey(exported.checkpoint.origin, keys[name]))


def _named(keys: Mapping[str, PublicKey], tree_id: int) -> str:
    for name, key in keys.items():
        if tree_id_of(key.key_id) == tree_id:
            return name
    raise RefusedError(
        "NOT_FOUND",
        "the log has no such tree",
        expected=", ".join(str(tree_id_of(key.key_id)) for key in keys.values()),
        found=str(tree_id),
    )
