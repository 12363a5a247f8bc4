"""What commands for who runs an instance share: its folder, its settings, and the service's code.

An installation for signing and verifying does not have that code.
"""

import os
from argparse import ArgumentParser, Namespace
from importlib import import_module
from types import ModuleType
from typing import Any

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


def add_folder(parser: ArgumentParser) -> None:
    """Add where the instance's folder and its settings file are."""
    parser.add_argument("--data", metavar="DIR", help="the instance's folder (TOUCHPLATE_DATA)")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="its settings file (TOUCHPLATE_CONFIG; default: DIR/touchplate.toml)",
    )


def add_storage(parser: ArgumentParser) -> None:
    """Add where its databases and objects rest."""
    parser.add_argument(
        "--database",
        metavar="URI",
        help="where its logs' databases rest (TOUCHPLATE_DATABASE; default: the folder)",
    )
    parser.add_argument(
        "--objects",
        metavar="URI",
        help="where its tiles and entries rest (TOUCHPLATE_OBJECTS; default: the folder)",
    )


def load_instance(arguments: Namespace, **given: str | None) -> Any:  # noqa: ANN401  with the server
    """Load the settings of the instance that `add_folder` and, maybe, `add_storage` asked for.

    `given` are more settings, as the command line has them.
    """
    storage = {name: getattr(arguments, name, None) for name in ("database", "objects")}
    from_file = load_server("config").load_settings(
        os.environ, data=arguments.data, config=arguments.config
    )
    return load_server("settings").make_settings(os.environ, from_file, **storage, **given)
