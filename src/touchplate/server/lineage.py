"""The trees of the transparency log: which there are, and how one comes after the other.

The object store says it: `tlog/shards/2` and so on, each written once, so of two hosts that rotate
at the same time one is refused. The first tree is the instance's own and has no record. Writing the
record is the step that decides; all others can be done again, by any process that finds it:

    key -> trusted root names it -> record -> the tree before is frozen -> the new one is opened

Every process looks for the next record now and then, and at once when its tree is found frozen.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from touchplate.errors import RefusedError, SettingsError, UnavailableError
from touchplate.server.settings import Origin, parse_origin
from touchplate.server.vault import TLOG
from touchplate.storage.objects import ObjectStore
from touchplate.tilelog.entry import SignedCheckpoint
from touchplate.tlog import Shards, TransparencyLog

FORMAT: Final = 1
PREFIX: Final = "tlog/shards/"

_logger = logging.getLogger("touchplate.server")


@dataclass(frozen=True, slots=True)
class Shard:
    """One tree of the log: what is decided about it when it is made."""

    # Of its tile log, its database and its key.
    name: str
    created_at: datetime
    # Its own URL, whose host is its name in checkpoints; None: the instance's.
    url: str | None = None
    # SHA-256 of its key, hex; empty for the first tree.
    key_id: str = ""

    def origin(self, instance: Origin) -> Origin:
        """Give where clients reach it."""
        return instance if self.url is None else parse_origin(self.url)


@dataclass(frozen=True, slots=True)
class Remembered:
    """A tree as the data folder remembers it."""

    shard: Shard
    origin: str
    tree_id: int
    # These three of a frozen tree.
    frozen_at: datetime | None = None
    size: int | None = None
    root: bytes | None = None


# Opens a tree with its keys and its database, making the database if it is not there.
OpenTree = Callable[[Shard], TransparencyLog]


def first_shard(created_at: datetime) -> Shard:
    """Give the tree that an instance begins with."""
    return Shard(TLOG, created_at)


def shard_name(number: int) -> str:
    """Give the name of the log's tree with this number, from 1."""
    return TLOG if number == 1 else f"{TLOG}-{number}"


def read_shards(objects: ObjectStore, created_at: datetime) -> tuple[Shard, ...]:
    """Give all trees, oldest first."""
    shards = [first_shard(created_at)]
    while (shard := _read_shard(objects, len(shards) + 1)) is not None:
        shards.append(shard)
    return tuple(shards)


