from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from touchplate.errors import (
    MalformedError,
    RefusedError,
    SettingsError,
    UnavailableError,
    VerificationError,
)
from touchplate.trust.add import add_instance, parse_fingerprint, remove_instance
from touchplate.trust.known import KNOWN
from touchplate.trust.store import TrustStore

if TYPE_CHECKING:
    from tests.trust.conftest import Repository

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def left_in(store: TrustStore) -> list[Path]:
    """List what an attempt left behind."""
    folder = Path(store.folder)
    return sorted(folder.iterdir()) if folder.exists() else []


def test_add(repository: Repository, store: TrustStore) -> None:
    """With the right fingerprint the instance is pinned and both its files are there, offline."""
    url = repository.url + "/"
    add_instance(store, repository, url, fingerprint=repository.fingerprint, at=NOW)

    instance = store.only()
    assert instance.name == "sigstore.example.test"
    assert instance.url == "https://sigstore.example.test"
    assert instance.tuf_url == "https://sigstore.example.test/tuf"
    assert instance.trusted_root_bytes() == b'{"trusted": "root 1"}'
    assert left_in(store) == [Path(instance.folder)]


def test_wrong_fingerprint(repository: Repository, store: TrustStore) -> None:
    """Another root than the pinned one is refused, both digests are named, nothing is kept."""
    with pytest.raises(VerificationError) as caught:
        add_instance(store, repository, repository.url, fingerprint="0" * 64, at=NOW)

    assert caught.value.code == "TRUST_REFUSED"
    assert caught.value.found == f"sha256:{repository.fingerprint} (1.root.json)"
    assert left_in(store) == []


def test_later_root(repository: Repository, store: TrustStore) -> None:
    """Any version of the root may be pinned, and what came before it is not asked."""
    repository.publish_root()
    second = repository.files[f"{repository.url}/tuf/2.root.json"]

    add_instance(
        store,
        repository,
        repository.url,
        fingerprint=hashlib.sha256(second).hexdigest(),
        at=NOW,
    )

    assert Path(store.only().folder, "pinned.root.json").read_bytes() == second


def test_repository_url(repository: Repository, store: TrustStore) -> None:
    """The URL of a TUF repository itself is taken too."""
    url = repository.url + "/tuf"
    add_instance(store, repository, url, fingerprint=repository.fingerprint, at=NOW, name="ours")

    assert store.get("ours").tuf_url == url


def test_no_repository(repository: Repository, store: TrustStore) -> None:
    """A server without a repository is told apart from a wrong fingerprint."""
    with pytest.raises(RefusedError) as caught:
        add_instance(store, repository, "https://example.test", fingerprint="0" * 64, at=NOW)
    assert caught.value.code == "NOT_FOUND"


def test_fallback_page(repository: Repository, store: TrustStore) -> None:
    """A server that answers every path with one page is not asked 256 times."""
    for version in range(1, 100):
        repository.put(f"{version}.root.json", b"<html>")

    with pytest.raises(VerificationError):
        add_instance(store, repository, repository.url, fingerprint="0" * 64, at=NOW)
    assert len(repository.asked) == 2


def test_fingerprint_needed(repository: Repository, store: TrustStore) -> None:
    """An instance that is not known is never trusted on first sight."""
    with pytest.raises(SettingsError) as caught:
        add_instance(store, repository, repository.url, fingerprint=None, at=NOW)
    assert caught.value.code == "USAGE"
    assert repository.asked == []


def test_unsigned_targets(repository: Repository, store: TrustStore) -> None:
    """A pinned root whose repository does not verify is not trusted at all."""
    fingerprint = repository.fingerprint
    repository.put("timestamp.json", b"{}")

    with pytest.raises(VerificationError) as caught:
        add_instance(store, repository, repository.url, fingerprint=fingerprint, at=NOW)

    assert caught.value.code == "TRUST_REFUSED"
    assert left_in(store) == []


