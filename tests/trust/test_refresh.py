from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.formats import encode_canonical
from securesystemslib.signer._crypto_signer import CryptoSigner
from securesystemslib.signer._key import Key
from tuf.api._payload import Root
from tuf.api.metadata import Metadata

from touchplate.errors import UnavailableError, VerificationError
from touchplate.trust.add import add_instance
from touchplate.trust.known import KNOWN
from touchplate.trust.refresh import refresh
from touchplate.trust.store import Instance, TrustStore

if TYPE_CHECKING:
    from tests.trust.conftest import Repository

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def instance(repository: Repository, store: TrustStore) -> Instance:
    """Give the repository's instance, added."""
    return add_instance(
        store, repository, repository.url, fingerprint=repository.fingerprint, at=NOW
    )


def test_new_targets(repository: Repository, instance: Instance) -> None:
    """A refresh brings what the repository publishes now."""
    repository.publish({"trusted_root.json": b"second", "signing_config.v0.2.json": b"{}"})
    refresh(instance, repository, NOW)
    assert instance.trusted_root_bytes() == b"second"


def test_nothing_new(repository: Repository, instance: Instance) -> None:
    """Without news a refresh asks for the next root and the timestamp only."""
    repository.asked.clear()
    refresh(instance, repository, NOW)
    assert repository.asked == [
        f"{repository.url}/tuf/2.root.json",
        f"{repository.url}/tuf/timestamp.json",
    ]


def test_withdrawn_signing_config(repository: Repository, instance: Instance) -> None:
    """A signing config that is published no more is used no more."""
    repository.publish({"trusted_root.json": b"second"})
    refresh(instance, repository, NOW)
    assert not Path(instance.folder, "targets", "signing_config.v0.2.json").exists()


def test_rotated_root(repository: Repository, instance: Instance) -> None:
    """A root signed by the old and the new key replaces the old one's keys."""
    repository.publish_root(key=CryptoSigner.generate_ed25519())
    repository.publish({"trusted_root.json": b"rotated"})
    refresh(instance, repository, NOW)
    assert instance.trusted_root_bytes() == b"rotated"


def test_root_by_a_stranger(repository: Repository, instance: Instance) -> None:
    """A root that the old keys did not sign is refused, and what was cached stays."""
    repository.key = CryptoSigner.generate_ed25519()
    repository.publish_root()
    repository.publish({"trusted_root.json": b"evil"})

    with pytest.raises(VerificationError) as caught:
        refresh(instance, repository, NOW)

    assert caught.value.code == "TRUST_REFUSED"
    assert instance.trusted_root_bytes() == b'{"trusted": "root 1"}'


def test_cve_2022_29173_rollback(repository: Repository, instance: Instance) -> None:
    """An older timestamp, correctly signed, is refused after a newer one was seen."""
    old = dict(repository.files)
    repository.publish({"trusted_root.json": b"second"})
    refresh(instance, repository, NOW)
    repository.files = old

    with pytest.raises(VerificationError) as caught:
        refresh(instance, repository, NOW)

    assert caught.value.code == "TRUST_REFUSED"
    assert instance.trusted_root_bytes() == b"second"


def test_freeze(repository: Repository, instance: Instance) -> None:
    """A timestamp past its expiry is refused, so that nobody can hold a client in the past."""
    with pytest.raises(VerificationError, match="expired"):
        refresh(instance, repository, NOW + timedelta(days=8))


def test_expired_intermediate_root(repository: Repository, instance: Instance) -> None:
    """An expired root on the way to a current one does not stop the update."""
    repository.publish_root(until=NOW - timedelta(days=1))
    repository.publish_root()
    repository.publish({"trusted_root.json": b"third"})
    refresh(instance, repository, NOW)
    assert instance.trusted_root_bytes() == b"third"


def test_changed_target(repository: Repository, instance: Instance) -> None:
    """A target with other bytes than the signed digest is refused and not written."""
    repository.publish({"trusted_root.json": b"second"})
    name = next(name for name in repository.files if repository.files[name] == b"second")
    repository.files[name] = b"secomd"

    with pytest.raises(VerificationError):
        refresh(instance, repository, NOW)
    assert instance.trusted_root_bytes() == b'{"trusted": "root 1"}'


def test_endless_target(repository: Repository, instance: Instance) -> None:
    """A target longer than signed is cut off by the transport's limit."""
    repository.publish({"trusted_root.json": b"second"})
    name = next(name for name in repository.files if repository.files[name] == b"second")
    repository.files[name] = b"second and more"

    with pytest.raises(Exception, match="large") as caught:
        refresh(instance, repository, NOW)
    assert getattr(caught.value, "code", None) == "LIMIT_EXCEEDED"


def test_missing_trusted_root(repository: Repository, instance: Instance) -> None:
    """A repository without trusted_root.json is no instance."""
    repository.publish({"other.json": b"{}"})
    with pytest.raises(VerificationError):
        refresh(instance, repository, NOW)