def _read_shard(objects: ObjectStore, number: int) -> Shard | None:
    data = objects.get(f"{PREFIX}{number}")
    if data is None:
        return None
    try:
        value = json.loads(data)
        if value["format"] != FORMAT:
            raise ValueError("of another format")
        return Shard(
            shard_name(number),
            datetime.fromisoformat(value["created_at"]),
            None if value["url"] is None else str(value["url"]),
            str(value["key_id"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"the object {PREFIX}{number} was not written by this version of touchplate: {error}",
        ) from error


def frozen_line(at: datetime) -> str:
    """Give the extension line of a frozen checkpoint, as upstream writes it."""
    at = at.astimezone(UTC)
    # Names by hand: those of strftime follow the locale.
    day = "MonTueWedThuFriSatSun"[at.weekday() * 3 :][:3]
    month = "JanFebMarAprMayJunJulAugSepOctNovDec"[at.month * 3 - 3 : at.month * 3]
    return f"Log frozen \N{EM DASH} {day} {month} {at.day:2} {at:%H:%M:%S} UTC {at.year}"


class Lineage:
    """The trees of one deployment, opened. Any thread may call the methods."""

    def __init__(
        self,
        objects: ObjectStore,
        created_at: datetime,
        open_tree: OpenTree,
        now: Callable[[], datetime],
    ) -> None:
        """Open all trees, completing a rotation that was interrupted."""
        self._objects = objects
        self._open_tree = open_tree
        self._now = now
        self._described = read_shards(objects, created_at)
        logs: list[TransparencyLog] = []
        for shard in self._described:
            if logs:
                freeze(logs[-1], now)
            logs.append(self._open(shard))
        self.adopted: Callable[[TransparencyLog], None] = lambda _log: None
        """Called with each tree that is taken up later, before it takes entries."""
        self.shards = Shards(logs[-1], logs[:-1])
        self.shards.successor = self._successor

    @property
    def trees(self) -> tuple[tuple[Shard, TransparencyLog], ...]:
        """Give each tree with what was decided about it, oldest first."""
        return tuple(zip(self._described, self.shards.oldest_first, strict=False))

    @property
    def next_name(self) -> str:
        """Give the name of the tree that would come next."""
        return shard_name(len(self._described) + 1)

    @property
    def is_behind(self) -> bool:
        """Say whether a tree was decided that this process has not taken up."""
        return _read_shard(self._objects, len(self._described) + 1) is not None

    def decide(self, shard: Shard) -> None:
        """Decide that `shard` comes after the active tree. Raises SETTINGS_INVALID.

        Its key must be named in the trusted root by now: any process may begin to use it.
        """
        number = len(self._described) + 1
        record = {
            "format": FORMAT,
            "created_at": shard.created_at.astimezone(UTC).isoformat(),
            "url": shard.url,
            "key_id": shard.key_id,
        }
        try:
            self._objects.put(f"{PREFIX}{number}", json.dumps(record, indent=2).encode() + b"\n")
        except RefusedError as error:
            raise SettingsError(
                "SETTINGS_INVALID",
                "another host has rotated the log at the same time",
                hint=f"copy its keys/{shard.name}*.pem to this host's data folder",
            ) from error

    def _successor(self) -> TransparencyLog | None:
        shard = _read_shard(self._objects, len(self._described) + 1)
        if shard is None:
            return None
        try:
            freeze(self.shards.active, self._now)
            log = self._open(shard)
        except SettingsError as error:
            _logger.error("the log was rotated, and this host does not follow: %s", error)  # noqa: TRY400  ours to tell
            raise UnavailableError("SERVICE_UNAVAILABLE", str(error), hint=error.hint) from error
        self.adopted(log)
        self._described = (*self._described, shard)
        _logger.info("the log was rotated: %s takes entries from now on", shard.name)
        return log

    def _open(self, shard: Shard) -> TransparencyLog:
        log = self._open_tree(shard)
        if shard.key_id not in ("", log.key.log_id.hex()):
            raise SettingsError(
                "KEY_NOT_FOUND",
                f"the key {shard.name} is not the one that the log was rotated to",
                expected=shard.key_id,
                found=log.key.log_id.hex(),
                hint=f"copy keys/{shard.name}*.pem from the host where `log rotate` was run",
            )
        return log


def freeze(log: TransparencyLog, now: Callable[[], datetime]) -> SignedCheckpoint:
    """Let a tree take no more entries, in any process; give its last checkpoint.

    That is durable when this returns. Witnesses that do not answer are asked again later.
    """
    if not log.tiles.is_frozen:
        try:
            log.tiles.freeze(frozen_line(now()))
        except UnavailableError:
            if not log.tiles.is_frozen:
                raise
    return log.tiles.committed()


def remembered(lineage: Lineage) -> tuple[Remembered, ...]:
    """Give what a data folder is to remember of the trees."""
    found = []
    for shard, log in lineage.trees:
        each = Remembered(shard, log.key.origin, log.key.tree_id)
        if log.tiles.is_frozen:
            last = log.tiles.committed()
            at = datetime.fromtimestamp(last.time_ms / 1000, UTC)
            each = replace(each, frozen_at=at, size=last.size, root=last.root)
        found.append(each)
    return tuple(found)


def check_all_there(known: tuple[Remembered, ...], found: tuple[Shard, ...]) -> None:
    """Hold storage to the trees that a data folder remembers. Raises STATE_BEHIND."""
    if tuple(each.shard for each in known) != found[: len(known)]:
        raise SettingsError(
            "STATE_BEHIND",
            f"the log's trees in this storage are not the {len(known)} that this host remembers",
            expected=", ".join(f"{each.shard.name} {each.shard.key_id}" for each in known),
            found=", ".join(f"{each.name} {each.key_id}" for each in found),
            hint="the object store may come from an old backup: restore the newest one",
        )


def check_remembered(known: tuple[Remembered, ...], found: tuple[Remembered, ...]) -> None:
    """Hold frozen trees to what a data folder remembers of them. Raises STATE_BEHIND."""
    for before, after in zip(known, found, strict=False):
        is_same = (before.size, before.root) == (after.size, after.root)
        if before.frozen_at is not None and not is_same:
            raise SettingsError(
                "STATE_BEHIND",
                f"the tree {before.shard.name} is not as this host remembers it",
                expected=_shown(before),
                found=_shown(after),
                hint="the database may come from an old backup: restore the newest one",
            )


def _shown(tree: Remembered) -> str:
    if tree.size is None or tree.root is None:
        return "not frozen"
    return f"frozen at size {tree.size}, root {tree.root.hex()}"
