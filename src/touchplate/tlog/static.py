"""The read side of the log as files: checkpoint, hash tiles, entry bundles (C2SP tlog-tiles)."""

from functools import partial
from typing import Final

from touchplate.errors import MalformedError
from touchplate.merkle.tile import parse_tile_index, parse_tile_level, tile_width
from touchplate.tlog.log import TransparencyLog
from touchplate.transport.asgi import Response
from touchplate.transport.content_coding import MIN_BYTES, VARY, accepts_gzip, gzip_encode

_TEXT: Final = "text/plain; charset=utf-8"
_BYTES: Final = "application/octet-stream"
_FRESH: Final = (("cache-control", "no-cache"),)
_FOR_EVER: Final = (("cache-control", "public, max-age=604800, immutable"),)
_GZIP: Final = ("content-encoding", "gzip")

ENTRIES: Final = "entries"

NO_TILE: Final = Response(404, b"not found\n", _TEXT, _FRESH)


def answer_checkpoint(log: TransparencyLog) -> Response:
    """Answer the newest checkpoint; every tile that it implies can be read."""
    envelope = log.tiles.checkpoint().envelope
    return Response(200, envelope.encode(), _TEXT, _FRESH)


def answer_tile(log: TransparencyLog, path: str, accept_encoding: str = "") -> Response:
    """Answer `L/N`, `L/N.p/W`, `entries/N` or `entries/N.p/W`; 404 if there is no such file.

    Entries are sent as gzip to a client that takes it. Hashes never are: they do not get shorter.
    """
    level, _, name = path.partition("/")
    try:
        data = _read(log, level, name)
    except MalformedError:
        return NO_TILE
    if data is None:
        return NO_TILE
    if level != ENTRIES:
        return Response(200, data, _BYTES, _FOR_EVER)
    headers = (*_FOR_EVER, VARY)
    if len(data) >= MIN_BYTES and accepts_gzip(accept_encoding):
        return Response(200, gzip_encode(data), _BYTES, (*headers, _GZIP))
    return Response(200, data, _BYTES, headers)


def _read(log: TransparencyLog, level: str, name: str) -> bytes | None:
    """Give the file; None if the checkpoint that is published does not imply it."""
    index, width = parse_tile_index(name)
    height = 0 if level == ENTRIES else parse_tile_level(level)
    if width > tile_width(height, index, log.tiles.checkpoint().size):
        return None
    read = log.tiles.read_entries if level == ENTRIES else partial(log.tiles.read_tile, height)
    return read(index, width)
