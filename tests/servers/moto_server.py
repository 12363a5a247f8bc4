"""moto's server, made to heed `MessageType=DIGEST` of KMS, as AWS does and moto does not.

python tests/servers/moto_server.py -H 127.0.0.1 -p 5000
"""

import sys
from base64 import b64decode
from threading import local
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from moto.kms.models import KmsBackend
from moto.kms.responses import KmsResponse
from moto.server import main

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "256": hashes.SHA256(),
    "384": hashes.SHA384(),
    "512": hashes.SHA512(),
}


_now = local()


def heed_digests() -> None:
    """Change moto in this process."""
    sign, response_sign = KmsBackend.sign, KmsResponse.sign

    def sign_either(self: Any, key_id: str, message: bytes, signing_algorithm: str) -> Any:
        if not _now.takes_digest:
            return sign(self, key_id, message, signing_algorithm)
        key = self.describe_key(key_id)
        private, name = key.private_key.private_key, _HASHES[signing_algorithm[-3:]]
        prehashed = utils.Prehashed(name)
        if len(message) != name.digest_size:
            message = b64decode(message, validate=True)
        if signing_algorithm.startswith("ECDSA"):
            signature = private.sign(message, ec.ECDSA(prehashed))
        else:
            signature = private.sign(message, padding.PKCS1v15(), prehashed)
        return key.arn, signature, signing_algorithm

    def respond(self: Any) -> Any:
        # Known to no other thread: requests may come at once.
        _now.takes_digest = self._get_param("MessageType") == "DIGEST"
        return response_sign(self)

    KmsBackend.sign = sign_either  # type: ignore[method-assign]  # that is what it is for
    KmsResponse.sign = respond  # type: ignore[method-assign]  # the same


if __name__ == "__main__":
    heed_digests()
    main(sys.argv[1:])
