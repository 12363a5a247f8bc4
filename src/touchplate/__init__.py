"""touchplate: a complete, Sigstore-compatible signing service and client.

People import `touchplate.verify` and `touchplate.sign`; `docs/architecture.md` is the map.
"""

__version__ = "0.1.0"
