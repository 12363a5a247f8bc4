"""The timestamp authority: RFC 3161 over HTTP, after Sigstore's timestamp-authority.

    request -> checks -> TSTInfo -> signed attributes -> response

`stamp` is that flow, `authority` the chain that signs, `drift` what proves the clock, `routes`
HTTP. Each response reads the clock once and embeds a random serial number; nothing is stored.
"""

from touchplate.tsa.authority import create_chain, extend_chain
from touchplate.tsa.drift import Drift, DriftSettings
from touchplate.tsa.settings import StampSettings
from touchplate.tsa.stamp import Stamping

__all__ = ["Drift", "DriftSettings", "StampSettings", "Stamping", "create_chain", "extend_chain"]
