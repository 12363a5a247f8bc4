"""Publishing: what is committed is told to readers once it has its cosignatures.

The database keeps the published checkpoint beside the state, so all processes tell the same one,
and it only ever grows. A log without cosigning publishes what it commits, at no cost.
"""

from dataclasses import replace
from time import sleep
from typing import Final

from touchplate.errors import UnavailableError
from touchplate.storage.database import LogDatabase, LogState, PublishedCheckpoint
from touchplate.tilelog.entry import SignedCheckpoint
from touchplate.tilelog.settings import TileLogSettings
from touchplate.tilelog.tiles import Tiles, checkpoint_of

_STEP_SECONDS: Final = 0.01
_OVERTAKEN_STEPS: Final = 100  # about a second


class Publisher:
    """Publishes checkpoints. Several processes may do so at once."""

    def __init__(self, settings: TileLogSettings, database: LogDatabase, tiles: Tiles) -> None:
        self._settings = settings
        self._database = database
        self._tiles = tiles

    def begin(self, state: LogState) -> None:
        """Publish the state as it is if nothing ever was: it may have been read before.

        A new log so has an empty checkpoint without cosignatures, and a log that is cosigned from
        now on tells what it told until now. A log that is no longer cosigned tells its state, so
        what was published before is forgotten: it must not come back over a larger one.
        """
        published = self._database.published()
        if self._settings.cosign is None:
            if published is not None:
                self._database.unpublish()
        elif published is None:
            self._database.publish(_as_published(state))

    def publish(self, state: LogState) -> SignedCheckpoint:
        """Have a committed state published; give the published checkpoint.

        That is this state's, or a larger one's if another process was quicker. Raises
        UnavailableError; then the one that was published stays.
        """
        if self._settings.cosign is None:
            return checkpoint_of(state)
        return self._publish(_as_published(state))

    def publish_again(self, time_ms: int) -> SignedCheckpoint:
        """Have the newest state cosigned and published as of `time_ms`; give what is published.

        A tree that does not grow so gets fresh cosignatures, and what was committed and could not
        be published its second chance. Raises UnavailableError; then the published one stays.
        """
        published = self._database.published()
        if self._settings.cosign is None or published is None:
            return self._tiles.published()
        wanted = _as_published(self._tiles.state())
        if (wanted.size, wanted.frozen) == (published.size, published.frozen):
            time_ms = max(time_ms, published.time_ms + 1)
        return self._publish(replace(wanted, time_ms=max(time_ms, wanted.time_ms)))

    def _publish(self, wanted: PublishedCheckpoint) -> SignedCheckpoint:
        """Publish a checkpoint, unless what is published is not before it."""
        published = self._database.published()
        if self._settings.cosign and (published is None or published.is_before(wanted)):
            try:
                envelope = self._settings.cosign(
                    checkpoint_of(wanted), lambda old: self._tiles.consistency(old, wanted.size)
                )
                self._database.publish(replace(wanted, envelope=envelope))
            except UnavailableError:
                if not self._is_overtaken(wanted):
                    raise
        return self._tiles.published()

    def _is_overtaken(self, wanted: PublishedCheckpoint) -> bool:
        """Say whether another process publishes a larger checkpoint now.

        Witnesses refuse a size that is behind what another process has just had them sign; that
        process is then about to publish it.
        """
        for _ in range(_OVERTAKEN_STEPS):
            published = self._database.published()
            if published is not None and not published.is_before(wanted):
                return True
            if not wanted.is_before(self._tiles.state()):
                break
            sleep(_STEP_SECONDS)
        return False


def _as_published(state: LogState) -> PublishedCheckpoint:
    return PublishedCheckpoint(state.size, state.root, state.time_ms, state.envelope, state.frozen)
