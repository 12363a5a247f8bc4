"""Which instances this machine trusts, each pinned by the digest of a root that a person confirmed.

`store` reads what was fetched and touches no network, so verification needs nothing else of this
room; `add` fetches and pins the root, `refresh` follows the TUF repository from it (TUF 1.0 §5),
`known` lists the public instances whose root we ship as a digest. Import `add` and `refresh` only
where they are used: they load the TUF library.
"""

from touchplate.trust.store import Instance, TrustStore

__all__ = ["Instance", "TrustStore"]
