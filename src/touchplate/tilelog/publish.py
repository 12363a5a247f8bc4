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
        now on tells what it told until now.
        """
        if self._settings.cosign is not None and self._database.published() is None:
            self._database.publish(_as_published(state))

    def publish(self, state: LogState) -> SignedCheckpoint:
        """Have a committed state published; give the published checkpoint.

        That is this state's, or a larger one's if another process was quicker. Raises
        UnavailableError; then the one that was published stays.
        """
        if self._settings.cosign is None:
            return checkpoint_of(state)
        wanted = _as_published(state)
        published = self._database.published()
        if published is None or published.is_before(wanted):
            try:
                envelope = self._settings.cosign(
                    checkpoint_of(state), lambda old: self._tiles.consistency(old, state.size)
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
