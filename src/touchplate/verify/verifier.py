"""bundle -> steps -> verdict: a whole verification, in the order of the client specification.

`architecture-docs: client-spec.md` §4. All is offline, and nothing here knows what time it is:
times come from the bundle and are proven. One path for all versions of bundles, for certificates
and for keys.
"""

from collections.abc import Sequence
from typing import Final

from touchplate.entries.claim import Claim
from touchplate.entries.kinds import match
from touchplate.errors import TouchplateError, VerificationError
from touchplate.formats.authentication import Authentication, decode_authentication
from touchplate.formats.bundle import (
    Bundle,
    CertificateMaterial,
    Envelope,
    MessageSignature,
    TransparencyLogEntry,
)
from touchplate.formats.certificate import Certificate
from touchplate.formats.statement import Statement
from touchplate.formats.trusted_root import TransparencyLog, TrustedRoot
from touchplate.keys.public import PublicKey
from touchplate.verify.artifact import Artifact
from touchplate.verify.certification import build_chain, check_profile
from touchplate.verify.content import (
    check_envelope,
    check_message,
    content_digest,
    the_signature,
)
from touchplate.verify.inclusion import check_included
from touchplate.verify.options import DEFAULT, Options
from touchplate.verify.policy import Policy, Signed, require_signer
from touchplate.verify.steps import Steps
from touchplate.verify.times import promise_time, timestamp_times
from touchplate.verify.transparency import check_scts
from touchplate.verify.trust import Trust, count_voices, voice_of
from touchplate.verify.verdict import Verdict, VerifiedTime, Voice

type_of_known = tuple[tuple[TransparencyLogEntry, tuple[TransparencyLog, ...]], ...]


class Verifier:
    """Verifies any number of bundles with one trusted root, from any number of threads.

    It keeps what depends on the trusted root alone, so a further bundle costs its own signatures.
    """

    __slots__ = ("_trust",)

    def __init__(self, trusted_root: TrustedRoot) -> None:
        """Make the trusted root ready."""
        self._trust: Final = Trust(trusted_root)

    def verify(
        self,
        bundle: Bundle,
        artifact: Artifact,
        policy: Policy,
        options: Options = DEFAULT,
        *,
        steps: Steps | None = None,
    ) -> Verdict:
        """Prove that whom `policy` names signed `artifact`, or raise VerificationError.

        Raises MalformedError too, and RefusedError POLICY_EMPTY. Give `steps` to see how far a
        verification came that failed.
        """
        step = Steps() if steps is None else steps
        try:
            return self._verify(bundle, artifact, policy, options, step)
        except TouchplateError as error:
            step.failed(error)
            raise

    def _verify(
        self, bundle: Bundle, artifact: Artifact, policy: Policy, options: Options, step: Steps
    ) -> Verdict:
        trust = self._trust
        content = bundle.content
        step.name = "policy"
        require_signer(policy)
        signature = the_signature(bundle)
        certificate, key = find_signer(bundle, artifact, policy)
        step.passed()
        step.name = "known logs"
        known = find_logs(bundle, trust, options, is_keyless=certificate is not None)
        step.passed(lambda: tuple(logs[0].base_url for _, logs in known))
        step.name = "signing time"
        times = establish_times(bundle, known, signature, trust, options)
        check_signing_time(times, certificate, options)
        step.passed(lambda: tuple(f"{t.at.isoformat()} by {t.name} ({t.source})" for t in times))
        if certificate is not None:
            step.name = "certificate chain"
            issuer = build_chain(certificate, times, trust)
            step.passed(lambda: tuple(f"sha256 {c.fingerprint.hex()}" for c in issuer.path))
            step.name = "certificate profile"
            check_profile(certificate)
            step.passed()
            step.name = "certificate transparency"
            vouching = check_scts(certificate, issuer.certificate, trust, options.certificate_logs)
            step.passed(lambda: tuple(vouching))
        statement: Statement | None = None
        step.name = "signature"
        if isinstance(content, Envelope):
            statement = check_envelope(content, artifact, key)
        else:
            check_message(content, artifact, key, is_logged=bool(known))
        step.passed(lambda: (f"{key.kind} key {key.key_id.hex()}",))
        step.name = "log inclusion"
        check_inclusion(bundle, known, times, trust, options)
        step.passed(lambda: describe_inclusion(known))
        step.name = "log entry"
        claim = Claim(content, signature, key, certificate, content_digest(content, artifact))
        for entry, _ in known:
            match(entry, claim)
        step.passed(lambda: tuple(f"{e.kind} {e.kind_version}" for e, _ in known))
        step.name = "identity"
        login = None if certificate is None else decode_authentication(certificate)
        policy.check(Signed(key, certificate, statement, times))
        step.passed(lambda: describe_signer(certificate, key, login))
        return Verdict(
            key=key,
            certificate=certificate,
            times=times,
            entries=tuple([entry for entry, _ in known]),
            statement=statement,
            steps=step.taken,
        )


def verify(
    bundle: Bundle,
    artifact: Artifact,
    policy: Policy,
    trusted_root: TrustedRoot,
    options: Options = DEFAULT,
    *,
    steps: Steps | None = None,
) -> Verdict:
    """Prove that whom `policy` names signed `artifact`, or raise VerificationError.

    For more than one bundle keep a `Verifier`, which says the rest.
    """
    return Verifier(trusted_root).verify(bundle, artifact, policy, options, steps=steps)


