"""Bundles to verify: made by a deployment in memory, and the conformance suite's where it is there.

`write_case` writes one bundle with all that a command needs beside it. `batches` gives sets of
bundles for verification in process, each with its crypto floor recorded from a real verification.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final
from unittest import mock

from cryptography.x509 import load_der_x509_certificate
from sigstore.models import Bundle as PeerBundle
from sigstore.models import TrustedRoot as PeerTrustedRoot
from sigstore.verify import Verifier as PeerVerifier
from sigstore.verify.policy import Identity as PeerIdentity

from touchplate.formats.bundle import Bundle, CertificateMaterial, encode_bundle, parse_bundle
from touchplate.formats.signing_config import ClientTrustConfig, encode_client_trust_config
from touchplate.formats.trusted_root import encode_trusted_root, parse_trusted_root
from touchplate.keys import public
from touchplate.testing.world import EMAIL, World
from touchplate.verify import Artifact, Verifier, policy

DISTINCT: Final = 1000
"""Bundles of one instance; each has its own key, certificate and log entry."""

_PUBLIC_IDENTITY: Final = (
    "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/"
    ".github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main"
)
_PUBLIC_ISSUER: Final = "https://token.actions.githubusercontent.com"
_PUBLIC_ROOT: Final = "trusted_root.production.json"


@dataclass(frozen=True, slots=True)
class Written:
    """One bundle on disk, for commands."""

    artifact: Path
    bundle: Path
    trusted_root: Path
    trust_config: Path
    identity: str
    issuer: str


def write_case(folder: Path, tlog_version: int) -> Written:
    """Sign one artifact in a deployment of its own and write all that verifies it."""
    artifact, bundle = folder / "artifact", folder / "bundle.json"
    root, trust_config = folder / "root.json", folder / "config.json"
    # sigstore-python refuses a future time, so this world begins today.
    with World(datetime.now(UTC).replace(microsecond=0)) as world:
        artifact.write_bytes(b"artifact")
        bundle.write_bytes(encode_bundle(world.sign(b"artifact", tlog_version=tlog_version)))
        root.write_bytes(encode_trusted_root(world.trusted_root))
        config = ClientTrustConfig(world.trusted_root, world.signing_config)
        trust_config.write_bytes(encode_client_trust_config(config))
        return Written(artifact, bundle, root, trust_config, EMAIL, world.issuer)


@dataclass(frozen=True, slots=True)
class Case:
    """One bundle in memory with the artifact's bytes, and the verifications that it needs."""

    encoded: bytes
    content: bytes
    leaf: bytes
    signatures: tuple[tuple[Any, tuple[Any, ...]], ...]
    """A key of `cryptography` and the arguments of its `verify`, for each signature."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Bundles that one trusted root and one policy verify."""

    name: str
    cases: tuple[Case, ...]
    verifier: Verifier
    policy: policy.Policy
    peer: PeerVerifier
    peer_policy: PeerIdentity

    def replay_floor(self) -> None:
        """Load each certificate with its key, and do its signature verifications; nothing else."""
        for case in self.cases:
            load_der_x509_certificate(case.leaf).public_key()
            for key, arguments in case.signatures:
                key.verify(*arguments)

    def verify_ours(self) -> None:
        """Parse and verify each bundle."""
        for case in self.cases:
            bundle = parse_bundle(case.encoded)
            self.verifier.verify(bundle, Artifact.from_bytes(case.content), self.policy)

    def verify_peer(self) -> None:
        """Parse and verify each bundle with sigstore-python."""
        for case in self.cases:
            bundle = PeerBundle.from_json(case.encoded)
            self.peer.verify_artifact(case.content, bundle, self.peer_policy)

    def halves(self) -> tuple["Batch", "Batch"]:
        """Split the bundles between two threads."""
        return replace(self, cases=self.cases[::2]), replace(self, cases=self.cases[1::2])


