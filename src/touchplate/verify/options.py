"""How much proof a verifier asks for. The defaults are those of the client specification."""

from typing import Final

from touchplate.errors import SettingsError


class Options:
    """Thresholds; each counts distinct operators, and a log or authority without one by its key.

    Zero switches a requirement off. What is there and from a trusted source is checked anyway,
    and must hold.
    """

    __slots__ = (
        "accept_promise_alone",
        "certificate_logs",
        "integrated_times",
        "logs",
        "observers",
        "timestamp_authorities",
    )

    logs: Final[int]
    """Transparency logs that hold the entry."""
    certificate_logs: Final[int]
    """Certificate transparency logs that vouch for the certificate."""
    timestamp_authorities: Final[int]
    """Timestamp authorities that say when."""
    integrated_times: Final[int]
    """Logs that promise when they took the entry."""
    observers: Final[int]
    """Timestamp authorities and promising logs together. With a public key none is needed."""
    accept_promise_alone: Final[bool]
    """Take a log's promise for inclusion in a bundle of version 0.1 that has no proof."""

    def __init__(
        self,
        *,
        logs: int = 1,
        certificate_logs: int = 1,
        timestamp_authorities: int = 0,
        integrated_times: int = 0,
        observers: int = 1,
        accept_promise_alone: bool = False,
    ) -> None:
        """Refuse thresholds below zero: SettingsError SETTINGS_INVALID."""
        lowest = min(logs, certificate_logs, timestamp_authorities, integrated_times, observers)
        if lowest < 0:
            raise SettingsError("SETTINGS_INVALID", f"a threshold of {lowest} is below zero")
        self.logs = logs
        self.certificate_logs = certificate_logs
        self.timestamp_authorities = timestamp_authorities
        self.integrated_times = integrated_times
        self.observers = observers
        self.accept_promise_alone = accept_promise_alone


DEFAULT: Final = Options()
