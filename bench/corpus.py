"""Bundles to verify: made by a deployment in memory, and the conformance suite's where it is there.

`write_case` writes one bundle with all that a command needs beside it. `batches` gives sets of
bundles for verification in process, each with its crypto floor recorded from a real verification.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final
from unittest import mock

from cryptography.x509 import load_der_x509_certificate
from sigstore.errors import Error as PeerError
from sigstore.models import Bundle as PeerBundle
from sigstore.models import TrustedRoot as PeerTrustedRoot
from sigstore.verify import Verifier as PeerVerifier
from sigstore.verify.policy import Identity as PeerIdentity

from touchplate.formats.bundle import CertificateMaterial, encode_bundle, parse_bundle
from touchplate.formats.signing_config import ClientTrustConfig, encode_client_trust_config
from touchplate.formats.trusted_root import encode_trusted_root, parse_trusted_root
from touchplate.keys import public
from touchplate.testing.world import EMAIL, World
from touchplate.verify import Artifact, Verifier, policy
from touchplate.verify.trust import MAX_CHECKPOINTS

DISTINCT: Final = MAX_CHECKPOINTS + 44
"""Bundles of one instance; each has its own key, certificate and log entry. There are more than a
verifier remembers checkpoints, so that it opens each anew in every round."""

_PUBLIC_IDENTITY: Final = (
    "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/"
    ".github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main"
)
_PUBLIC_ISSUER: Final = "https://token.actions.githubusercontent.com"
_PUBLIC_ROOT: Final = "trusted_root.production.json"
_CONFORMANCE_CASES: Final = 120


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


Signatures = tuple[tuple[Any, tuple[Any, ...]], ...]
"""A key of `cryptography` and the arguments of its `verify`, for each signature."""


@dataclass(frozen=True, slots=True)
class Case:
    """One bundle in memory with what verifies it, and the signatures that this takes."""

    encoded: bytes
    content: bytes
    verifier: Verifier
    policy: policy.Policy
    peer: PeerVerifier
    peer_policy: PeerIdentity
    leaf: bytes
    record: Callable[[], Signatures]
    """Verify the bundle with keys that note what they verify."""
    signatures: Signatures = ()
    own: int = -1
    """Which of them is by the certificate's own key."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Bundles to verify one after the other."""

    name: str
    cases: tuple[Case, ...]

    def replay_signatures(self) -> None:
        """Do the signature verifications of the floor alone: nearly all of it without the lock."""
        for case in self.cases:
            for key, arguments in case.signatures:
                key.verify(*arguments)

    def replay_floor(self) -> None:
        """Load each certificate with its key, and do its signature verifications; nothing else.

        The key that was loaded verifies its own, as in any verifier: a key's first one takes a
        tenth longer than its next.
        """
        for case in self.cases:
            own: Any = load_der_x509_certificate(case.leaf).public_key()
            for number, (key, arguments) in enumerate(case.signatures):
                (own if number == case.own else key).verify(*arguments)

    def verify_ours(self) -> None:
        """Parse and verify each bundle."""
        for case in self.cases:
            bundle = parse_bundle(case.encoded)
            case.verifier.verify(bundle, Artifact.from_bytes(case.content), case.policy)

    def verify_peer(self) -> None:
        """Parse and verify each bundle with sigstore-python."""
        for case in self.cases:
            bundle = PeerBundle.from_json(case.encoded)
            if bundle._dsse_envelope is None:  # noqa: SLF001 - it has no public name
                case.peer.verify_artifact(case.content, bundle, case.peer_policy)
            else:
                case.peer.verify_dsse(bundle, case.peer_policy)

    def halves(self) -> tuple["Batch", "Batch"]:
        """Split the bundles between two threads."""
        return replace(self, cases=self.cases[::2]), replace(self, cases=self.cases[1::2])


def batches() -> Iterator[Batch]:
    """Give the sets of bundles that the benchmark compares."""
    for ca_key, kind in (("ecdsa-p256", "P-256"), ("ecdsa-p384", "P-384")):
        for tlog_version, logs in ((1, "v1 log"), (2, "v2 log + TSA")):
            with World(datetime.now(UTC).replace(microsecond=0), ca_key=ca_key) as world:
                root = encode_trusted_root(world.trusted_root)
                maker = _CaseMaker(root, EMAIL, world.issuer)
                contents = [b"artifact %d" % number for number in range(DISTINCT)]
                yield _batch(
                    f"one instance, {kind} CA, {logs}",
                    [
                        maker.make(encode_bundle(world.sign(each, tlog_version=tlog_version)), each)
                        for each in contents
                    ],
                )
    yield from _conformance_batches()


