"""The TUF repository: hands the trusted root and the signing config to clients, fresh and signed.

TUF specification 1.0 with consistent snapshots; readable by python-tuf, sigstore-python, cosign
and sigstore-go. `repository` writes and renews the metadata, `metadata` is its form, `routes` is
its HTTP. The client side is `touchplate.trust`.
"""

from touchplate.tuf.repository import Files, Repository, RoleKeys
from touchplate.tuf.settings import Term, TufSettings

__all__ = ["Files", "Repository", "RoleKeys", "Term", "TufSettings"]
