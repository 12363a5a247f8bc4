"""The signature: made with the signer's key over this artifact, or over a statement about it."""

from collections.abc import Callable
from hashlib import new

from touchplate.errors import MalformedError, VerificationError
from touchplate.formats.bundle import Bundle, Envelope, MessageSignature, PublicKeyHint
from touchplate.formats.dsse import IN_TOTO_PAYLOAD_TYPE, pae
from touchplate.formats.statement import Statement, parse_statement
from touchplate.keys.algorithms import HASH_SIZES, HashName
from touchplate.keys.public import PublicKey, check_digest_signature, check_signature
from touchplate.verify.artifact import Artifact


def the_signature(bundle: Bundle) -> bytes:
    """The one signature of the bundle. Raises DSSE_SIGNATURE_COUNT, BUNDLE_MALFORMED.

    Neither the hint of a bundle nor the key id of an envelope picks a key; both may be empty, but
    a bundle that gives two names for its one key is refused.
    """
    content = bundle.content
    if isinstance(content, MessageSignature):
        return content.signature
    if len(content.signatures) != 1:
        raise VerificationError(
            "DSSE_SIGNATURE_COUNT",
            "the envelope does not hold exactly one signature",
            expected="1",
            found=str(len(content.signatures)),
        )
    only, material = content.signatures[0], bundle.material
    if isinstance(material, PublicKeyHint) and only.keyid and material.hint not in ("", only.keyid):
        raise MalformedError(
            "BUNDLE_MALFORMED",
            "the envelope's key id is not the hint of the bundle",
            expected=material.hint[:120],
            found=only.keyid[:120],
        )
    return only.signature


def content_digest(
    content: MessageSignature | Envelope, artifact: Artifact
) -> Callable[[HashName], bytes]:
    """What gives the digest that was signed: of the artifact, or of the encoded envelope."""
    if isinstance(content, MessageSignature):
        return artifact.digest
    signed = pae(content.payload_type, content.payload)
    return lambda name: new(name, signed).digest()


def check_message(
    content: MessageSignature, artifact: Artifact, key: PublicKey, *, is_logged: bool
) -> None:
    """Prove that `key` signed the artifact.

    Raises DIGEST_MISMATCH, DIGEST_UNSUPPORTED, SIGNATURE_INVALID. The scheme is one that the
    trusted key may be used with, its usual one first; what the bundle says plays no part.
    """
    check_message_digest(content, artifact)
    problem: VerificationError | None = None
    for algorithm in key.algorithms:
        name = algorithm.hash
        try:
            if name is not None:
                check_digest_signature(key, content.signature, artifact.digest(name), algorithm)
            elif is_logged and key.kind == "ed25519":
                continue  # a log can check such a signature by its digest only, so it was not pure
            else:
                check_signature(key, content.signature, artifact.content(), algorithm)
        except VerificationError as error:
            problem = problem or error  # of the key's own algorithm: it says what is needed
        else:
            return
    raise problem or _no_algorithm(key)


def check_message_digest(content: MessageSignature, artifact: Artifact) -> None:
    """Require that the digest which the bundle states, if any, is the artifact's."""
    if content.digest is None:
        return
    found = content.digest
    for name in HASH_SIZES:
        if content.digest_algorithm == name:
            expected = artifact.digest(name)
            if found == expected:
                return
            raise VerificationError(
                "DIGEST_MISMATCH",
                "the artifact is not the one that was signed",
                expected=f"{name}:{found.hex()}",
                found=f"{name}:{expected.hex()}",
            )
    raise VerificationError(
        "DIGEST_MISMATCH",
        "the bundle states a digest of a kind that is not supported",
        expected=", ".join(HASH_SIZES),
        found=content.digest_algorithm,
    )


def check_envelope(content: Envelope, artifact: Artifact, key: PublicKey) -> Statement:
    """Prove that `key` signed a statement about the artifact, and give the statement.

    Raises SIGNATURE_INVALID, STATEMENT_INVALID, SUBJECT_MISMATCH, DIGEST_UNSUPPORTED.
    """
    signed = pae(content.payload_type, content.payload)
    signature = content.signatures[0].signature
    problem: VerificationError | None = None
    for algorithm in key.algorithms:
        try:
            check_signature(key, signature, signed, algorithm)
        except VerificationError as error:
            problem = problem or error
        else:
            break
    else:
        raise problem or _no_algorithm(key)
    if content.payload_type != IN_TOTO_PAYLOAD_TYPE:
        raise MalformedError(
            "STATEMENT_INVALID",
            "the envelope's payload is of another type",
            expected=IN_TOTO_PAYLOAD_TYPE,
            found=content.payload_type[:120],
        )
    statement = parse_statement(content.payload)
    check_subject(statement, artifact)
    return statement


def check_subject(statement: Statement, artifact: Artifact) -> None:
    """Require a subject with the artifact's digest. Names and weak hashes count for nothing."""
    names: list[HashName] = [name for name in HASH_SIZES if artifact.knows(name)]
    for subject in statement.subjects:
        for name in names:
            text = subject.digests.get(name)
            if text is not None and text == artifact.digest(name).hex():
                return
    raise VerificationError(
        "SUBJECT_MISMATCH",
        "the statement is not about the artifact",
        expected=", ".join(f"{name}:{artifact.digest(name).hex()}" for name in names[:1]),
        found=", ".join(
            f"{name}:{text}"
            for subject in statement.subjects[:4]
            for name, text in subject.digests.items()
        )[:400],
    )


def _no_algorithm(key: PublicKey) -> VerificationError:
    return VerificationError("SIGNATURE_INVALID", f"a {key.kind} key makes no such signatures")
