"""pyproject.toml asks for what the package imports, and for nothing else."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions

import pytest

from tests.docs.pages import REPOSITORY

PACKAGE = REPOSITORY / "src" / "touchplate"

# Rooms that `touchplate` alone does not promise to run: they need `touchplate[server]`.
SERVICE = {
    "server",
    "ca",
    "ctlog",
    "tlog",
    "tsa",
    "tuf",
    "index",
    "tilelog",
    "storage",
    "keystore",
    "protobuf",
    "testing",
}

# Modules of other rooms that only the service loads: the file of issuers is YAML, and gRPC.
SERVICE_MODULES = {"oidc/document.py", "transport/grpc.py"}

# Loaded by name: uvicorn does it for its setting `http="httptools"`.
NEVER_IMPORTED = {"httptools"}


def imported(*, service: bool) -> set[str]:
    """Give the distributions that the modules import, at their top or on use."""
    known = packages_distributions()
    found = set()
    for path in PACKAGE.rglob("*.py"):
        where = path.relative_to(PACKAGE)
        is_service = where.parts[0] in SERVICE or where.as_posix() in SERVICE_MODULES
        if service or not is_service:
            for name in _roots(ast.parse(path.read_text("utf-8"))):
                if name not in sys.stdlib_module_names and name != "touchplate":
                    found.add(known[name][0].lower())
    return found


def _roots(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def declared(requirements: list[str]) -> set[str]:
    """Give the names of a list of requirements."""
    return {re.split(r"[=><\[]", each)[0] for each in requirements}


@pytest.mark.slow
@pytest.mark.parametrize("service", [False, True])
def test_dependencies(service: bool) -> None:
    """What is imported is declared, and what is declared is imported."""
    table = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = declared(table["dependencies"])
    if service:
        for extra in table["optional-dependencies"].values():
            wanted |= declared(extra) - NEVER_IMPORTED

    assert imported(service=service) == wanted
