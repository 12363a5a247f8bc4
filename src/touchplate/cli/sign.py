"""Sign files: one login and one certificate for all of them.

Each bundle is verified before it is written to FILE.sigstore.json. The identity token comes from
--identity-token, else from SIGSTORE_IDENTITY_TOKEN or SIGSTORE_ID_TOKEN.
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from touchplate.cli.environment import home, now, read_file, read_standard_input
from touchplate.cli.inputs import load_document, open_artifact
from touchplate.cli.network import add_http, open_transport
from touchplate.cli.text import printable, shell_word
from touchplate.errors import MalformedError, SettingsError, TouchplateError
from touchplate.formats.bundle import TransparencyLogEntry
from touchplate.formats.entry_name import name_entry
from touchplate.formats.signing_config import SigningConfig
from touchplate.formats.trusted_root import TrustedRoot
from touchplate.keys.algorithms import HASH_SIZES
from touchplate.sign import Signed, Signer, connect
from touchplate.storage.files import refuse_existing, save_file
from touchplate.transport.http import Transport

MAX_TOKEN_BYTES = 16 * 1024
MAX_STATEMENT_BYTES = 16 * 1024 * 1024
Written = tuple[str, Path, Signed]

TOKEN_VARIABLES = ("SIGSTORE_IDENTITY_TOKEN", "SIGSTORE_ID_TOKEN")


def add_arguments(parser: ArgumentParser) -> None:
    """Add what to sign, as whom, with which instance and where to put it."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="a file to sign")
    parser.add_argument(
        "--identity-token",
        metavar="TOKEN",
        help="the token itself, a file that holds it, or - for standard input",
    )
    parser.add_argument(
        "--bundle", metavar="FILE", help="where to write the bundle, when there is one FILE"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace bundles that exist")
    parser.add_argument(
        "--in-toto",
        action="store_true",
        help="the files are in-toto statements: sign their exact bytes in a DSSE envelope",
    )
    parser.add_argument(
        "--tlog-version",
        type=int,
        choices=(1, 2),
        help="use only logs of this version (default: what the signing config prefers)",
    )
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument(
        "--instance",
        metavar="NAME",
        help="sign with this instance, by name or URL (default: the only one trusted)",
    )
    trust.add_argument(
        "--trust-config",
        metavar="FILE",
        help="a client trust config to use as it is, instead of an instance",
    )
    trust.add_argument(
        "--trusted-root",
        metavar="FILE",
        help="a trusted_root.json to use as it is; goes with --signing-config",
    )
    parser.add_argument(
        "--signing-config", metavar="FILE", help="a signing_config.v0.2.json to use as it is"
    )
    add_http(parser)


def run(arguments: Namespace) -> int:
    """Sign every file; what is written by then stays when a later one fails."""
    outputs = _outputs(arguments)
    transport = open_transport(arguments)
    token = _read_token(arguments.identity_token)
    trusted_root, config, trust_words = _load_trust(arguments, transport)
    services = connect(config, trusted_root, transport, now(), tlog_version=arguments.tlog_version)
    signer = Signer(services, token, now)
    done: list[Written] = []
    for word, output in outputs:
        try:
            signed = _sign(signer, word, in_toto=arguments.in_toto)
            save_file(output, signed.encoded, overwrite=arguments.overwrite)
        except TouchplateError:
            print(f"not signed: {printable(word)}", file=sys.stderr)
            raise
        done.append((word, output, signed))
        _tell(word, output, signed)
    print("\nverify with:")
    for words in _verify_commands(arguments, done, trust_words):
        print("  " + " ".join(map(shell_word, words)))
    return 0


def _outputs(arguments: Namespace) -> list[tuple[str, Path]]:
    """Decide all output names before anything is sent, and refuse those that are taken."""
    files = list(dict.fromkeys(arguments.files))
    if arguments.bundle is not None and len(files) > 1:
        raise SettingsError("USAGE", "--bundle goes with one FILE")
    if (arguments.signing_config is None) != (arguments.trusted_root is None):
        raise SettingsError("USAGE", "--signing-config and --trusted-root go together")
    outputs = []
    for word in files:
        path = Path(arguments.bundle or word + ".sigstore.json")
        if not arguments.overwrite and os.path.lexists(path):
            raise refuse_existing(path)
        if not os.access(path.parent, os.W_OK):
            raise SettingsError("FILE_UNREADABLE", f"cannot write into {path.parent}")
        open_artifact(word)
        outputs.append((word, path))
    return outputs


def _read_token(given: str | None) -> str:
    """Find the token: argument, file, standard input or environment. It is never printed."""
    if given is None:
        found = (os.environ.get(name) for name in TOKEN_VARIABLES)
        token = next((value for value in found if value), None)
        if token is None:
            raise SettingsError(
                "USAGE",
                "signing needs an identity token",
                hint="--identity-token TOKEN; for an instance of your own: "
                "touchplate token --data DIR --email ADDRESS",
            )
    elif given == "-":
        token = _decode(read_standard_input(MAX_TOKEN_BYTES))
    elif given.count(".") != 2 or (len(given) < 256 and Path(given).is_file()):
        token = _decode(read_file(given, MAX_TOKEN_BYTES, "token file"))
    else:
        token = given
    return token.strip()


def _decode(data: bytes) -> str:
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        # Not chained: the error would quote what may be a secret.
        raise MalformedError("TOKEN_MALFORMED", "the identity token is not ASCII") from None


def _load_trust(
    arguments: Namespace, transport: Transport
) -> tuple[TrustedRoot, SigningConfig, list[str]]:
    """Load what the arguments name, and give the words with which verify finds the same."""
    if arguments.trust_config is not None:
        from touchplate.formats.signing_config import parse_client_trust_config

        both = load_document(arguments.trust_config, "trust config", parse_client_trust_config)
        return both.trusted_root, both.signing_config, ["--trust-config", arguments.trust_config]
    if arguments.trusted_root is not None:
        from touchplate.formats.signing_config import parse_signing_config
        from touchplate.formats.trusted_root import parse_trusted_root

        root = load_document(arguments.trusted_root, "trusted root", parse_trusted_root)
        config = load_document(arguments.signing_config, "signing config", parse_signing_config)
        return root, config, ["--trusted-root", arguments.trusted_root]
    from touchplate.trust.refresh import refresh
    from touchplate.trust.store import TrustStore

    store = TrustStore(home())
    instance = store.only() if arguments.instance is None else store.get(arguments.instance)
    # Signing speaks to the instance anyway: it does so with today's trust root or not at all.
    refresh(instance, transport, now())
    words = [] if arguments.instance is None else ["--instance", instance.name]
    return instance.trusted_root(), instance.signing_config(), words


def _sign(signer: Signer, word: str, *, in_toto: bool) -> Signed:
    if in_toto:
        return signer.sign_statement(read_file(word, MAX_STATEMENT_BYTES, "statement"))
    return signer.sign(open_artifact(word))


def _tell(word: str, output: Path, signed: Signed) -> None:
    verdict = signed.verdict
    entries = ", ".join(map(_entry, verdict.entries))
    print(f"signed {printable(word)} as {printable(verdict.identity or '')}: {entries}")
    print(f"  bundle {printable(str(output))}")
    for warning in signed.warnings:
        print(f"  warning: {printable(warning)}")


def _entry(entry: TransparencyLogEntry) -> str:
    """Name an entry as search does, and tell the number that the bundle has where it is another."""
    name = f"log entry {name_entry(entry)}"
    return name if entry.is_v2 else f"{name} ({entry.log_index} over all trees)"


def _verify_commands(
    arguments: Namespace, done: list[Written], trust: list[str]
) -> list[list[str]]:
    """Give the commands that prove what was just signed; they work as printed."""
    verdict = done[0][2].verdict
    who = ["--identity", verdict.identity or "", "--issuer", verdict.issuer or "", *trust]
    start = ["touchplate", "verify"]
    if arguments.in_toto:
        return [
            [*start, _subject_of(signed), "--bundle", str(output), *who]
            for _, output, signed in done
        ]
    words = [f"./{word}" if word.startswith("-") else word for word, _, _ in done]
    bundle = [] if arguments.bundle is None else ["--bundle", arguments.bundle]
    return [[*start, *words, *bundle, *who]]


def _subject_of(signed: Signed) -> str:
    """Give one subject of the signed statement as verify takes it."""
    statement = signed.verdict.statement
    subjects = () if statement is None else statement.subjects
    return next(
        f"{name}:{subject.digests[name]}"
        for subject in subjects
        for name in HASH_SIZES
        if name in subject.digests
    )
