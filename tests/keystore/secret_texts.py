"""Secrets for tests: from a mapping, and what was asked for."""

from collections.abc import Mapping

from touchplate.errors import SettingsError


class Given:
    """Gives what it was made with: by source, and the environment by name."""

    def __init__(self, sources: Mapping[str, str] = {}, environ: Mapping[str, str] = {}) -> None:
        self.sources = dict(sources)
        self.environ = dict(environ)
        self.asked: list[str] = []

    def fetch(self, source: str, what: str) -> str:
        """Give the secret at `source`."""
        self.asked.append(source)
        if source not in self.sources:
            raise SettingsError("SETTINGS_INVALID", f"{what}: nothing at {source!r}")
        return self.sources[source]

    def find(self, name: str) -> str | None:
        """Give a variable."""
        return self.environ.get(name)
