"""Sign artifacts and statements with a short-lived certificate, and prove each bundle at once.

    services = connect(signing_config, trusted_root, transport, now())
    signer = Signer(services, token, now)
    signed = signer.sign(Artifact.from_bytes(b"..."))
    save_file(path, signed.encoded, overwrite=False)

`connect` chooses the services, `Signer` is one identity with one certificate, `Signed` is a bundle
with the verdict on it. Client specification of Sigstore, §2; bundles are of version 0.3.
"""

from touchplate.sign.services import Services, connect
from touchplate.sign.signer import Signed, Signer

__all__ = ["Services", "Signed", "Signer", "connect"]
