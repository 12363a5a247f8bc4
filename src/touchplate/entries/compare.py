"""The comparisons that bind a log entry to a bundle, each with its own code.

They run only when the body is not byte for byte the one that the bundle leads to, to say which
field differs, and for v1 kinds to accept another spelling of the same key (PEM white space).
"""

from touchplate.entries.body import Body
from touchplate.entries.claim import Claim
from touchplate.entries.pem import parse_pem
from touchplate.errors import VerificationError
from touchplate.formats.bundle import Envelope
from touchplate.keys.algorithms import Algorithm


def check_kind(body: Body, kind: str, version: str) -> None:
    """Require that the body is of the kind that the bundle says."""
    if (body.kind, body.version) != (kind, version):
        raise VerificationError(
            "ENTRY_KIND_MISMATCH",
            "the logged body is of another kind than the bundle's kindVersion",
            expected=f"{kind} {version}",
            found=f"{body.kind} {body.version}",
        )


def check_digest(found: bytes, expected: bytes, what: str = "digest") -> None:
    """Require that the entry is about the same content."""
    if found != expected:
        raise VerificationError(
            "ENTRY_DIGEST_MISMATCH",
            f"the log entry's {what} is another one",
            expected=expected.hex(),
            found=found.hex(),
        )


def check_signature(found: bytes, expected: bytes) -> None:
    """Require the very same signature: two valid signatures of one content are two entries."""
    if found != expected:
        raise VerificationError(
            "ENTRY_SIGNATURE_MISMATCH",
            "the log entry holds another signature",
            expected=expected.hex(),
            found=found.hex(),
        )


def check_verifier(found: bytes, claim: Claim, *, is_certificate: bool) -> None:
    """Require the same certificate or, in a bundle without one, the same key, by DER."""
    if found != claim.verifier or is_certificate != (claim.certificate is not None):
        raise VerificationError(
            "ENTRY_KEY_MISMATCH", "the log entry holds another certificate or public key"
        )


def check_verifier_pem(found: bytes, claim: Claim) -> None:
    """Require the same leaf certificate or key; a v1 entry may hold the leaf's chain after it."""
    if found == claim.verifier_pem:
        return
    blocks = parse_pem(found, error="ENTRY_MALFORMED")
    label, der = blocks[0]
    check_verifier(der, claim, is_certificate=label == "CERTIFICATE")


def check_algorithm(name: str, claim: Claim) -> Algorithm:
    """Require that an entry's algorithm is one that the trusted key may be used with."""
    for algorithm in claim.key.algorithms:
        if algorithm.name == name:
            return algorithm
    raise VerificationError(
        "ENTRY_KEY_MISMATCH",
        "the log entry names an algorithm that the key is not used with",
        expected=" or ".join(algorithm.name for algorithm in claim.key.algorithms),
        found=name[:100],
    )


def the_envelope(claim: Claim, kind: str) -> Envelope:
    """Give the envelope of a claim; kinds that log envelopes cannot vouch for a message."""
    if not isinstance(claim.content, Envelope):
        raise VerificationError(
            "ENTRY_KIND_UNSUPPORTED",
            f"a log entry of kind {kind} cannot vouch for a message signature",
            expected="hashedrekord",
            found=kind,
        )
    return claim.content
