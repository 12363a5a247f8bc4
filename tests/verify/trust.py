"""What a trusted root says of logs and authorities, as members of its JSON."""

import hashlib
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa, rsa

from tests.verify.certificates import END, START, Held, b64, spki
from tests.verify.promises import note_id


def key_details(key: Any) -> str:
    """Give the `PublicKeyDetails` of the key's own algorithm."""
    kinds: dict[type, str] = {
        ed25519.Ed25519PrivateKey: "PKIX_ED25519",
        mldsa.MLDSA65PrivateKey: "ML_DSA_65",
    }
    for kind, name in kinds.items():
        if isinstance(key, kind):
            return name
    if isinstance(key, rsa.RSAPrivateKey):
        return f"PKIX_RSA_PKCS1V15_{key.key_size}_SHA256"
    return {
        256: "PKIX_ECDSA_P256_SHA_256",
        384: "PKIX_ECDSA_P384_SHA_384",
        521: "PKIX_ECDSA_P521_SHA_512",
    }[key.key_size]


def window(begins: datetime | None = START, ends: datetime | None = END) -> dict[str, str]:
    """Give a `validFor`."""
    found = {}
    if begins is not None:
        found["start"] = begins.isoformat().replace("+00:00", "Z")
    if ends is not None:
        found["end"] = ends.isoformat().replace("+00:00", "Z")
    return found


def log_json(url: str, key: Any, name: str = "") -> dict[str, Any]:
    """Make the entry of a log in a trusted root."""
    log_id = note_id(name, key) if name else hashlib.sha256(spki(key)).digest()
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": b64(spki(key)),
            "keyDetails": key_details(key),
            "validFor": window(),
        },
        "logId": {"keyId": b64(log_id)},
    }


def ca_json(uri: str, *chain: Held) -> dict[str, Any]:
    """Make the entry of an authority in a trusted root."""
    return {
        "subject": {"organization": "example", "commonName": "example"},
        "uri": uri,
        "certChain": {"certificates": [{"rawBytes": b64(item.der)} for item in chain]},
        "validFor": window(),
    }
