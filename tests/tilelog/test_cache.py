from tests.tilelog.places import Place, fill
from touchplate.tilelog.cache import BundleCache, SealedBundle


def bundle(number: int, size: int = 900) -> SealedBundle:
    """Make a bundle that costs 1000 bytes and a little."""
    return SealedBundle((bytes([number]) * size,), b"s" * 40)


def test_kept() -> None:
    """What was put is there, also when it is put again."""
    cache = BundleCache(10_000)
    cache.put(1, bundle(1))
    cache.put(1, bundle(2))

    assert cache.get(1) == bundle(1)
    assert cache.get(2) is None


def test_bounded() -> None:
    """What was not used for longest makes room, however often one is put."""
    cache = BundleCache(3 * bundle(0).cost())
    for number in (1, 2, 3):
        cache.put(number, bundle(number))
    assert cache.get(1) is not None
    for _ in range(5):
        cache.put(4, bundle(4))

    assert [cache.get(number) is not None for number in (1, 2, 3, 4)] == [True, False, True, True]


def test_too_large() -> None:
    """A bundle above the bound is not kept, and costs nothing afterwards."""
    cache = BundleCache(3000)
    cache.put(1, bundle(1))
    cache.put(2, bundle(2, 5000))
    assert cache.get(2) is None
    for number in (3, 4):
        cache.put(number, bundle(number))

    assert cache.get(3) is not None
    assert cache.get(4) is not None


def test_read_once(place: Place) -> None:
    """An entry of a sealed bundle is read from memory when one of its neighbours was."""
    log = place.open()
    receipts = fill(log, 600)
    log.close()
    log = place.open()
    log.receipt(3)
    keys = ("log/tile/entries/000", "log/stamps/000")
    before = {key: place.objects.get(key) or b"" for key in keys}
    for key in keys:
        place.objects.replace(key, b"")
    records = [log.receipt(index).record for index in range(256)]
    for key in keys:
        place.objects.replace(key, before[key])

    assert records == [receipt.record for receipt in receipts[:256]]
