"""The read side of the log as files: checkpoint, hash tiles, entry bundles (C2SP tlog-tiles)."""

from functools import partial
from typing import Final

from touchplate.errors import MalformedError
from touchplate.merkle.tile import parse_tile_index, parse_tile_level, tile_width
from touchplate.tlog.log import TransparencyLog
from touchplate.transport.asgi import Response

_TEXT: Final = "text/plain; charset=utf-8"
_FRESH: Final = (("cache-control", "no-cache"),)
_FOR_EVER: Final = (("cache-control", "public, max-age=604800, immutable"),)


def answer_checkpoint(log: TransparencyLog) -> Response:
    """Answer the newest checkpoint; every tile that it implies can be read."""
    envelope = log.tiles.checkpoint().envelope
    return Response(200, envelope.encode(), _TEXT, _FRESH)


def answer_tile(log: TransparencyLog, path: str) -> Response:
    """Answer `L/N`, `L/N.p/W`, `entries/N` or `entries/N.p/W`; 404 if there is no such file."""
    level, _, name = path.partition("/")
    data = None
    try:
        index, width = parse_tile_index(name)
        of_entries = level == "entries"
        height = 0 if of_entries else parse_tile_level(level)
        if width <= tile_width(height, index, log.tiles.checkpoint().size):
            read = log.tiles.read_entries if of_entries else partial(log.tiles.read_tile, height)
            data = read(index, width)
    except MalformedError:
        pass
    if data is None:
        return Response(404, b"not found\n", _TEXT, _FRESH)
    return Response(200, data, "application/octet-stream", _FOR_EVER)
