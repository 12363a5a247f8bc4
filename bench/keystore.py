"""Signatures per second of each kind of key store, through `Signer.sign`.

    python -m bench.keystore [--seconds 1.5]

In this process: a key in memory, as a file is once it is loaded, and a token of SoftHSM if it is
installed. KMS of moto's server on loopback says what the client costs, not what the service does.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.servers import hsm, kms
from touchplate.keys.signer import Signer, generate
from touchplate.keystore import create_signer, load_signer
from touchplate.server.secrets import OperatorSecrets

KINDS = ("ecdsa-p256", "ecdsa-p384", "ed25519")
SPECS = {"ecdsa-p256": "ECC_NIST_P256", "ecdsa-p384": "ECC_NIST_P384"}


def rate(sign: Callable[[bytes], bytes], threads: int, seconds: float) -> float:
    """Give signatures per second of so many threads."""
    end = time.perf_counter() + seconds

    def work(number: int) -> int:
        count = 0
        while time.perf_counter() < end:
            sign(b"%d %d" % (number, count))
            count += 1
        return count

    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, range(threads))) / (time.perf_counter() - began)


def tell(name: str, kind: str, signer: Signer, seconds: float) -> None:
    """Measure a signer and print its line."""
    one, many = (rate(signer.sign, threads, seconds) for threads in (1, 8))
    print(f"{name:22} {kind:11} {one:8.0f}/s with 1 thread  {many:8.0f}/s with 8")


def main() -> None:
    """Measure all that is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.5)
    seconds = parser.parse_args().seconds
    for kind in KINDS:
        tell("memory (file)", kind, generate(kind), seconds)
    if reason := hsm.why_not():
        print(f"pkcs11: {reason}")
    else:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["SOFTHSM2_CONF"] = str(hsm.configuration(Path(folder)))
            token = hsm.make_token(Path(folder))
            for kind in KINDS:
                tell("pkcs11 (SoftHSM)", kind, create_signer(token.uri(kind), kind), seconds)
    if reason := kms.why_not():
        print(f"awskms: {reason}")
        return
    with kms.KmsServer() as server:
        environ: Mapping[str, str] = server.environ
        for kind, spec in SPECS.items():
            uri = server.uri(server.make_key(spec))
            signer = load_signer(uri, secrets=OperatorSecrets(environ))
            tell("awskms (moto)", kind, signer, seconds)


if __name__ == "__main__":
    main()
