"""The data folder: what a deployment must not lose, and who may touch it.

    DATA/touchplate.toml    the settings, if there are any (`config`)
         instance.json      the public URL, when it was made, whether the first start is done, and
                            the trees of the transparency log
         lock               held by the server that runs on this folder
         keys/NAME.pem      private keys, PKCS#8, 0600, but those that rest elsewhere (`keys`)
         keys/NAME.pub      the public half of each, wherever it rests: no other is taken for it
         keys/NAME.uri      where a key rests that was given to a rotation
         certificates/      chains of the CA and the timestamp authority, PEM, leaf first
         tlog.db  ct.db     the two logs: sequence, edge, duplicates; tlog-2.db and so on, with
                            keys of the same name, after rotations of the first
         objects/           what never changes: tiles, entries, issuers, TUF files

`instance.json` comes first and is marked complete last, so a first start that was interrupted is
taken up again; afterwards a key or a chain that is missing is an error and never made anew.
"""

import contextlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from touchplate.errors import RefusedError, SettingsError, VerificationError
from touchplate.keys.public import PublicKey, load_public_key_pem
from touchplate.keys.signer import Signer
from touchplate.keystore import Secrets, create_signer, load_signer, shown_key_uri
from touchplate.server.keys import KeyPlaces, is_free, noted_path
from touchplate.server.lineage import Remembered, Shard
from touchplate.server.locks import lock, only_writer
from touchplate.server.succession import Decision
from touchplate.storage.files import save_file

FORMAT: Final = 2
# Of an instance whose keys were rotated: what does not know of that would sign with the old ones.
FORMAT_ROTATED: Final = 3
# Folders of format 1 have one tree of the log, and become of format 2 when it is next written.
FORMATS: Final = (1, FORMAT, FORMAT_ROTATED)
MAX_FILE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Instance:
    """What the folder remembers about its deployment."""

    url: str
    # The URL is where the server listened, not what the operator said: its port may change.
    url_follows_listen: bool
    created_at: datetime
    ca_key: str
    complete: bool = False
    # Names the instance in storage that hosts share; chosen at random, and never changed.
    id: str = ""
    # The trees of the transparency log, oldest first; none before they were first opened.
    shards: tuple[Remembered, ...] = ()
    # The tree that `log rotate` is about to make, or has made without having said so yet.
    rotating: str = ""
    # The keys that `rotate` is about to decide on, or has without having said so yet.
    appointing: tuple[str, ...] = ()
    # What was decided about later keys of the authorities and of the certificate log.
    decisions: tuple[Decision, ...] = ()