def test_away(repository: Repository, instance: Instance) -> None:
    """No answer is an error, never a silent use of the cache."""
    repository.away = True
    with pytest.raises(UnavailableError):
        refresh(instance, repository, NOW)


def test_missing_timestamp(repository: Repository, instance: Instance) -> None:
    """A repository with a file missing is unavailable."""
    del repository.files[f"{repository.url}/tuf/timestamp.json"]
    with pytest.raises(UnavailableError):
        refresh(instance, repository, NOW)


def test_tampered_pin(repository: Repository, instance: Instance) -> None:
    """A pinned root that was changed on disk is noticed."""
    path = Path(instance.folder, "pinned.root.json")
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(VerificationError) as caught:
        refresh(instance, repository, NOW)
    assert caught.value.code == "TRUST_REFUSED"


def test_ghsa_3633_5h82_39pq_one_key_twice(repository: Repository, instance: Instance) -> None:
    """One key under two names does not count as two."""
    path = f"{repository.url}/tuf/1.root.json"
    root = Root.from_dict(json.loads(repository.files[path])["signed"])
    root.version, repository.root_version = 2, 2
    other = Key.from_dict("another name", repository.key.public_key.to_dict())
    root.add_key(other, "targets")
    metadata = Metadata(root)
    metadata.sign(repository.key)
    repository.put("2.root.json", metadata.to_bytes())

    with pytest.raises(VerificationError, match="two names") as caught:
        refresh(instance, repository, NOW)
    assert caught.value.code == "TRUST_REFUSED"


def test_no_scratch_left(repository: Repository, instance: Instance) -> None:
    """Files of ours only are in the instance's folder, and others cannot read them."""
    repository.publish({"trusted_root.json": b"second"})
    refresh(instance, repository, NOW)

    names = {path.name for path in Path(instance.folder).iterdir()}
    assert names == {"instance.json", "pinned.root.json", "metadata", "targets", "lock"}
    assert Path(instance.folder).stat().st_mode & 0o777 == 0o700


# Roots 5 to 8 use an old name of the key type; as an error the notice would void the signatures.
@pytest.mark.filterwarnings("ignore:.*ecdsa")
def test_real_chain(conformance: Path, repository: Repository, tmp_path: Path) -> None:
    """The TUF client walks the public instance's real roots from 5, its modern form, to 15."""
    metadata = conformance / "tuf-sigstore.dev" / "metadata"
    known = KNOWN["sigstore.dev"]
    for path in metadata.iterdir():
        repository.files[f"{known.tuf_url}/{path.name}"] = path.read_bytes()
    fifth = (metadata / "5.root.json").read_bytes()
    (tmp_path / "pinned.root.json").write_bytes(fifth)
    digest = hashlib.sha256(fifth).hexdigest()
    instance = Instance("sigstore.dev", known.tuf_url, known.tuf_url, digest, str(tmp_path))

    # Root 15 is valid on that day, and the first file after the roots is missing here.
    with pytest.raises(UnavailableError, match=r"timestamp\.json"):
        refresh(instance, repository, datetime(2026, 11, 1, tzinfo=UTC))

    cached = (tmp_path / "metadata" / "root.json").read_bytes()
    assert hashlib.sha256(cached).hexdigest() == known.fingerprint


def test_real_chain_from_the_first(conformance: Path) -> None:
    """Each real root from 2 to 15 is signed by a threshold of the one before and of itself."""
    metadata = conformance / "tuf-sigstore.dev" / "metadata"
    roots = [json.loads((metadata / f"{n}.root.json").read_bytes()) for n in range(1, 16)]

    for older, newer in pairwise(roots):
        assert newer["signed"]["version"] == older["signed"]["version"] + 1
        for judge in (older, newer):
            assert count_signers(newer, judge) >= judge["signed"]["roles"]["root"]["threshold"]


def count_signers(metadata: dict[str, Any], judge: dict[str, Any]) -> int:
    """Count the distinct root keys of `judge` with a valid signature on `metadata`."""
    text = encode_canonical(metadata["signed"])
    assert text is not None
    signed = text.encode()
    keys = judge["signed"]["keys"]
    good = set()
    for signature in metadata["signatures"]:
        if signature["keyid"] not in judge["signed"]["roles"]["root"]["keyids"]:
            continue
        key = load_key(keys[signature["keyid"]]["keyval"]["public"])
        try:
            key.verify(bytes.fromhex(signature["sig"]), signed, ec.ECDSA(SHA256()))
        except InvalidSignature:
            continue
        good.add(key.public_numbers())
    return len(good)


def load_key(public: str) -> ec.EllipticCurvePublicKey:
    """Read a key as PEM, or as the uncompressed point in hex that roots 1 to 4 hold."""
    if public.startswith("-----"):
        key = load_pem_public_key(public.encode())
        assert isinstance(key, ec.EllipticCurvePublicKey)
        return key
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), bytes.fromhex(public))
