"""One batch through one transaction: sequence -> integrate -> checkpoint -> receipts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from touchplate.errors import RefusedError, UnavailableError
from touchplate.merkle.edge import EMPTY_EDGE, Edge, Growth, extend
from touchplate.merkle.proof import check_inclusions
from touchplate.merkle.tile import TILE_WIDTH
from touchplate.merkle.tree import EMPTY_ROOT, LeafHash, leaf_hash
from touchplate.storage.database import LogDatabase, LogState, Segment
from touchplate.tilelog.entry import Leaf, Receipt, SignedCheckpoint, Submission
from touchplate.tilelog.publish import Publisher
from touchplate.tilelog.settings import TileLogSettings
from touchplate.tilelog.tiles import Tiles, encode_stamp, existing

Outcome = Receipt | Exception


class Sequencer:
    """Commits batches, one at a time; one thread calls it.

    It remembers the tree's edge between batches. The database's state is the truth: when another
    process has written, the edge is loaded again.
    """

    def __init__(self, settings: TileLogSettings, database: LogDatabase, tiles: Tiles) -> None:
        self._settings = settings
        self._database = database
        self._tiles = tiles
        self._publisher = Publisher(settings, database, tiles)
        self._edge: Edge = EMPTY_EDGE
        self._root: bytes = EMPTY_ROOT
        self.sealed = 0
        """Entries that rest in objects, as far as any process had noted at the last commit."""

    def commit(self, take: Callable[[], Sequence[Submission]], sealed: int = 0) -> list[Outcome]:
        """Commit what `take` gives, and give what became of each submission, in order.

        It is asked once the database's lock is held: while another process had that, more could
        gather. Also forgets the entries below `sealed`, which rest in objects. If this raises,
        nothing was promised, and perhaps nothing taken; entries may be in the log all the same if
        the store failed while committing.
        """
        batch = _Batch(take)
        while True:
            try:
                batch.outcomes |= self._commit(batch, sealed)
            except _NotTaken as error:
                # Without them the others get other indexes: build those again.
                batch.leave_out(error.failed)
            else:
                return batch.in_order()

    def _commit(self, batch: "_Batch", sealed: int) -> dict[bytes, Outcome]:
        with self._database.transaction() as transaction:
            unique = batch.unique()
            identities = list(unique)
            before = existing(transaction.state())
            if before.frozen and unique:
                raise _NotTaken(dict.fromkeys(unique, frozen()))
            edge = self._edge_at(before)
            indexes = transaction.claim(identities, before.size)
            time_ms = max(self._settings.now_ms(), before.time_ms)
            new = {
                each: at for each, at in zip(identities, indexes, strict=True) if at >= edge.size
            }
            leaves = _build(unique, new, time_ms)
            hashes = [leaf_hash(leaf.hashed) for leaf in leaves]
            growth = extend(edge, hashes)
            proofs = growth.prove_all()
            check_inclusions(edge.size, growth.edge.size, hashes, proofs, growth.root())
            after = self._checkpoint(before, growth, time_ms)
            after = replace(after, sealed=max(before.sealed, sealed))
            if after != before:
                segments = _segments(edge.size, list(new), leaves, hashes, time_ms)
                transaction.store(before, after, segments, _changed_tiles(edge, growth))
            if after.sealed > before.sealed:
                transaction.forget(after.sealed)
        # Durable: from here on it may be told, once it is published.
        self._edge, self._root, self.sealed = growth.edge, after.root, after.sealed
        if not unique:
            return {}
        checkpoint, failure = self._publish(after)
        outcomes: dict[bytes, Outcome] = {}
        if checkpoint.size == after.size:
            outcomes = {
                each: Receipt(index, time_ms, leaf, proof, checkpoint, built.record)
                for (each, index), leaf, proof, built in zip(
                    new.items(), hashes, proofs, leaves, strict=True
                )
            }
        for each, index in zip(identities, indexes, strict=True):
            if each not in outcomes:
                outcomes[each] = (
                    self._prove(index, checkpoint, duplicate=each not in new)
                    if failure is None or index < checkpoint.size
                    else failure
                )
        return outcomes

    def _publish(self, state: LogState) -> tuple[SignedCheckpoint, UnavailableError | None]:
        """Publish the state; if that fails give what is published now, and the failure."""
        try:
            return self._publisher.publish(state), None
        except UnavailableError as error:
            return self._tiles.published(), error

    def _edge_at(self, state: LogState) -> Edge:
        if self._edge.size != state.size or self._root != state.root:
            # Another process has written. Mostly it is few entries, which cost less than the tiles.
            self._edge = self._tiles.grown(self._edge, state) or self._tiles.edge(state)
            self._root = state.root
        return self._edge

    def _checkpoint(self, before: LogState, growth: Growth, time_ms: int) -> LogState:
        if growth.edge.size == before.size:
            return before
        size, root = growth.edge.size, growth.root()
        envelope = self._settings.sign(size, root, time_ms, ())
        return LogState(size, root, time_ms, envelope, before.sealed)

    def _prove(self, index: int, checkpoint: SignedCheckpoint, *, duplicate: bool) -> Outcome:
        """Prove an entry from the tiles; a failure is this entry's alone.

        The log had it already, or another process published it within a larger tree.
        """
        try:
            return self._tiles.receipt(index, checkpoint)._replace(duplicate=duplicate)
        except Exception as error:  # noqa: BLE001 - the rest of the batch is committed
            return error


def frozen() -> RefusedError:
    """Say that the log takes no more entries."""
    return RefusedError("LOG_FROZEN", "the log is frozen: it takes no more entries")


class _NotTaken(Exception):  # noqa: N818 - not an error: how the rest of the batch begins again
    """Some submissions did not give a leaf, or the log takes none."""

    def __init__(self, failed: dict[bytes, Exception]) -> None:
        super().__init__()
        self.failed = failed


class _Batch:
    """The submissions of one transaction, and what becomes of them, by identity."""

    def __init__(self, take: Callable[[], Sequence[Submission]]) -> None:
        self._take = take
        self._submissions: Sequence[Submission] = ()
        self._unique: dict[bytes, Submission] | None = None
        self.outcomes: dict[bytes, Outcome] = {}

    def unique(self) -> dict[bytes, Submission]:
        """Give the first submission of each identity, taken when this is first asked for."""
        if self._unique is None:
            self._submissions, self._unique = self._take(), {}
            for submission in self._submissions:
                self._unique.setdefault(submission.identity, submission)
        return self._unique

    def leave_out(self, failed: Mapping[bytes, Exception]) -> None:
        """Go on without these."""
        self.outcomes |= failed
        self._unique = {each: one for each, one in self.unique().items() if each not in failed}

    def in_order(self) -> list[Outcome]:
        """Give each submission its outcome; but for the first of an identity it is a duplicate."""
        if len(self._submissions) == len(self.outcomes):
            return [self.outcomes[submission.identity] for submission in self._submissions]
        ordered: list[Outcome] = []
        seen = set()
        for submission in self._submissions:
            outcome = self.outcomes[submission.identity]
            if submission.identity in seen and isinstance(outcome, Receipt):
                outcome = outcome._replace(duplicate=True)
            seen.add(submission.identity)
            ordered.append(outcome)
        return ordered


def _build(
    unique: Mapping[bytes, Submission], new: Mapping[bytes, int], time_ms: int
) -> list[Leaf]:
    leaves, failed = [], {}
    for identity, index in new.items():
        try:
            leaves.append(unique[identity].build(index, time_ms))
        except Exception as error:  # noqa: BLE001 - its caller gets it, the batch goes on
            failed[identity] = error
    if failed:
        raise _NotTaken(failed)
    return leaves


def _segments(
    first: int, identities: list[bytes], leaves: list[Leaf], hashes: list[LeafHash], time_ms: int
) -> list[Segment]:
    """Cut the new entries where bundles end."""
    segments, start = [], 0
    while start < len(leaves):
        end = start + TILE_WIDTH - (first + start) % TILE_WIDTH
        segments.append(
            Segment(
                first + start,
                b"".join(leaf.record for leaf in leaves[start:end]),
                b"".join(hashes[start:end]),
                b"".join(encode_stamp(time_ms, identity) for identity in identities[start:end]),
            )
        )
        start = end
    return segments


def _changed_tiles(edge: Edge, growth: Growth) -> dict[tuple[int, int], bytes]:
    """Give the tiles above level 0 that grew; those at level 0 are in the segments."""
    changed = {(level, index): hashes for level, index, hashes in growth.full_tiles if level}
    for level, hashes in enumerate(growth.edge.tiles):
        if level and hashes and edge.size >> 8 * level != growth.edge.size >> 8 * level:
            changed[level, growth.edge.size >> 8 * (level + 1)] = hashes
    return changed