class DataFolder:
    """An open data folder. Hold it with `with`: the lock ends with the process or the block."""

    def __init__(self, path: Path, places: KeyPlaces | None = None) -> None:
        """Open `path` for `touchplate token` and the like, without the server's lock.

        `places` say where keys rest, if they are not all in the folder.
        """
        self.path = path
        self._places = places or KeyPlaces()
        # Public halves of the keys that were opened.
        self._opened: dict[str, PublicKey] = {}
        _check_folder(path)
        self.instance = _load_instance(path)

    @classmethod
    @contextlib.contextmanager
    def serve(cls, path: Path, places: KeyPlaces | None = None) -> Iterator["DataFolder"]:
        """Open `path` as its only server, making it if it is not there.

        Raises DATA_FOLDER_UNSAFE (others can write it), SETTINGS_INVALID (another server runs on
        it, or it is some other folder with files in it), FILE_UNREADABLE.
        """
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError as error:
            raise SettingsError("FILE_UNREADABLE", f"{path} is not a folder") from error
        except OSError as error:
            raise SettingsError("FILE_UNREADABLE", f"{path}: {error.strerror}") from error
        _check_folder(path)
        with lock(path):
            folder = cls(path, places)
            if folder.instance is None:
                _check_empty(path)
                path.chmod(0o700)
            for name in ("keys", "certificates", "objects"):
                (path / name).mkdir(mode=0o700, exist_ok=True)
            yield folder

    def reload(self) -> None:
        """Read `instance.json` again, which another process of this server may have written."""
        self.instance = _load_instance(self.path)

    def remember(self, instance: Instance) -> None:
        """Write `instance.json`, durable before this returns."""
        with only_writer(self.path):
            self._write(instance)

    def update(self, change: Callable[[Instance], Instance]) -> None:
        """Change `instance.json` as it is now, also if other processes do; durable then."""
        with only_writer(self.path):
            self.reload()
            if self.instance is None:
                raise SettingsError("SETTINGS_INVALID", f"{self.path} holds no instance any more")
            changed = change(self.instance)
            if changed != self.instance:
                self._write(changed)

    def _write(self, instance: Instance) -> None:
        text = json.dumps(
            {
                "format": FORMAT_ROTATED if instance.decisions else FORMAT,
                "url": instance.url,
                "url_follows_listen": instance.url_follows_listen,
                "created_at": instance.created_at.astimezone(UTC).isoformat(),
                "ca_key": instance.ca_key,
                "complete": instance.complete,
                "id": instance.id,
                "shards": [_shard_json(each) for each in instance.shards],
                "rotating": instance.rotating,
                "appointing": list(instance.appointing),
                "decisions": [
                    {"name": each.name, "digest": each.digest} for each in instance.decisions
                ],
            },
            indent=2,
        )
        save_file(self.path / "instance.json", text.encode() + b"\n", overwrite=True, mode=0o600)
        self.instance = instance

    def key(self, name: str, kind: str) -> Signer:
        """Load the key `name`, or make it in a first start that is not complete."""
        first = self.instance is not None and not self.instance.complete
        return self._open_key(name, kind, may_make=first)

    def later_key(self, name: str, kind: str) -> Signer:
        """Load the key `name`, or make it: one that instances begin to need later."""
        return self._open_key(name, kind, may_make=True)

    def note_key(self, name: str, uri: str) -> None:
        """Remember where a later key rests, durably; `uri` may hold a secret."""
        save_file(noted_path(self.path, name), f"{uri}\n".encode(), overwrite=True, mode=0o600)

    def forget_key(self, name: str) -> None:
        """Forget what was remembered of a key that nothing was decided about."""
        for path in (noted_path(self.path, name), self._public_path(name)):
            path.unlink(missing_ok=True)
        self._opened.pop(name, None)

    def secrets(self) -> Secrets:
        """Give what opens keys."""
        return self._places.secrets

    def load_key(self, name: str) -> Signer:
        """Load the key `name` (KEY_NOT_FOUND)."""
        signer = load_signer(self._places.uri(self.path, name), secrets=self._places.secrets)
        self._check_known(name, signer.public_key)
        return signer

    def public_key(self, name: str) -> PublicKey:
        """Give the public half of the key `name`; needs no secret once the instance has started."""
        return self._known(name) or self.load_key(name).public_key

    def find_public_key(self, name: str) -> PublicKey | None:
        """Give the public half of the key `name`, if the instance has opened it before."""
        return self._known(name)

    def remember_keys(self) -> None:
        """Remember the public halves of all keys that were opened, since they belong together."""
        for name, public in self._opened.items():
            if self._known(name) is None:
                with contextlib.suppress(RefusedError):
                    path = self._public_path(name)
                    save_file(path, public.pem().encode(), overwrite=False, mode=0o600)
                self._check_known(name, public)

    def _open_key(self, name: str, kind: str, *, may_make: bool) -> Signer:
        uri, secrets = self._places.uri(self.path, name), self._places.secrets
        try:
            signer = load_signer(uri, secrets=secrets)
        except SettingsError as error:
            # One that was there before is missing, and is not made anew.
            if error.code != "KEY_NOT_FOUND" or not may_make or self._known(name) is not None:
                raise
            try:
                signer = create_signer(uri, kind, secrets=secrets)
            except RefusedError:
                # Another process was quicker; or what is there is none that can be used.
                signer = load_signer(uri, secrets=secrets)
        if signer.public_key.kind != kind and not is_free(name):
            raise SettingsError(
                "SETTINGS_INVALID",
                f"the key {name} at {shown_key_uri(uri)} is of the wrong kind",
                expected=kind,
                found=signer.public_key.kind,
            )
        self._check_known(name, signer.public_key)
        self._opened[name] = signer.public_key
        return signer

    def _public_path(self, name: str) -> Path:
        return self.path / "keys" / f"{name}.pub"

    def _known(self, name: str) -> PublicKey | None:
        path = self._public_path(name)
        try:
            return load_public_key_pem(path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SettingsError("FILE_UNREADABLE", f"{path}: {error.strerror}") from error
        except (VerificationError, ValueError) as error:
            raise SettingsError(
                "SETTINGS_INVALID",
                f"{path} is damaged: {error}",
                hint="put the file back from the backup that the rest of the folder is from",
            ) from error

    def _check_known(self, name: str, public: PublicKey) -> None:
        """Refuse a key that is not the one that this instance had before (KEY_NOT_FOUND)."""
        known = self._known(name)
        if known is not None and known != public:
            where = shown_key_uri(self._places.uri(self.path, name))
            raise SettingsError(
                "KEY_NOT_FOUND",
                f"the key {name} at {where} is not the one of this instance",
                expected=f"SHA-256 {known.key_id.hex()}",
                found=f"SHA-256 {public.key_id.hex()}",
                hint="bring the same key there, or put its URI back as it was",
            )

    def find_chain(self, name: str) -> bytes | None:
        """Read a certificate chain, PEM; None in a first start that has not made it yet."""
        path = self.path / "certificates" / f"{name}.pem"
        try:
            with path.open("rb") as file:
                return file.read(MAX_FILE)
        except FileNotFoundError as error:
            if self.instance is not None and not self.instance.complete:
                return None
            raise SettingsError("KEY_NOT_FOUND", f"{path} is missing") from error
        except OSError as error:
            raise SettingsError("FILE_UNREADABLE", f"{path}: {error.strerror}") from error

    def save_chain(self, name: str, pem: bytes) -> None:
        """Write a certificate chain, durable before this returns."""
        path = self.path / "certificates" / f"{name}.pem"
        save_file(path, pem, overwrite=False, mode=0o600)


def _load_instance(path: Path) -> Instance | None:
    file = path / "instance.json"
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError("FILE_UNREADABLE", f"{file}: {error.strerror}") from error
    try:
        value = json.loads(data)
        if value["format"] not in FORMATS:
            raise SettingsError(
                "SETTINGS_INVALID",
                f"{file} was written by another version of touchplate",
                expected=f"format {FORMAT_ROTATED} or older",
                found=f"format {value['format']}",
            )
        return Instance(
            url=str(value["url"]),
            url_follows_listen=bool(value["url_follows_listen"]),
            created_at=datetime.fromisoformat(value["created_at"]),
            ca_key=str(value["ca_key"]),
            complete=bool(value["complete"]),
            # Folders made before there were ids: their host name and time never change either.
            id=str(value.get("id") or _old_id(value["url"], value["created_at"])),
            shards=tuple(map(_read_shard, value.get("shards", []))),
            rotating=str(value.get("rotating", "")),
            appointing=tuple(map(str, value.get("appointing", []))),
            decisions=tuple(
                Decision(str(each["name"]), str(each["digest"]))
                for each in value.get("decisions", [])
            ),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"{file} is damaged: {error}",
            hint="put the file back from the backup that the rest of the folder is from",
        ) from error


def _shard_json(shard: Remembered) -> dict[str, object]:
    return {
        "name": shard.shard.name,
        "key": shard.shard.name,
        "key_id": shard.shard.key_id,
        "url": shard.shard.url,
        "origin": shard.origin,
        "tree_id": f"{shard.tree_id:016x}",
        "created_at": shard.shard.created_at.astimezone(UTC).isoformat(),
        "frozen_at": shard.frozen_at and shard.frozen_at.astimezone(UTC).isoformat(),
        "size": shard.size,
        "root": shard.root and shard.root.hex(),
    }


def _read_shard(value: dict[str, Any]) -> Remembered:
    frozen_at, size, root = value["frozen_at"], value["size"], value["root"]
    return Remembered(
        Shard(
            str(value["name"]),
            datetime.fromisoformat(value["created_at"]),
            None if value["url"] is None else str(value["url"]),
            str(value["key_id"]),
        ),
        str(value["origin"]),
        int(value["tree_id"], 16),
        None if frozen_at is None else datetime.fromisoformat(frozen_at),
        None if size is None else int(size),
        None if root is None else bytes.fromhex(root),
    )


def _old_id(url: str, created_at: str) -> str:
    return sha256(f"{urlsplit(url).hostname} {created_at}".encode()).hexdigest()[:32]


def _check_folder(path: Path) -> None:
    """Refuse a folder that somebody else can write to, or could exchange for another."""
    try:
        real = path.resolve(strict=True)
        status = real.stat()
        parent = real.parent.stat()
    except FileNotFoundError as error:
        raise SettingsError(
            "FILE_UNREADABLE",
            f"there is no folder {path}",
            hint="name the instance's folder with --data DIR",
        ) from error
    except OSError as error:
        raise SettingsError("FILE_UNREADABLE", f"{path}: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode):
        raise SettingsError("FILE_UNREADABLE", f"{path} is not a folder")
    if status.st_mode & 0o022 or status.st_uid not in (os.geteuid(), 0):
        raise SettingsError(
            "DATA_FOLDER_UNSAFE",
            f"other users can write to {path}",
            expected="mode 0700, owned by the user of the service",
            found=f"{stat.S_IMODE(status.st_mode):04o}, owner {status.st_uid}",
            hint=f"chmod 700 {path}, after you made sure that nothing in it was changed",
        )
    # With the sticky bit, as /tmp has it, others cannot rename what is not theirs.
    if parent.st_mode & 0o002 and not parent.st_mode & stat.S_ISVTX:
        raise SettingsError(
            "DATA_FOLDER_UNSAFE",
            f"other users can exchange {path}: they can write to {real.parent}",
            hint=f"chmod o-w {real.parent}",
        )


def _check_empty(path: Path) -> None:
    # Settings, and what a start leaves that died before it could write instance.json.
    ours = {"lock", "instance.lock", "keys", "certificates", "objects", "touchplate.toml"}
    found = [
        each.name
        for each in path.iterdir()
        if each.name not in ours and not each.name.startswith(".instance")
    ]
    if found or any((path / "keys").glob("*")):
        shown = found[0] if found else "keys"
        raise SettingsError(
            "SETTINGS_INVALID",
            f"{path} has files in it ({shown}) but no instance.json",
            hint="give an empty folder for a new instance, or the folder of an existing one",
        )
