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

# The signer's instance may have rotated a key since its trust root was fetched.
_KNOWN_SIGNER = (
    "fetch the trust root again: touchplate trust refresh; and see touchplate trust list: "
    "is it the instance that the signer used?"
)

# What to do, by code, where the error itself has nothing better to say.
ADVICE: dict[str, str] = {
    "BUNDLE_MALFORMED": "get the bundle again from where it was published",
    "BUNDLE_VERSION": "the bundle is newer than this touchplate, or no bundle at all",
    "CERT_CHAIN": _KNOWN_SIGNER,
    "CHECKPOINT_KEYHINT": "refresh the trust root: touchplate trust refresh",
    "DIGEST_MISMATCH": "do not use the file: get it again, with its bundle, from its publisher",
    "EXTENSION_MISMATCH": "do not use the file unless you expected the value found",
    "SECOND_FACTOR_MISSING": "ask the signer to log in with two factors and to sign again",
    "FILE_UNREADABLE": "look at the name and the permissions of the file",
    "IDENTITY_MISMATCH": "do not use the file unless you expected the identity found",
    "ISSUER_MISMATCH": "do not use the file unless you trust the issuer found to know the signer",
    "KEY_NOT_FOUND": "put the file back from the backup that the rest of the folder is from",
    "LOG_UNKNOWN": _KNOWN_SIGNER,
    "NO_VERIFIED_TIME": "ask the signer for a bundle with a timestamp",
    "PREDICATE_MISMATCH": "this is a statement of another kind than you asked for",
    "SCT_INVALID": _KNOWN_SIGNER,
    "SERVICE_UNAVAILABLE": "try again later, or ask the operator of the instance",
    "SUBJECT_MISMATCH": "the statement is about other files: get the file again from its publisher",
    "TIMESTAMP_INVALID": "fetch the trust root again: touchplate trust refresh; or ask the "
    "signer to sign again",
    "TOKEN_MALFORMED": "give the token itself, or a file that holds it and nothing else",
    "TOKEN_REFUSED": "get a new identity token for this instance",
    "TRUST_ROOT_INVALID": "get the trusted root again: touchplate trust refresh",
}
DO_NOT_USE = "do not use the file: nothing shows that it is from whom you expect"


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
    if advice := advice_of(error):
        yield f"  do:       {printable(advice)}"


def advice_of(error: TouchplateError) -> str | None:
    """Say what to do: as the error has it, else by its code; what is not proven is not for use."""
    if error.hint is not None:
        return error.hint
    return ADVICE.get(error.code, DO_NOT_USE if isinstance(error, VerificationError) else None)


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