def _batch(name: str, cases: list[Case]) -> Batch:
    """Record the signatures of each case, in the second pass over all of them.

    By then the verifier is as warm as in a round of the benchmark: it has proven the authorities'
    own chains, and it remembers the checkpoints that it still remembers when a round is over.
    """
    for case in cases:
        case.record()
    return Batch(name, tuple(_recorded(case) for case in cases))


def _recorded(case: Case) -> Case:
    signatures = case.record()
    own = load_der_x509_certificate(case.leaf).public_key()
    [number] = [number for number, (key, _) in enumerate(signatures) if key == own]
    return replace(case, signatures=signatures, own=number)


def _conformance_batches() -> Iterator[Batch]:
    """Give the positive cases of the conformance suite that have a certificate, if it is there.

    Those that sigstore-python does not verify are left out, and named.
    """
    beside = Path(__file__).resolve().parents[2] / "shared" / "conformance"
    suite = Path(os.environ.get("TOUCHPLATE_CONFORMANCE", beside))
    if not suite.exists():
        print(f"the conformance suite's bundles are left out: {suite} is not there")
        return
    found: dict[str, list[Case]] = {"conformance, v1 logs": [], "conformance, v2 logs + TSA": []}
    for folder in sorted((suite / "bundle-verify").iterdir()):
        if not folder.is_dir() or folder.name.endswith("_fail") or (folder / "key.pub").exists():
            continue
        case = _conformance_case(folder, suite)
        try:
            Batch("", (case,)).verify_peer()
        except PeerError as error:
            print(f"{folder.name}: left out, sigstore-python says: {str(error).splitlines()[0]}")
            continue
        is_v2 = parse_bundle(case.encoded).entries[0].is_v2
        found["conformance, v2 logs + TSA" if is_v2 else "conformance, v1 logs"].append(case)
    for label, cases in found.items():
        once = _batch(label, cases).cases
        yield Batch(label, once * (_CONFORMANCE_CASES // len(once)))


def _conformance_case(folder: Path, suite: Path) -> Case:
    """Read one folder of the suite; its README says which files may be left out."""

    def read(name: str, instead: Path | None) -> bytes:
        path = folder / name
        return (path if path.exists() or instead is None else instead).read_bytes()

    def text(name: str, default: str) -> str:
        path = folder / name
        return path.read_text().strip() if path.exists() else default

    root = read("trusted_root.json", suite / _PUBLIC_ROOT)
    maker = _CaseMaker(root, text("identity", _PUBLIC_IDENTITY), text("issuer", _PUBLIC_ISSUER))
    return maker.make(read("bundle.sigstore.json", None), read("artifact", suite / "a.txt"))


class _CaseMaker:
    """Makes cases of one trusted root and one identity."""

    def __init__(self, root: bytes, identity: str, issuer: str) -> None:
        self._policy = policy.identity(identity, issuer)
        self._verifier = Verifier(parse_trusted_root(root))
        self._peer = PeerVerifier(trusted_root=_peer_root(root))
        self._peer_policy = PeerIdentity(identity=identity, issuer=issuer)
        self._taken: list[tuple[Any, tuple[Any, ...]]] = []
        with self._recording():
            self._recorder = Verifier(parse_trusted_root(root))

    def make(self, encoded: bytes, content: bytes) -> Case:
        """Make a case whose signatures are still to be recorded."""
        bundle = parse_bundle(encoded)
        assert isinstance(bundle.material, CertificateMaterial)
        return Case(
            encoded,
            content,
            self._verifier,
            self._policy,
            self._peer,
            self._peer_policy,
            bundle.material.leaf.der,
            lambda: self._record(encoded, content),
        )

    def _record(self, encoded: bytes, content: bytes) -> Signatures:
        self._taken.clear()
        with self._recording():
            artifact = Artifact.from_bytes(content)
            self._recorder.verify(parse_bundle(encoded), artifact, self._policy)
        return tuple(self._taken)

    def _recording(self) -> AbstractContextManager[object]:
        build = public._build  # noqa: SLF001 - the one place where keys are made

        def recording(der: bytes, kind: str, crypto: Any) -> public.PublicKey:  # noqa: ANN401
            return build(der, kind, _Recorder(crypto, self._taken))

        return mock.patch.object(public, "_build", recording)


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


def _peer_root(root: bytes) -> PeerTrustedRoot:
    """Give sigstore-python its trusted root; it only reads files."""
    with NamedTemporaryFile(suffix=".json") as file:
        file.write(root)
        file.flush()
        return PeerTrustedRoot.from_file(file.name)
