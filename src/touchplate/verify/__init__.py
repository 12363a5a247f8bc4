"""Verify: prove from a bundle who signed an artifact and when, offline.

    verdict = verify(parse_bundle(text), Artifact.from_bytes(data), identity(name, issuer), root)

`verify` raises unless every step passed, and a `Verdict` is what it proved; it is not a yes or no.
The specification is `architecture-docs: client-spec.md` §4 and §5. Pure: no file, clock or network.
"""

from touchplate.verify.artifact import Artifact
from touchplate.verify.options import Options
from touchplate.verify.policy import (
    Policy,
    all_of,
    any_of,
    extension,
    glob,
    identity,
    key,
    predicate_type,
    require_mfa,
)
from touchplate.verify.steps import Step, Steps
from touchplate.verify.verdict import Verdict, VerifiedTime
from touchplate.verify.verifier import Verifier, verify

__all__ = [
    "Artifact",
    "Options",
    "Policy",
    "Step",
    "Steps",
    "Verdict",
    "VerifiedTime",
    "Verifier",
    "all_of",
    "any_of",
    "extension",
    "glob",
    "identity",
    "key",
    "predicate_type",
    "require_mfa",
    "verify",
]
