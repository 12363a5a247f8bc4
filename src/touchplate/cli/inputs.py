"""What the words of a verify or sign command stand for: artifacts, bundles beside them, trust."""

# `verify` loads this: pathlib would be a twentieth of its start.
# ruff: noqa: PTH110, PTH113, PTH119, PTH123

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from hashlib import file_digest
from typing import TypeVar

from touchplate.cli.environment import home, read_file, unreadable
from touchplate.errors import MalformedError, SettingsError
from touchplate.formats.trusted_root import TrustedRoot, parse_trusted_root
from touchplate.keys.algorithms import HASH_SIZES, HashName
from touchplate.verify.artifact import Artifact

MAX_TRUST_BYTES = 5 * 1024 * 1024
SUFFIXES = (".sigstore.json", ".sigstore")

Document = TypeVar("Document")


def add_trust_arguments(parser: ArgumentParser) -> None:
    """Add the ways to say whom to trust; the one instance of this machine is the default."""
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument(
        "--instance",
        metavar="NAME",
        help="an instance from `touchplate trust list`, by name or URL "
        "(default: the only one there)",
    )
    trust.add_argument(
        "--trusted-root",
        metavar="FILE",
        help="a trusted_root.json to use as it is, instead of an instance",
    )
    trust.add_argument(
        "--trust-config",
        metavar="FILE",
        help="a client trust config (trusted root and signing config in one file) to use as it is",
    )


def load_trusted_root(arguments: Namespace) -> TrustedRoot:
    """Load the trusted root that the arguments name; files only, no network."""
    if arguments.trusted_root is not None:
        return load_document(arguments.trusted_root, "trusted root", parse_trusted_root)
    if arguments.trust_config is not None:
        from touchplate.formats.signing_config import parse_client_trust_config

        both = load_document(arguments.trust_config, "trust config", parse_client_trust_config)
        return both.trusted_root
    from touchplate.trust.store import TrustStore

    store = TrustStore(home())
    instance = store.only() if arguments.instance is None else store.get(arguments.instance)
    return instance.trusted_root()


def load_document(path: str, what: str, parse: Callable[[bytes], Document]) -> Document:
    """Read and parse a file that the user named; what is wrong with it is told with its name."""
    data = read_file(path, MAX_TRUST_BYTES, what)
    try:
        return parse(data)
    except MalformedError as error:
        raise MalformedError(
            error.code,
            f"{path}: {error.message}",
            expected=error.expected,
            found=error.found,
            hint=error.hint or f"get the {what} again from where it was published",
        ) from error


def open_artifact(word: str) -> Artifact:
    """Give the artifact that a word names: a file, or a digest when no file has that name."""
    if is_digest(word):
        return Artifact.from_digest(word)
    try:
        with open(word, "rb"):
            pass
    except FileNotFoundError as error:
        raise SettingsError(
            "FILE_UNREADABLE",
            f"file {word}: {error.strerror}",
            hint="a digest is written sha256:HEX" if looks_like_digest(word) else None,
        ) from error
    except OSError as error:
        raise unreadable(word, error, "file") from error

    def hash_with(name: HashName) -> bytes:
        try:
            with open(word, "rb") as file:
                return file_digest(file, name).digest()
        except OSError as error:
            raise unreadable(word, error, "file") from error

    def read() -> bytes:
        try:
            with open(word, "rb") as file:
                return file.read()
        except OSError as error:
            raise unreadable(word, error, "file") from error

    return Artifact.from_source(hash_with, read)


def is_digest(word: str) -> bool:
    """Answer whether the word is meant as ALGORITHM:HEX; a file of that name wins."""
    return word.partition(":")[0] in HASH_SIZES and ":" in word and not os.path.exists(word)


def looks_like_digest(word: str) -> bool:
    """Answer whether somebody may have meant a digest: 40 hex digits or more, with a prefix too."""
    digits = word.rpartition(":")[2]
    return len(digits) >= 40 and all(digit in "0123456789abcdefABCDEF" for digit in digits)


def find_bundle(word: str) -> str:
    """Find the bundle beside a file, or say which names were looked for (FILE_UNREADABLE)."""
    if is_digest(word):
        raise SettingsError(
            "USAGE",
            "a digest has no bundle beside it",
            hint="say where the bundle is with --bundle FILE",
        )
    looked = [word + suffix for suffix in SUFFIXES]
    for path in looked:
        if os.path.isfile(path):
            return path
    raise SettingsError(
        "FILE_UNREADABLE",
        f"{word} has no bundle beside it",
        expected=" or ".join(os.path.basename(path) for path in looked),
        hint="say where the bundle is with --bundle FILE",
    )
