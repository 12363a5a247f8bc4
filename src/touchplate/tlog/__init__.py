"""The transparency log (Rekor): API v2 on tiles, API v1, one tree beneath both.

An entry is answered for once it is durable, integrated, and covered by a signed checkpoint; the
same entry again is answered in the same way. Entry kinds are in `touchplate.entries`, the engine in
`touchplate.tilelog`.

- `key`: the log's name and key, and what it signs
- `log`: appending and reading
- `shards`: its trees, the frozen ones and the active one
- `attestations`: payloads kept beside the log; `search`: entries by what they are about
- `v2`, `v1`, `static`: the answers of each API
- `v2_request`, `query`, `retrieve`: what requests ask for
- `routes`: HTTP
"""

from touchplate.tlog.attestations import Attestations
from touchplate.tlog.key import LogKey, log_key
from touchplate.tlog.log import TransparencyLog, tile_log_settings
from touchplate.tlog.settings import TlogSettings
from touchplate.tlog.shards import Shards

__all__ = [
    "Attestations",
    "LogKey",
    "Shards",
    "TlogSettings",
    "TransparencyLog",
    "log_key",
    "tile_log_settings",
]
