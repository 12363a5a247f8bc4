"""Export the transparency log of an instance: `touchplate log export`.

From the data folder and the storage that its settings name, beside a running server or without
one. Nothing of the instance is written.
"""

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from touchplate.errors import SettingsError
from touchplate.formats.note import encode_vkey
from touchplate.server.checking import reading_settings
from touchplate.server.data import DataFolder
from touchplate.server.opening import open_stores
from touchplate.server.settings import ServeSettings
from touchplate.server.vault import TLOG
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
    progress: Callable[[int], None] | None = None,
) -> ExportedLog:
    """Write the log, as of its published checkpoint, to a folder, or add to an earlier export.

    Raises SettingsError, FILE_EXISTS if other files are there, TLOG_INVALID, UnavailableError.
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
    check_imported(stores.objects, TLOG)
    log = reading_settings(TLOG)
    with closing(stores.database(TLOG)) as database:
        tiles = Tiles(log, database, stores.objects)
        # Where witnesses cosign, what they have not seen is not exported.
        published = database.published()
        newest = existing(database.state()) if published is None else published
        files = FolderObjects(out, public=True)
        exported = export(log, tiles, checkpoint_of(newest), files, progress=progress)
    key = folder.load_key(TLOG).public_key
    return ExportedLog(exported, encode_vkey(exported.checkpoint.origin, key))