def batches() -> Iterator[Batch]:
    """Give the sets of bundles that the benchmark compares."""
    for tlog_version, label in ((1, "one instance, v1 log"), (2, "one instance, v2 log + TSA")):
        with World(datetime.now(UTC).replace(microsecond=0)) as world:
            contents = [b"artifact %d" % number for number in range(DISTINCT)]
            encoded = [
                encode_bundle(world.sign(content, tlog_version=tlog_version))
                for content in contents
            ]
            root = encode_trusted_root(world.trusted_root)
            yield _batch(label, encoded, contents, root, EMAIL, world.issuer)
    yield from _public_batches()


def _public_batches() -> Iterator[Batch]:
    """Give the public instance's bundles of the conformance suite, if it is there."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "conformance"
    suite = Path(os.environ.get("TOUCHPLATE_CONFORMANCE", beside))
    cases = {
        "public instance, v1 log": (
            ("happy-path-v0.1", "happy-path-v0.2", "happy-path-v0.3"),
            suite / _PUBLIC_ROOT,
        ),
        "staging instance, v2 log + TSA": (
            ("rekor2-happy-path", "rekor2-checkpoint-cosigned"),
            suite / "bundle-verify" / "rekor2-happy-path" / "trusted_root.json",
        ),
    }
    for label, (folders, root) in cases.items():
        if not root.exists():
            print(f"{label}: left out, {suite} is not there")
            continue
        encoded = [
            (suite / "bundle-verify" / folder / "bundle.sigstore.json").read_bytes()
            for folder in folders
        ]
        contents = [(suite / "a.txt").read_bytes()] * len(encoded)
        repeats = 120 // len(encoded)
        yield _batch(
            label,
            encoded * repeats,
            contents * repeats,
            root.read_bytes(),
            _PUBLIC_IDENTITY,
            _PUBLIC_ISSUER,
        )


def _batch(
    name: str, encoded: list[bytes], contents: list[bytes], root: bytes, identity: str, issuer: str
) -> Batch:
    ours = policy.identity(identity, issuer)
    cases = _record(encoded, contents, root, ours)
    return Batch(
        name,
        cases,
        Verifier(parse_trusted_root(root)),
        ours,
        PeerVerifier(trusted_root=_peer_root(root)),
        PeerIdentity(identity=identity, issuer=issuer),
    )


class _Recorder:
    """Stands for a key of `cryptography` and notes each verification before it does it."""

    def __init__(self, crypto: Any, taken: list[tuple[Any, tuple[Any, ...]]]) -> None:  # noqa: ANN401
        self._crypto = crypto
        self._taken = taken

    def verify(self, *arguments: Any) -> None:  # noqa: ANN401 - whatever the key takes
        self._taken.append((self._crypto, arguments))
        self._crypto.verify(*arguments)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - all else is the key's own
        return getattr(self._crypto, name)


def _record(
    encoded: list[bytes], contents: list[bytes], root: bytes, ours: policy.Policy
) -> tuple[Case, ...]:
    """Verify each bundle once with keys that note what they verify.

    A verifier that is warm has proven the authorities' own chains, so those are not in the floor.
    """
    taken: list[tuple[Any, tuple[Any, ...]]] = []
    build = public._build  # noqa: SLF001 - the one place where keys are made

    def recording(der: bytes, kind: str, crypto: Any) -> public.PublicKey:  # noqa: ANN401
        return build(der, kind, _Recorder(crypto, taken))

    cases = []
    with mock.patch.object(public, "_build", recording):
        verifier = Verifier(parse_trusted_root(root))
        warm = parse_bundle(encoded[0])
        verifier.verify(warm, Artifact.from_bytes(contents[0]), ours)
        for data, content in zip(encoded, contents, strict=True):
            taken.clear()
            bundle = parse_bundle(data)
            verifier.verify(bundle, Artifact.from_bytes(content), ours)
            cases.append(Case(data, content, _leaf(bundle), tuple(taken)))
    return tuple(cases)


def _leaf(bundle: Bundle) -> bytes:
    assert isinstance(bundle.material, CertificateMaterial)
    return bundle.material.leaf.der


def _peer_root(root: bytes) -> PeerTrustedRoot:
    """Give sigstore-python its trusted root; it only reads files."""
    with NamedTemporaryFile(suffix=".json") as file:
        file.write(root)
        file.flush()
        return PeerTrustedRoot.from_file(file.name)
