"""The certificate transparency log: RFC 6962 and C2SP static-ct-api over one tile log.

    chain -> checked chain -> entry in the log -> SCT

`chain` decides what is taken, `log` appends and promises, `read` answers from entries and tiles,
`leaf_index` finds a leaf by its hash, `check` holds entries to the authority's profile, `routes` is
HTTP. An SCT is signed only after its entry is durable and integrated, so its maximum
merge delay is zero.
"""

from touchplate.ctlog.chain import AcceptedRoots, SubmittedChain
from touchplate.ctlog.leaf_index import LeafIndex
from touchplate.ctlog.log import CertificateLog, tile_log_settings
from touchplate.ctlog.settings import CtlogSettings

__all__ = [
    "AcceptedRoots",
    "CertificateLog",
    "CtlogSettings",
    "LeafIndex",
    "SubmittedChain",
    "tile_log_settings",
]
