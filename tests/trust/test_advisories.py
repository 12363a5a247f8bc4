"""Mistakes that other TUF clients made, and published: each must fail here.

Those on names and rollback stand beside what they test, in `test_store`, `test_add`,
`test_refresh`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from securesystemslib.signer._crypto_signer import CryptoSigner
from securesystemslib.signer._key import Key
from tuf.api._payload import DelegatedRole, Delegations, MetaFile, Snapshot, Targets, Timestamp
from tuf.api.metadata import Metadata

from touchplate.errors import TouchplateError, VerificationError
from touchplate.trust.add import add_instance
from touchplate.trust.refresh import refresh
from touchplate.trust.store import Instance, TrustStore

if TYPE_CHECKING:
    from tests.trust.conftest import Repository

NOW = datetime(2030, 1, 1, tzinfo=UTC)
UNTIL = NOW + timedelta(days=7)


@pytest.fixture
def instance(repository: Repository, store: TrustStore) -> Instance:
    """Give the repository's instance, added."""
    return add_instance(
        store, repository, repository.url, fingerprint=repository.fingerprint, at=NOW
    )


def refused(instance: Instance, repository: Repository) -> str:
    """Give the code with which a refresh is refused; what was there before is untouched."""
    before = instance.trusted_root_bytes()
    with pytest.raises(TouchplateError) as caught:
        refresh(instance, repository, NOW)
    assert instance.trusted_root_bytes() == before
    return caught.value.code


@pytest.mark.parametrize("role", ["root", "timestamp", "snapshot", "targets"])
def test_cve_2026_23992_threshold_of_none(
    repository: Repository, instance: Instance, role: str
) -> None:
    """A role that needs no signature is no role, although the root that says so is signed."""
    members = json.loads(repository.files[f"{repository.url}/tuf/1.root.json"])
    members["signed"]["version"] = 2
    members["signed"]["roles"][role]["threshold"] = 0
    repository.put("2.root.json", json.dumps(members).encode())

    assert refused(instance, repository) == "TRUST_REFUSED"


def test_ghsa_3633_5h82_39pq_one_key_spelled_twice(
    repository: Repository, instance: Instance
) -> None:
    """White space in a key does not make it a second one."""
    old, key = repository.key, CryptoSigner.generate_ecdsa()
    repository.publish_root(key=key)
    path = f"{repository.url}/tuf/2.root.json"
    members = json.loads(repository.files[path])
    signed = members["signed"]
    ((name, first),) = signed["keys"].items()
    spelled = json.loads(json.dumps(first))
    spelled["keyval"]["public"] += "\n"
    signed["keys"]["another name"] = spelled
    signed["roles"]["targets"]["keyids"] = [name, "another name"]
    metadata: Metadata[Any] = Metadata.from_dict({"signed": signed, "signatures": []})
    metadata.sign(old)
    metadata.sign(key, append=True)
    repository.publish({"trusted_root.json": b"second"})
    repository.put("2.root.json", metadata.to_bytes())

    with pytest.raises(VerificationError, match="two names"):
        refresh(instance, repository, NOW)


def delegated(repository: Repository, signer: CryptoSigner, trusted: CryptoSigner) -> None:
    """Publish a trusted root that only a delegated role holds, signed by `signer`."""
    repository.publish({"trusted_root.json": b"delegated"})
    version = repository.version
    held = (
        Metadata[Targets]
        .from_bytes(repository.files[f"{repository.url}/tuf/{version}.targets.json"])
        .signed
    )
    role = DelegatedRole("below", [trusted.public_key.keyid], 1, True, paths=["*"])
    keys: dict[str, Key] = {trusted.public_key.keyid: trusted.public_key}
    top = Targets(version=version, expires=UNTIL, delegations=Delegations(keys, {"below": role}))
    meta = {"targets.json": MetaFile(version), "below.json": MetaFile(1)}
    snapshot = Snapshot(version=version, expires=UNTIL, meta=meta)
    for signed, by, name in (
        (top, repository.key, f"{version}.targets.json"),
        (Targets(version=1, expires=UNTIL, targets=held.targets), signer, "1.below.json"),
        (snapshot, repository.key, f"{version}.snapshot.json"),
        (Timestamp(version, None, UNTIL, MetaFile(version)), repository.key, "timestamp.json"),
    ):
        metadata: Metadata[Any] = Metadata(signed)
        metadata.sign(by)
        repository.put(name, metadata.to_bytes())


def test_cve_2024_47534_delegation_by_another(repository: Repository, instance: Instance) -> None:
    """What a delegated role says counts only under the keys that the delegation names."""
    trusted = CryptoSigner.generate_ed25519()
    for stranger in (CryptoSigner.generate_ed25519(), repository.key):
        delegated(repository, stranger, trusted)
        assert refused(instance, repository) == "TRUST_REFUSED"

    delegated(repository, trusted, trusted)
    refresh(instance, repository, NOW)
    assert instance.trusted_root_bytes() == b"delegated"


@pytest.mark.slow
@pytest.mark.parametrize("file", ["2.root.json", "timestamp.json", "2.snapshot.json"])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 10_000,
        b'{"signed":null,"signatures":null}',
        b'{"signed":{"_type":"root"},"signatures":[null]}',
        b'{"signed":{"_type":"timestamp","version":-1},"signatures":[]}',
        b'{"signed":{},"signatures":[{"keyid":"a","sig":1}]}',
    ],
)
def test_cve_2026_23991_odd_answer(
    repository: Repository, instance: Instance, file: str, data: bytes
) -> None:
    """Metadata that is none is refused with our own error."""
    repository.publish({"trusted_root.json": b"second"})
    repository.put(file, data)

    assert refused(instance, repository) == "TRUST_REFUSED"