@pytest.mark.slow
def test_away(repository: Repository, store: TrustStore) -> None:
    """An instance that does not answer is unavailable, not refused."""
    fingerprint = repository.fingerprint
    repository.away = True

    with pytest.raises(UnavailableError):
        add_instance(store, repository, repository.url, fingerprint=fingerprint, at=NOW)


def test_add_again(repository: Repository, store: TrustStore) -> None:
    """Adding the same instance again refreshes it."""
    for number in (1, 2):
        repository.publish({"trusted_root.json": b"%d" % number})
        add_instance(store, repository, repository.url, fingerprint=repository.fingerprint, at=NOW)
        assert store.only().trusted_root_bytes() == b"%d" % number


def test_name_taken(repository: Repository, store: TrustStore) -> None:
    """A name never changes its meaning: another root under a name that is taken is refused."""
    fingerprint = repository.fingerprint
    add_instance(store, repository, repository.url, fingerprint=fingerprint, at=NOW)
    repository.publish_root()
    second = hashlib.sha256(repository.files[f"{repository.url}/tuf/2.root.json"]).hexdigest()

    with pytest.raises(SettingsError):
        add_instance(store, repository, repository.url, fingerprint=second, at=NOW)

    assert store.only().fingerprint == fingerprint


@pytest.mark.parametrize("name", ["../evil", "a/b", "..", ".", "", "a..b", "/etc", "A", "x" * 101])
def test_cve_2026_24686_name_is_no_path(
    repository: Repository, store: TrustStore, name: str
) -> None:
    """A name that could leave the folder is refused before anything is written."""
    with pytest.raises(SettingsError):
        add_instance(
            store,
            repository,
            repository.url,
            fingerprint=repository.fingerprint,
            at=NOW,
            name=name or ".",
        )
    assert left_in(store) == []


def test_remove(repository: Repository, store: TrustStore) -> None:
    """What is removed is not trusted any more and leaves no file."""
    add_instance(store, repository, repository.url, fingerprint=repository.fingerprint, at=NOW)

    remove_instance(store, "sigstore.example.test")

    assert left_in(store) == []
    with pytest.raises(SettingsError):
        remove_instance(store, "sigstore.example.test")


@pytest.mark.parametrize("prefix", ["", "sha256:", "SHA256:"])
def test_fingerprint_forms(prefix: str) -> None:
    """Upper case, a prefix and colons mean the same."""
    assert parse_fingerprint(f" {prefix}{'AB' * 32}\n") == "ab" * 32
    assert parse_fingerprint(prefix + ":".join(["Ab"] * 32)) == "ab" * 32


@pytest.mark.parametrize("text", ["", "ab", "g" * 64, "ab" * 33, "sha512:" + "ab" * 32])
def test_fingerprint_malformed(text: str) -> None:
    """Anything else than 64 hex digits is no fingerprint."""
    with pytest.raises(MalformedError) as caught:
        parse_fingerprint(text)
    assert caught.value.code == "DIGEST_MALFORMED"


def test_known_roots(conformance: Path) -> None:
    """The digest that we ship for the public instance is that of its real root."""
    metadata = conformance / "tuf-sigstore.dev" / "metadata"
    known = KNOWN["sigstore.dev"]
    real = (metadata / f"{known.root_version}.root.json").read_bytes()

    assert hashlib.sha256(real).hexdigest() == known.fingerprint


def test_known_instance(conformance: Path, repository: Repository, store: TrustStore) -> None:
    """`sigstore.dev` needs no fingerprint; its real root is found and, once expired, refused."""
    base = KNOWN["sigstore.dev"].tuf_url
    for path in (conformance / "tuf-sigstore.dev" / "metadata").iterdir():
        repository.files[f"{base}/{path.name}"] = path.read_bytes()

    repository.files[f"{base}/timestamp.json"] = b"{}"

    with pytest.raises(VerificationError, match="expired"):
        add_instance(
            store, repository, "sigstore.dev", fingerprint=None, at=NOW + timedelta(days=1)
        )
    assert f"{base}/16.root.json" in repository.asked
    assert not any("example.test" in url for url in repository.asked)
