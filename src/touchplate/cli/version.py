"""Say which version this is."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def add_arguments(parser: "ArgumentParser") -> None:
    """Take none."""


def run(arguments: "Namespace | None") -> int:  # noqa: ARG001  the form of every verb
    """Print the version."""
    from touchplate import __version__

    print(f"touchplate {__version__}")
    return 0
