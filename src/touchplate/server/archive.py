"""The file that a backup is: a tar of a header, the files, and a manifest of their digests.

    touchplate-backup.json    what it is of: the instance, its logs and how far they had come
    data/NAME                 the data folder: instance.json, certificates, keys if they are in it
    database/NAME.db[-runs/…] each log's database
    objects/KEY               the object store, as far as the databases imply it
    manifest.txt              SHA-256, size and name of each of these, one a line; always the last

It is written and read in one pass. Nothing in it is trusted before the manifest was compared.
"""

import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from touchplate.errors import MalformedError

FORMAT: Final = 1
HEADER: Final = "touchplate-backup.json"
MANIFEST: Final = "manifest.txt"
MAX_HEADER: Final = 4 * 1024 * 1024
MAX_MANIFEST: Final = 1 << 30
_CHUNK: Final = 1 << 20
_PART: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_PARTS: Final = ("data", "database", "objects")


@dataclass(frozen=True, slots=True)
class LogMark:
    """How far a log had come."""

    name: str
    origin: str
    size: int
    root: bytes
    # Its public key, PEM.
    key: str


@dataclass(frozen=True, slots=True)
class Header:
    """What a backup is of."""

    instance: str
    made_at: datetime
    # Whether private keys are in it.
    keys: bool
    # The transparency log's trees, oldest first, then the certificate log.
    logs: tuple[LogMark, ...]


def is_name(name: str) -> bool:
    """Say whether a file in a backup may have this name: below one of its three folders."""
    first, *rest = name.split("/")
    return first in _PARTS and bool(rest) and all(map(_PART.fullmatch, rest))


class Writer:
    """Writes a backup to an open file; `finish` ends it."""

    def __init__(self, file: BinaryIO, header: Header) -> None:
        self._tar = tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115  closed by `finish`
        self._made_at = header.made_at.timestamp()
        self._manifest: list[str] = []
        self._names: set[str] = set()
        self.add_bytes(HEADER, _encode(header))

    def add_bytes(self, name: str, data: bytes) -> None:
        """Add a file with these bytes."""
        self._add(name, len(data), BytesIO(data))

    def add_file(self, name: str, file: BinaryIO) -> None:
        """Add an open file, which does not change, from its beginning."""
        size = file.seek(0, 2)
        file.seek(0)
        self._add(name, size, file)

    def add_path(self, name: str, path: Path) -> None:
        """Add a file that does not change."""
        with path.open("rb") as file:
            self.add_file(name, file)

    def finish(self) -> int:
        """Write the manifest and the end; give the number of files."""
        data = "".join(self._manifest).encode()
        count = len(self._manifest)
        self._add(MANIFEST, len(data), BytesIO(data))
        self._tar.close()
        return count

    def _add(self, name: str, size: int, file: BinaryIO | BytesIO) -> None:
        if name in self._names or not (name in (HEADER, MANIFEST) or is_name(name)):
            raise AssertionError(f"{name!r} is no name in a backup, or it is there already")
        self._names.add(name)
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = size, 0o600, self._made_at
        reading = _Digested(file)
        self._tar.addfile(member, reading)
        self._manifest.append(f"{reading.digest.hexdigest()}  {size}  {name}\n")


class _Digested:
    """A file whose bytes are hashed as they are read."""

    def __init__(self, file: BinaryIO | BytesIO) -> None:
        self._file = file
        self.digest = sha256()

    def read(self, size: int = -1, /) -> bytes:
        """Read some bytes."""
        data = self._file.read(size)
        self.digest.update(data)
        return data


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a backup; `chunks` are read before the next member is."""

    name: str
    chunks: Iterator[bytes]


class Reader:
    """Reads a backup from an open file. All that it raises is BACKUP_INVALID."""

    def __init__(self, file: BinaryIO) -> None:
        self._lines: list[str] = []
        self._names: set[str] = set()
        try:
            self._tar = tarfile.open(fileobj=file, mode="r|")  # noqa: SIM115  its file is the caller's
            first = self._tar.next()
        except (tarfile.TarError, EOFError) as error:
            raise _invalid(f"this is no backup of touchplate: {error}") from error
        if first is None or first.name != HEADER or not first.isreg() or first.size > MAX_HEADER:
            raise _invalid("this is no backup of touchplate")
        self.header = _decode(b"".join(self._read(first)))

    def members(self) -> Iterator[Member]:
        """Give the files; when it ends without an error all of them were as the manifest says."""
        while (member := self._next()) is not None:
            if member.name == MANIFEST:
                self._check(member)
                return
            if not member.isreg() or not is_name(member.name) or member.name in self._names:
                raise _invalid(f"there is a member {member.name[:100]!a}")
            self._names.add(member.name)
            chunks = self._read(member)
            yield Member(member.name, chunks)
            for _ in chunks:
                pass  # what the caller did not want of it
        raise _invalid("it has no end: it was cut short")

    def _next(self) -> tarfile.TarInfo | None:
        try:
            return self._tar.next()
        except (tarfile.TarError, EOFError) as error:
            raise _invalid(str(error)) from error

    def _read(self, member: tarfile.TarInfo) -> Iterator[bytes]:
        digest, left = sha256(), member.size
        try:
            file = self._tar.extractfile(member)
            while left and file is not None:
                data = file.read(min(left, _CHUNK))
                if not data:
                    break
                left -= len(data)
                digest.update(data)
                yield data
        except (tarfile.TarError, EOFError) as error:
            raise _invalid(str(error)) from error
        if left:
            raise _invalid(f"{member.name} was cut short")
        self._lines.append(f"{digest.hexdigest()}  {member.size}  {member.name}\n")

    def _check(self, manifest: tarfile.TarInfo) -> None:
        if manifest.size > MAX_MANIFEST or not manifest.isreg():
            raise _invalid("the manifest is no file, or too large")
        read = "".join(self._lines)
        stated = b"".join(self._read(manifest)).decode("utf-8", "replace")
        if stated != read:
            wrong = sorted(set(stated.splitlines()) ^ set(read.splitlines()))
            name = wrong[0].rpartition("  ")[2] if wrong else "the order"
            raise _invalid(f"{name[:200]!a} is not as the manifest says")
        if self._next() is not None:
            raise _invalid("there is more after the manifest")


def _encode(header: Header) -> bytes:
    value = {
        "format": FORMAT,
        "instance": header.instance,
        "made_at": header.made_at.astimezone(UTC).isoformat(),
        "keys": header.keys,
        "logs": [
            {
                "name": log.name,
                "origin": log.origin,
                "size": log.size,
                "root": log.root.hex(),
                "key": log.key,
            }
            for log in header.logs
        ],
    }
    return json.dumps(value, indent=2).encode() + b"\n"


def _decode(data: bytes) -> Header:
    try:
        value = json.loads(data)
        if value["format"] != FORMAT:
            raise _invalid(f"it is of format {value['format']!a}, and this version knows {FORMAT}")
        return Header(
            str(value["instance"]),
            datetime.fromisoformat(value["made_at"]),
            bool(value["keys"]),
            tuple(
                LogMark(
                    str(log["name"]),
                    str(log["origin"]),
                    int(log["size"]),
                    bytes.fromhex(log["root"]),
                    str(log["key"]),
                )
                for log in value["logs"]
            ),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _invalid(f"its header is malformed: {error!r}") from error


def _invalid(text: str) -> MalformedError:
    return MalformedError(
        "BACKUP_INVALID",
        f"the backup cannot be used: {text}",
        hint="take another copy of it, or an older one; nothing was restored",
    )
