"""Whether a key can be used: it is loaded, a probe is signed, and the signature is checked."""

from dataclasses import dataclass
from time import perf_counter

from touchplate.errors import TouchplateError
from touchplate.keys.public import PublicKey, check_signature
from touchplate.keys.signer import Signer
from touchplate.keystore.backend import Backend
from touchplate.keystore.remote import PROBE
from touchplate.keystore.secrets import Secrets


@dataclass(frozen=True, slots=True)
class Probe:
    """What is known of a key; `fault` says what went wrong, at `step`."""

    public_key: PublicKey | None = None
    algorithm: str = ""
    # How long one signature took, its check included.
    seconds: float = 0.0
    # "load", "sign" or "verify".
    step: str = ""
    fault: TouchplateError | None = None


def probe_key(backend: Backend, uri: str, secrets: Secrets) -> Probe:
    """Try the key; nothing is raised for one that does not work."""
    try:
        signer = backend.load(uri, secrets)
    except TouchplateError as error:
        return Probe(step="load", fault=error)
    return probe_signer(signer)


def probe_signer(signer: Signer) -> Probe:
    """Try the signer."""
    public, name = signer.public_key, signer.algorithm.name
    began = perf_counter()
    try:
        signature = signer.sign(PROBE)
    except TouchplateError as error:
        # Beneath "not available" is what the store said, which is what its operator must act on.
        cause = error.__cause__
        return Probe(
            public, name, step="sign", fault=cause if isinstance(cause, TouchplateError) else error
        )
    try:
        check_signature(public, signature, PROBE, signer.algorithm)
    except TouchplateError as error:
        return Probe(public, name, step="verify", fault=error)
    return Probe(public, name, perf_counter() - began)
