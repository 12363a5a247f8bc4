"""A bounded cache of sealed entry bundles, so that reading an entry does not read 255 others."""

from collections import OrderedDict
from threading import Lock
from typing import Final, NamedTuple

MAX_BYTES: Final = 16 << 20  # of records and stamps, all bundles together
_RECORD_COST: Final = 64  # bytes of memory that a record takes beside its own


class SealedBundle(NamedTuple):
    """A full entry bundle, split, and the stamps of its entries. It never changes."""

    records: tuple[bytes, ...]
    stamps: bytes

    def cost(self) -> int:
        """Give about how many bytes of memory it takes."""
        records = sum(map(len, self.records)) + _RECORD_COST * len(self.records)
        return records + len(self.stamps)


class BundleCache:
    """Keeps the bundles that were used last. Any thread may use it."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._lock = Lock()  # of everything below
        self._bundles: OrderedDict[int, SealedBundle] = OrderedDict()
        self._bytes = 0

    def get(self, index: int) -> SealedBundle | None:
        """Give the bundle, if it is here."""
        with self._lock:
            bundle = self._bundles.get(index)
            if bundle is not None:
                self._bundles.move_to_end(index)
            return bundle

    def put(self, index: int, bundle: SealedBundle) -> None:
        """Keep the bundle, and let go of those that were not used for longest."""
        with self._lock:
            if index in self._bundles:
                return
            self._bundles[index] = bundle
            self._bytes += bundle.cost()
            while self._bytes > self._max_bytes:
                _, old = self._bundles.popitem(last=False)
                self._bytes -= old.cost()
