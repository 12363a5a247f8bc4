"""Public instances that are known here, by the digest of a root of theirs and nothing more."""

from typing import Final, NamedTuple


class KnownInstance(NamedTuple):
    """Where the TUF repository is, and SHA-256 (hex) of the bytes of its VERSION.root.json."""

    tuf_url: str
    root_version: int
    fingerprint: str


# Newer roots are reached from these, each signed by the keys of the one before. Each release renews
# them.
KNOWN: Final[dict[str, KnownInstance]] = {
    "sigstore.dev": KnownInstance(
        tuf_url="https://tuf-repo-cdn.sigstore.dev",
        root_version=15,
        fingerprint="73747011d0857ada15479a16c4cae0f3ed03aac698b523b97e1de314ac9d9ca8",
    ),
}
