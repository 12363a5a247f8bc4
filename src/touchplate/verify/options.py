"""How much proof a verifier asks for. The defaults are those of the client specification."""

from dataclasses import dataclass
from typing import Final

from touchplate.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Options:
    """Thresholds; each counts distinct operators, and a log or authority without one by its key.

    Zero switches a requirement off. What is there and from a trusted source is checked anyway,
    and must hold.
    """

    logs: int = 1
    """Transparency logs that hold the entry."""
    certificate_logs: int = 1
    """Certificate transparency logs that vouch for the certificate."""
    timestamp_authorities: int = 0
    """Timestamp authorities that say when."""
    integrated_times: int = 0
    """Logs that promise when they took the entry."""
    observers: int = 1
    """Timestamp authorities and promising logs together. With a public key none is needed."""
    accept_promise_alone: bool = False
    """Take a log's promise for inclusion in a bundle of version 0.1 that has no proof."""

    def __post_init__(self) -> None:
        """Refuse thresholds below zero: SettingsError SETTINGS_INVALID."""
        for name in (
            "logs",
            "certificate_logs",
            "timestamp_authorities",
            "integrated_times",
            "observers",
        ):
            if getattr(self, name) < 0:
                raise SettingsError("SETTINGS_INVALID", f"the threshold {name} is below zero")


DEFAULT: Final = Options()
