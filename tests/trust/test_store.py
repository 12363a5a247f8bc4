from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import MalformedError, SettingsError
from touchplate.trust.store import Instance, TrustStore, check_name, encode_instance, name_of


def keep(store: TrustStore, name: str, url: str) -> Instance:
    """Write an instance as `add` does, without fetching."""
    folder = Path(store.folder, name)
    (folder / "targets").mkdir(parents=True)
    instance = Instance(name, url, url + "/tuf", "ab" * 32, str(folder))
    (folder / "instance.json").write_bytes(encode_instance(instance))
    return instance


def test_round_trip(store: TrustStore) -> None:
    """What was written is read again, by name, by URL with or without slash, by repository."""
    instance = keep(store, "ours", "https://sigstore.example.test")

    for wanted in ("ours", instance.url, instance.url + "/", instance.tuf_url):
        assert store.get(wanted) == instance
    assert store.instances() == (instance,)


def test_none(store: TrustStore) -> None:
    """Nobody is trusted from the start, and the text says how to begin."""
    assert store.instances() == ()
    with pytest.raises(SettingsError) as caught:
        store.only()
    assert caught.value.code == "TRUST_UNKNOWN"
    assert "trust add" in (caught.value.hint or "")


def test_several(store: TrustStore) -> None:
    """With several instances none is the silent default."""
    keep(store, "one", "https://one.example.test")
    keep(store, "two", "https://two.example.test")
    with pytest.raises(SettingsError, match="one, two"):
        store.only()


def test_unknown(store: TrustStore) -> None:
    """An instance that was never added is unknown, whatever it looks like."""
    for wanted in ("other", "https://other.example.test", "../..", "", "/etc/passwd"):
        with pytest.raises(SettingsError) as caught:
            store.get(wanted)
        assert caught.value.code == "TRUST_UNKNOWN"


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"{}", b'{"url":1,"tuf_url":"","fingerprint":""}', b"[" * 10_000]
)
def test_damaged(store: TrustStore, data: bytes) -> None:
    """A damaged file is a settings error that names it."""
    instance = keep(store, "ours", "https://sigstore.example.test")
    Path(instance.folder, "instance.json").write_bytes(data)
    with pytest.raises(SettingsError, match=r"instance\.json"):
        store.get("ours")


def test_not_fetched(store: TrustStore) -> None:
    """An instance without a trusted root says so."""
    instance = keep(store, "ours", "https://sigstore.example.test")
    with pytest.raises(SettingsError) as caught:
        instance.trusted_root_bytes()
    assert caught.value.code == "TRUST_UNKNOWN"


def test_oversized(store: TrustStore) -> None:
    """A file above the limit is not read whole."""
    instance = keep(store, "ours", "https://sigstore.example.test")
    Path(instance.folder, "targets", "trusted_root.json").write_bytes(b"x" * 5_000_001)
    with pytest.raises(MalformedError) as caught:
        instance.trusted_root_bytes()
    assert caught.value.code == "LIMIT_EXCEEDED"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://sigstore.example.test", "sigstore.example.test"),
        ("http://127.0.0.1:8080", "127.0.0.1-8080"),
        ("https://Example.Test/a/b", "example.test-a-b"),
        ("https://example.test/../../etc", "example.test-.-.-etc"),
    ],
)
def test_name_of(url: str, name: str) -> None:
    """The name is the host, the port and the path, and no path itself."""
    assert name_of(url) == name


@given(st.text())
def test_cve_2026_24137_no_traversal(text: str) -> None:
    """Whatever the URL, its name is one component inside the folder, or is refused."""
    try:
        name = name_of("https://" + text)
    except SettingsError:
        return
    check_name(name)
    assert Path("/store", name).resolve().parent == Path("/store")
