"""Keys as PKCS#11 has them: their public halves, their signatures, and how new ones are made."""

from typing import Any, Final

import pkcs11
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from pkcs11 import Attribute, KeyType, Mechanism
from pkcs11.util.rsa import encode_rsa_public_key

from touchplate.errors import SettingsError, VerificationError
from touchplate.keys.public import PublicKey, from_crypto, load_pkcs1_public_key

# CKA_EC_PARAMS of each curve: the DER of its object identifier.
_CURVES: Final[dict[bytes, ec.EllipticCurve]] = {
    bytes.fromhex("06082a8648ce3d030107"): ec.SECP256R1(),
    bytes.fromhex("06052b81040022"): ec.SECP384R1(),
    bytes.fromhex("06052b81040023"): ec.SECP521R1(),
}
# Ed25519: RFC 8410's identifier, and the printable string of PKCS#11 3.0.
ED25519_PARAMS: Final = bytes.fromhex("06032b6570")
_ED25519: Final = frozenset(
    {ED25519_PARAMS, b"\x13\x0cedwards25519", bytes.fromhex("06092b06010401da470f01")}
)
# RFC 8017 §9.2: DigestInfo before a SHA-256 digest.
_SHA256_INFO: Final = bytes.fromhex("3031300d060960864801650304020105000420")

KINDS: Final = (
    "ecdsa-p256",
    "ecdsa-p384",
    "ecdsa-p521",
    "ed25519",
    "rsa-2048",
    "rsa-3072",
    "rsa-4096",
)


def read_public_key(public: Any) -> PublicKey:  # noqa: ANN401 - an object of the library
    """Give the key of a public key object; KEY_UNREADABLE if it is none of ours."""
    kind = public[Attribute.KEY_TYPE]
    if kind == KeyType.RSA:
        return load_pkcs1_public_key(encode_rsa_public_key(public))
    params, point = bytes(public[Attribute.EC_PARAMS]), bytes(public[Attribute.EC_POINT])
    try:
        if params in _ED25519:
            return from_crypto(ed25519.Ed25519PublicKey.from_public_bytes(_unwrapped(point, 32)))
        curve = _CURVES[params]
        size = 1 + 2 * ((curve.key_size + 7) // 8)
        return from_crypto(
            ec.EllipticCurvePublicKey.from_encoded_point(curve, _unwrapped(point, size))
        )
    except (KeyError, ValueError) as error:
        raise VerificationError(
            "KEY_UNREADABLE", f"a {kind} key with parameters {params.hex()[:60]} is not supported"
        ) from error


def read_certificate_key(certificate: Any) -> PublicKey:  # noqa: ANN401 - the same
    """Give the key in a certificate object."""
    try:
        found = x509.load_der_x509_certificate(bytes(certificate[Attribute.VALUE]))
        return from_crypto(found.public_key())
    except ValueError as error:
        raise VerificationError("KEY_UNREADABLE", "the certificate beside it is none") from error


def _unwrapped(point: bytes, size: int) -> bytes:
    """Take off the OCTET STRING that PKCS#11 asks for and some libraries leave out."""
    if len(point) == size:
        return point
    return point[3:] if point[1] & 0x80 else point[2:]


def make_signature(private: Any, public: PublicKey, data: bytes) -> bytes:  # noqa: ANN401 - the same
    """Sign a digest, or for Ed25519 the message; give the signature as `Signer` has it."""
    if public.kind == "ed25519":
        return bytes(private.sign(data, mechanism=Mechanism.EDDSA))
    if public.kind.startswith("rsa-"):
        return bytes(private.sign(_SHA256_INFO + data, mechanism=Mechanism.RSA_PKCS))
    raw = bytes(private.sign(data, mechanism=Mechanism.ECDSA))
    half = len(raw) // 2
    return utils.encode_dss_signature(
        int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
    )


def generate_pair(session: Any, kind: str, label: str | None, key_id: bytes) -> Any:  # noqa: ANN401 - the same
    """Make a pair of `kind`, whose private key never leaves the token; give the public key."""
    private = {
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: False,
        Attribute.SIGN: True,
        Attribute.DECRYPT: False,
        Attribute.UNWRAP: False,
    }
    # A key for signatures and nothing else.
    public = {Attribute.VERIFY: True, Attribute.ENCRYPT: False, Attribute.WRAP: False}
    given = {
        "id": key_id,
        "label": label,
        "store": True,
        "private_template": private,
        "public_template": public,
        "capabilities": pkcs11.MechanismFlag.SIGN | pkcs11.MechanismFlag.VERIFY,
    }
    if kind.startswith("rsa-"):
        return session.generate_keypair(KeyType.RSA, int(kind[4:]), **given)[0]
    if kind == "ed25519":
        parameters = session.create_domain_parameters(
            KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: ED25519_PARAMS}, local=True
        )
        return parameters.generate_keypair(mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN, **given)[0]
    size = int(kind.removeprefix("ecdsa-p")) if kind in KINDS else 0
    for params, curve in _CURVES.items():
        if curve.key_size == size:
            parameters = session.create_domain_parameters(
                KeyType.EC, {Attribute.EC_PARAMS: params}, local=True
            )
            return parameters.generate_keypair(**given)[0]
    raise SettingsError(
        "SETTINGS_INVALID", f"no {kind} key can be made on a token", expected=", ".join(KINDS)
    )
