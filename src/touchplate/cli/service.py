"""Loading the service's code, which an installation for signing and verifying does not have."""

from importlib import import_module
from types import ModuleType

from touchplate.errors import SettingsError


def load_server(module: str) -> ModuleType:
    """Import `touchplate.server.MODULE`, or say what to install (SETTINGS_INVALID)."""
    try:
        return import_module(f"touchplate.server.{module}")
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] == "touchplate":
            raise
        raise SettingsError(
            "SETTINGS_INVALID",
            f"the service is not installed here: {error.name} is missing",
            hint='pip install "touchplate[server]"',
        ) from error
