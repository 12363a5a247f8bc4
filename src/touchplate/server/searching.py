"""The search index of a deployment: opened over its trees, told of in /metrics and /readyz."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from touchplate.errors import TouchplateError
from touchplate.index import Index, Tree
from touchplate.index.answer import progress_members
from touchplate.storage.index import IndexDatabase
from touchplate.tlog import Shards, TransparencyLog


def open_index(
    opened: ExitStack, database: IndexDatabase, shards: Shards, now_ms: Callable[[], int]
) -> Index:
    """Open the index over all trees, oldest first; it ends with `opened`, and is not started."""
    opened.callback(database.close)
    index = Index(tuple(map(_tree, shards.oldest_first)), database, now_ms)
    opened.callback(index.close)
    return index


def follow_tree(index: Index, log: TransparencyLog) -> None:
    """Have the index follow a further tree."""
    index.add(_tree(log))


def _tree(log: TransparencyLog) -> Tree:
    return Tree(log.key.tree_id, log.tiles)


def index_figures(index: Index) -> Mapping[str, float]:
    """Give the gauges of the index."""
    figures: dict[str, float] = {}
    progress = index.progress()
    for each in progress:
        figures[f'touchplate_index_entries{{tree="{each.tree_id}"}}'] = each.indexed
    for each in progress:
        behind = each.size - each.indexed
        figures[f'touchplate_index_lag_entries{{tree="{each.tree_id}"}}'] = behind
    for each in progress:
        figures[f'touchplate_index_lag_seconds{{tree="{each.tree_id}"}}'] = each.behind_ms / 1000
    figures["touchplate_index_bytes"] = index.size()
    return figures


def index_details(index: Index) -> Mapping[str, Any]:
    """Give what /readyz tells of the index. That it lags is no failure: all else works."""
    try:
        return {"index": [progress_members(each) for each in index.progress()]}
    except TouchplateError as error:
        return {"index": error.code}
