"""The timestamp authority: RFC 3161 over HTTP, after Sigstore's timestamp-authority.

    request -> checks -> TSTInfo -> signed attributes -> response

`stamp` is that flow, `authority` the chain that signs, `routes` HTTP. Each response reads the clock
once and embeds a random serial number; nothing is stored.
"""

from touchplate.tsa.authority import create_chain
from touchplate.tsa.settings import StampSettings
from touchplate.tsa.stamp import Stamping

__all__ = ["StampSettings", "Stamping", "create_chain"]
