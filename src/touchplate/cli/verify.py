"""Prove who signed files, and when. No network is used.

Each FILE needs a bundle beside it (FILE.sigstore.json or FILE.sigstore), or name one with --bundle.
Say whom you expect: an identity and the issuer that vouches for it, or a public key. Exit status 0:
all are proven; 1: one is not; 2: usage, or malformed input.
"""

from argparse import ArgumentParser, Namespace

from touchplate.cli.environment import read_file
from touchplate.cli.failure import status_of
from touchplate.cli.inputs import (
    add_trust_arguments,
    find_bundle,
    load_trusted_root,
    open_artifact,
)
from touchplate.cli.verdict import Outcome, print_json, print_text
from touchplate.errors import SettingsError, TouchplateError
from touchplate.formats.bundle import parse_bundle
from touchplate.formats.limits import MAX_BUNDLE_BYTES
from touchplate.keys.public import PublicKey, load_public_key_pem
from touchplate.verify import policy
from touchplate.verify.policy import Policy
from touchplate.verify.steps import Steps
from touchplate.verify.verifier import Verifier

MAX_KEY_BYTES = 64 * 1024


def add_arguments(parser: ArgumentParser) -> None:
    """Add what to verify, whom to expect, whom to trust and how to say it."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a file, or sha256:HEX (also sha384, sha512) instead of one",
    )
    parser.add_argument("--bundle", metavar="FILE", help="the bundle, when there is one FILE")
    who = parser.add_argument_group("whom to expect")
    name = who.add_mutually_exclusive_group()
    name.add_argument(
        "--identity", metavar="NAME", help="e-mail address, URI or user name of the signer"
    )
    name.add_argument(
        "--identity-glob",
        metavar="PATTERN",
        help="the same with * for any run of characters; the whole name must match",
    )
    who.add_argument("--issuer", metavar="URL", help="who must have vouched for the identity")
    who.add_argument(
        "--extension",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a certificate extension that must have exactly this value; may be repeated",
    )
    who.add_argument("--key", metavar="PEM", help="file with the signer's public key, instead")
    who.add_argument(
        "--require-mfa",
        action="store_true",
        help="the signer must have logged in with two factors, and the certificate must say so",
    )
    who.add_argument(
        "--predicate-type", metavar="URI", help="the type that the signed statement must have"
    )
    add_trust_arguments(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--explain", action="store_true", help="show each step and what it rests on")
    how.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: Namespace) -> int:
    """Verify every file, say what was found of each, and give the worst status."""
    try:
        if arguments.bundle is not None and len(arguments.files) > 1:
            raise _usage("--bundle goes with one FILE")
        wanted = make_policy(arguments)
        trusted_root = load_trusted_root(arguments)
    except TouchplateError as error:
        if arguments.json:
            print_json((), status_of(error), error=error)
            return status_of(error)
        raise
    verifier = Verifier(trusted_root)
    outcomes = [_verify(word, arguments.bundle, wanted, verifier) for word in arguments.files]
    status = max(0 if each.error is None else status_of(each.error) for each in outcomes)
    if arguments.json:
        print_json(outcomes, status, warnings=trusted_root.skipped)
    else:
        print_text(outcomes, explain=arguments.explain, warnings=trusted_root.skipped)
    return status


def make_policy(arguments: Namespace) -> Policy:
    """Put together whom the arguments expect; nobody in particular is a usage error."""
    name, pattern, issuer = arguments.identity, arguments.identity_glob, arguments.issuer
    if arguments.key is not None:
        if name or pattern or issuer or arguments.extension or arguments.require_mfa:
            raise _usage("--key stands for the signer: it does not go with an identity")
        parts = [policy.key(_load_key(arguments.key))]
    else:
        _check_expected(name or pattern, issuer)
        parts = [policy.identity(name, issuer) if name else policy.glob(pattern, issuer)]
    for text in arguments.extension:
        extension, equals, value = text.partition("=")
        if not equals:
            raise _usage(f"--extension {text!a} is not NAME=VALUE")
        parts.append(policy.extension(extension, value))
    if arguments.require_mfa:
        parts.append(policy.require_mfa())
    if arguments.predicate_type is not None:
        parts.append(policy.predicate_type(arguments.predicate_type))
    return parts[0] if len(parts) == 1 else policy.all_of(*parts)


def _check_expected(name: str | None, issuer: str | None) -> None:
    if name and issuer:
        return
    if name:
        raise _usage(
            "--issuer URL is missing: who must have vouched for the identity",
            hint="ask the signer; without it any issuer could name anybody so",
        )
    raise _usage(
        "say whom you expect: --identity NAME and --issuer URL, or --key PEM",
        hint="ask the signer; without them anybody's signature would do",
    )


def _verify(word: str, bundle: str | None, wanted: Policy, verifier: Verifier) -> Outcome:
    """Verify one file; what fails is part of the outcome, so that the other files are seen too."""
    steps = Steps()
    path = None
    try:
        artifact = open_artifact(word)
        path = bundle if bundle is not None else find_bundle(word)
        parsed = parse_bundle(read_file(path, MAX_BUNDLE_BYTES, "bundle"))
        verdict = verifier.verify(parsed, artifact, wanted, steps=steps)
    except TouchplateError as error:
        return Outcome(word, path, None, error, steps.taken)
    return Outcome(word, path, verdict, None, verdict.steps)


def _load_key(path: str) -> PublicKey:
    data = read_file(path, MAX_KEY_BYTES, "public key")
    try:
        return load_public_key_pem(data.decode("ascii"))
    except (UnicodeDecodeError, TouchplateError) as error:
        reason = error.message if isinstance(error, TouchplateError) else "not PEM"
        raise SettingsError(
            "FILE_UNREADABLE",
            f"public key {path}: {reason}",
            hint="--key takes a file with one public key: -----BEGIN PUBLIC KEY-----",
        ) from error


def _usage(message: str, hint: str | None = None) -> SettingsError:
    return SettingsError("USAGE", message, hint=hint or "touchplate verify --help")
