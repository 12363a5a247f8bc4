"""From an error to what a person reads and the exit status; one table for all verbs."""

import os
import sys
from collections.abc import Iterator

from touchplate.cli.text import printable
from touchplate.errors import (
    CODES,
    MalformedError,
    RefusedError,
    SettingsError,
    TouchplateError,
    UnavailableError,
    VerificationError,
)

# docs/reference/cli/README.md has the same table.
STATUSES: dict[type[TouchplateError], int] = {
    MalformedError: 2,
    VerificationError: 1,
    RefusedError: 1,
    UnavailableError: 3,
    SettingsError: 2,
}
CRASHED = 70


def status_of(error: TouchplateError) -> int:
    """Give the exit status of the error's branch."""
    return next(status for branch, status in STATUSES.items() if isinstance(error, branch))


def lines_of(error: TouchplateError) -> Iterator[str]:
    """Say what failed, what was expected, what was found and what to do, one a line."""
    yield f"{error.code}: {printable(error.message)}"
    if error.expected is not None:
        yield f"  expected: {printable(error.expected)}"
    if error.found is not None:
        yield f"  found:    {printable(error.found)}"
    if isinstance(error, UnavailableError) and error.retry_after is not None:
        yield f"  again in: {error.retry_after.total_seconds():.0f} s"
    if error.hint is not None:
        yield f"  do:       {printable(error.hint)}"


def report(error: Exception) -> int:
    """Tell a person on standard error, and give the exit status.

    What is not one of ours is a fault of ours: short, status 70, and with the traceback only when
    TOUCHPLATE_DEBUG is set, since a traceback may show what should not be shown.
    """
    if os.environ.get("TOUCHPLATE_DEBUG"):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, TouchplateError):
        print("touchplate: " + "\n".join(lines_of(error)), file=sys.stderr)
        return status_of(error)
    print(
        f"touchplate: this is a fault in touchplate ({type(error).__name__}), and proves nothing.\n"
        "  do:       run again with TOUCHPLATE_DEBUG=1 and report what it prints",
        file=sys.stderr,
    )
    return CRASHED


def meaning_of(error: TouchplateError) -> str:
    """Give the one sentence that errors.CODES has for the error's code."""
    return CODES[error.code]