def find_signer(
    bundle: Bundle, artifact: Artifact, policy: Policy
) -> tuple[Certificate | None, PublicKey]:
    """The certificate, if there is one, and the key that the signature must be by.

    The kind of bundle must be the kind that the policy asks for: KEY_MODE_MISMATCH.
    """
    if isinstance(bundle.material, CertificateMaterial):
        if "key" in policy.pins:
            raise VerificationError(
                "KEY_MODE_MISMATCH",
                "the bundle is signed with a certificate, and the policy asks for a public key",
                hint="name the identity and its issuer",
            )
        certificate = bundle.material.leaf
        return certificate, certificate.public_key
    keys = [accepted.public_key for accepted in policy.keys]
    if not keys:
        raise VerificationError(
            "KEY_MODE_MISMATCH",
            "the bundle is signed with a public key, and the policy asks for an identity",
            hint="give the public key",
        )
    return None, keys[0] if len(keys) == 1 else _pick_key(bundle, artifact, keys)


def _pick_key(bundle: Bundle, artifact: Artifact, keys: Sequence[PublicKey]) -> PublicKey:
    """The key among several that the signature verifies with; the first if none does."""
    content = bundle.content
    for key in keys:
        try:
            if isinstance(content, MessageSignature):
                check_message(content, artifact, key, is_logged=bool(bundle.entries))
            else:
                check_envelope(content, artifact, key)
        except VerificationError:
            continue
        return key
    return keys[0]


def find_logs(bundle: Bundle, trust: Trust, options: Options, *, is_keyless: bool) -> type_of_known:
    """The entries of logs that the trusted root lists, with those logs.

    Entries of other logs prove nothing and are left out. Raises LOG_UNKNOWN, LOG_THRESHOLD.
    """
    known: type_of_known = tuple(
        [
            (entry, trust.logs[entry.log_id])
            for entry in bundle.entries
            if entry.log_id in trust.logs
        ]
    )
    # A signer with a key of its own may belong to a world without a log.
    needed = options.logs if is_keyless or trust.logs else 0
    if needed and not known:
        raise VerificationError(
            "LOG_UNKNOWN",
            "no log entry of the bundle is from a log that the trusted root lists",
            expected=", ".join(log.base_url for log in trust.root.tlogs) or "a log",
            found=", ".join(entry.log_id.hex() for entry in bundle.entries[:4]) or "no entry",
            hint="the log may be newer than the trusted root: fetch that again (touchplate trust "
            "refresh)",
        )
    if needed > 1:
        check_threshold(needed, [voice_of(logs[0]) for _, logs in known], "transparency logs")
    return known


def check_threshold(needed: int, voices: Sequence[Voice], what: str) -> None:
    """Require so many distinct voices. Raises VerificationError LOG_THRESHOLD."""
    if needed and count_voices(voices) < needed:
        raise VerificationError(
            "LOG_THRESHOLD",
            f"too few distinct {what} vouch for the signature",
            expected=str(needed),
            found=f"{count_voices(voices)}: {', '.join(sorted({v.operator for v in voices}))}",
        )


def establish_times(
    bundle: Bundle, known: type_of_known, signature: bytes, trust: Trust, options: Options
) -> tuple[VerifiedTime, ...]:
    """All times that a trusted source has signed for this signature."""
    times = timestamp_times(bundle.timestamps, signature, trust, options)
    for entry, logs in known:
        if entry.promise is not None:
            times.append(promise_time(entry, logs))
    return tuple(times)


def check_signing_time(
    times: Sequence[VerifiedTime], certificate: Certificate | None, options: Options
) -> None:
    """Require as many times as asked for, and one at least with a certificate.

    Raises NO_VERIFIED_TIME, LOG_THRESHOLD.
    """
    if not times and certificate is not None:
        raise VerificationError(
            "NO_VERIFIED_TIME",
            "no trusted source says when the signature was made",
            expected="a timestamp of a trusted authority, or the promise of a v1 log",
        )
    if not (options.timestamp_authorities or options.integrated_times or options.observers > 1):
        return  # one time is enough
    stampers = [time.voice for time in times if time.source == "tsa"]
    promises = [time.voice for time in times if time.source == "log"]
    check_threshold(options.timestamp_authorities, stampers, "timestamp authorities")
    check_threshold(options.integrated_times, promises, "promising logs")
    if certificate is not None:
        check_threshold(options.observers, stampers + promises, "sources of time")


def check_inclusion(
    bundle: Bundle,
    known: type_of_known,
    times: Sequence[VerifiedTime],
    trust: Trust,
    options: Options,
) -> None:
    """Prove that each known log holds its entry."""
    moments = [time.at for time in times]
    for entry, logs in known:
        if options.accept_promise_alone and bundle.version == "0.1" and entry.proof is None:
            continue  # its promise has been verified as a source of time
        check_included(entry, logs, moments if entry.promise is None else (), trust)


def describe_inclusion(known: type_of_known) -> tuple[str, ...]:
    """One line for each entry that was proven."""
    return tuple(
        f"entry {entry.log_index} of {logs[0].base_url}"
        + ("" if entry.proof is None else f", in a tree of {entry.proof.tree_size}")
        for entry, logs in known
    )


def describe_signer(
    certificate: Certificate | None, key: PublicKey, login: Authentication | None
) -> tuple[str, ...]:
    """Who signed, and how they logged in."""
    if certificate is None:
        return (f"public key {key.key_id.hex()}",)
    names = tuple(f"{name.kind} {name.value}" for name in certificate.alternative_names)
    return names if login is None else (*names, f"logged in with {login.describe()}")
