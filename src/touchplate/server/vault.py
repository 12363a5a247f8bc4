"""The keys and certificate chains of a deployment, by name: one table, wherever they rest.

`server.data.DataFolder` keeps them in files, `MemoryVault` for as long as it lives.
"""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from touchplate.formats.certificate import parse_certificate, parse_pem_certificates
from touchplate.keys.public import PublicKey
from touchplate.keys.signer import Signer
from touchplate.keystore import MemoryKeys

# Open keys, by name.
Keys = Mapping[str, Signer]

# Name of each key, and its kind. The CA's issuing key may be of another kind, see ServeSettings.
CA_ROOT: Final = "ca-root"
CA: Final = "ca"
TSA_ROOT: Final = "tsa-root"
TSA: Final = "tsa"
TLOG: Final = "tlog"
CT: Final = "ct"
ISSUER: Final = "issuer"
TUF_ROOT: Final = "tuf-root"
TUF_TARGETS: Final = "tuf-targets"
TUF_SNAPSHOT: Final = "tuf-snapshot"
TUF_TIMESTAMP: Final = "tuf-timestamp"
TLOG_ED25519: Final = "tlog-ed25519"

KINDS: Final[dict[str, str]] = {
    # The anchors live for ten years; what signs all day is eight times faster.
    CA_ROOT: "ecdsa-p384",
    CA: "ecdsa-p256",
    TSA_ROOT: "ecdsa-p384",
    TSA: "ecdsa-p256",
    # P-256: the ids of the log under both of its APIs are then SHA-256 of this key.
    TLOG: "ecdsa-p256",
    CT: "ecdsa-p256",
    ISSUER: "ecdsa-p256",
    TUF_ROOT: "ecdsa-p256",
    TUF_TARGETS: "ecdsa-p256",
    TUF_SNAPSHOT: "ecdsa-p256",
    TUF_TIMESTAMP: "ecdsa-p256",
}

# Keys that an instance needs only when it is told to, perhaps long after its first start.
LATER_KINDS: Final[dict[str, str]] = {
    # Witnesses accept no log without an Ed25519 signature (docs/decisions/0013-…).
    TLOG_ED25519: "ed25519",
}


def for_witnesses(name: str) -> str:
    """Give the name of the second key of a tree of the transparency log."""
    return f"{name}-ed25519"


class Vault(Protocol):
    """Where keys and chains rest. Making one that is there already is refused."""

    def key(self, name: str, kind: str) -> Signer:
        """Load the key, or make it if this is the deployment's first start."""

    def later_key(self, name: str, kind: str) -> Signer:
        """Load the key, or make it: one that an instance begins to need later."""

    def find_public_key(self, name: str) -> PublicKey | None:
        """Give the public half of the key, if it was opened before; needs no secret."""

    def find_chain(self, name: str) -> bytes | None:
        """Read a chain, PEM; None if this is the first start and it is not made yet."""

    def save_chain(self, name: str, pem: bytes) -> None:
        """Write a chain durably."""


class MemoryVault:
    """Keys and chains that live as long as this object."""

    def __init__(self) -> None:
        self._keys = MemoryKeys()
        self._signers: dict[str, Signer] = {}
        self._chains: dict[str, bytes] = {}

    def key(self, name: str, kind: str) -> Signer:
        """Give the key, made when it is first asked for."""
        if name not in self._signers:
            self._signers[name] = self._keys.create(f"memory:{name}", kind)
        return self._signers[name]

    def later_key(self, name: str, kind: str) -> Signer:
        """Give the key, made when it is first asked for."""
        return self.key(name, kind)

    def find_public_key(self, name: str) -> PublicKey | None:
        """Give the public half of a key that was asked for before."""
        signer = self._signers.get(name)
        return signer.public_key if signer else None

    def find_chain(self, name: str) -> bytes | None:
        """Give the chain saved before."""
        return self._chains.get(name)

    def save_chain(self, name: str, pem: bytes) -> None:
        """Keep a chain."""
        self._chains[name] = pem


def open_chain(vault: Vault, name: str, make: Callable[[], tuple[bytes, ...]]) -> tuple[bytes, ...]:
    """Give the chain `name` (DER, leaf first), made and saved if this is the first start."""
    pem = vault.find_chain(name)
    if pem is None:
        chain = make()
        text = "".join(parse_certificate(der).pem() for der in chain)
        vault.save_chain(name, text.encode())
        return chain
    return tuple(each.der for each in parse_pem_certificates(pem.decode("ascii", "replace")))
