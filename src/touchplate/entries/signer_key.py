"""Keys and signatures of `rekord` entries, in the forms of four tools; their canonical values.

A leaf holds canonical values, and the search index the SHA-256 of a key's, so each form has exactly
one. `x509` is a PEM key or certificate, `ssh` OpenSSH's (PROTOCOL.sshsig), `minisign` that of
minisign and signify. OpenPGP is not read here.
"""

from collections.abc import Callable
from hashlib import blake2b, sha512
from typing import Final, NamedTuple

from touchplate.entries.admission import check_any_hash, load_verifier_pem
from touchplate.entries.pem import parse_pem
from touchplate.errors import MalformedError, RefusedError, TouchplateError, VerificationError
from touchplate.formats.base64text import base64_text, parse_base64
from touchplate.keys.pem import encode_pem

# Of a signature and of a key. The longest honest ones are chains of certificates.
MAX_BYTES: Final = 64 * 1024

_MINISIGN_KEY: Final = 42  # algorithm 2, key number 8, Ed25519 key 32
_MINISIGN_SIGNATURE: Final = 74  # the same with an Ed25519 signature
_SSH_MAGIC: Final = b"SSHSIG"
_SSH_LABEL: Final = "SSH SIGNATURE"
_SSH_HASH: Final = b"sha512"
_SSH_NAMESPACE: Final = b"file"
_ERROR: Final = "REQUEST_MALFORMED"


class Signed(NamedTuple):
    """A signature that was checked, and its key, both in canonical form."""

    signature: bytes
    key: bytes


def canonical_key(key_format: str, content: bytes) -> bytes:
    """Give the canonical value of a public key.

    Raises ENTRY_REFUSED for a format that is not read, REQUEST_MALFORMED, KEY_UNREADABLE or
    LIMIT_EXCEEDED.
    """
    if key_format not in _FORMATS:
        raise RefusedError(
            "ENTRY_REFUSED",
            "public keys of this format are not read here",
            expected=", ".join(FORMATS),
            found=key_format[:100],
        )
    _limit(content, "public key")
    return _FORMATS[key_format].key(content)


def check_signed(key_format: str, signature: bytes, key: bytes, message: bytes) -> Signed:
    """Prove that the key made the signature over the message, by the rules of the format.

    Raises as `canonical_key`, and SIGNATURE_INVALID.
    """
    canonical = canonical_key(key_format, key)
    _limit(signature, "signature")
    return Signed(_FORMATS[key_format].check(signature, canonical, message), canonical)


def _limit(data: bytes, what: str) -> None:
    if len(data) > MAX_BYTES:
        raise MalformedError(
            "LIMIT_EXCEEDED",
            f"the {what} is too large",
            expected=f"at most {MAX_BYTES} bytes",
            found=f"{len(data)} bytes",
        )


def _x509_key(content: bytes) -> bytes:
    return load_verifier_pem(content)[1]


def _check_x509(signature: bytes, key: bytes, message: bytes) -> bytes:
    check_any_hash(load_verifier_pem(key)[0], signature, message)
    return signature


def _minisign_key(content: bytes) -> bytes:
    """Read a key file of two lines, or its second line alone."""
    lines = _lines(content)
    return base64_text(_minisign_blob(lines[-1:], _MINISIGN_KEY, "public key")[10:]).encode()


def _check_minisign(signature: bytes, key: bytes, message: bytes) -> bytes:
    """Check a signature file: comment, signature, and for minisign two more lines.

    The number of the key in it is not compared, for the canonical key has none. The global
    signature over the trusted comment is not checked, as upstream; the leaf does not hold it.
    """
    lines = _lines(signature)
    if len(lines) not in (2, 4):
        raise _malformed("the minisign signature has other lines than two or four")
    blob = _minisign_blob(lines[1:2], _MINISIGN_SIGNATURE, "signature")
    signed = blake2b(message).digest() if blob[:2] == b"ED" else message
    _check_ed25519(parse_base64(key), blob[10:], signed)
    return b"untrusted comment:\n" + base64_text(blob).encode()


def _minisign_blob(lines: list[str], size: int, what: str) -> bytes:
    try:
        blob = parse_base64(lines[0])
    except (ValueError, IndexError) as error:
        raise _malformed(f"the minisign {what} is not base64") from error
    if len(blob) != size or blob[:2] not in (b"Ed", b"ED"):
        raise _malformed(f"the minisign {what} is not of Ed25519")
    return blob


def _lines(content: bytes) -> list[str]:
    # Comments may be in any language; only the lines of base64 matter.
    return content.decode("latin-1").replace("\r\n", "\n").rstrip("\n").split("\n")


def _check_ed25519(key: bytes, signature: bytes, message: bytes) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise _invalid() from error


def _ssh_key(content: bytes) -> bytes:
    """Read one line as in `id_ed25519.pub`; its comment is dropped."""
    parts = content.split()
    if len(parts) < 2:
        raise _malformed("the SSH public key is not one line TYPE BASE64 COMMENT")
    line = b"%b %b\n" % (parts[0], parts[1])
    _load_ssh(line)
    return line


def _load_ssh(line: bytes) -> object:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    try:
        return load_ssh_public_key(line)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise VerificationError("KEY_UNREADABLE", "the SSH public key cannot be read") from error


def _check_ssh(signature: bytes, key: bytes, message: bytes) -> bytes:
    """Check an SSHSIG of namespace `file` and hash `sha512`, what `ssh-keygen -Y sign` makes."""
    blocks = parse_pem(signature, error=_ERROR)
    if len(blocks) != 1 or blocks[0][0] != _SSH_LABEL:
        raise _malformed(f"the SSH signature is not one PEM block {_SSH_LABEL}")
    blob = blocks[0][1]
    if not blob.startswith(_SSH_MAGIC + b"\0\0\0\1"):
        raise _malformed("the SSH signature is not an SSHSIG of version 1")
    public, namespace, reserved, hash_name, made = _strings(blob[len(_SSH_MAGIC) + 4 :], 5)
    if (namespace, reserved, hash_name) != (_SSH_NAMESPACE, b"", _SSH_HASH):
        raise _malformed("the SSH signature is not of namespace file and hash sha512")
    if public != parse_base64(key.split()[1]):
        raise _invalid()
    fields = (_SSH_NAMESPACE, b"", _SSH_HASH, sha512(message).digest())
    signed = _SSH_MAGIC + b"".join(len(each).to_bytes(4, "big") + each for each in fields)
    scheme, value = _strings(made, 2)
    _verify_ssh(_load_ssh(key), scheme, value, signed)
    return encode_pem(_SSH_LABEL, blob)


def _verify_ssh(key: object, scheme: bytes, value: bytes, signed: bytes) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    rsa_hashes = {b"rsa-sha2-256": hashes.SHA256(), b"rsa-sha2-512": hashes.SHA512()}
    try:
        match key:
            case ed25519.Ed25519PublicKey() if scheme == b"ssh-ed25519":
                key.verify(value, signed)
            case rsa.RSAPublicKey() if scheme in rsa_hashes and key.key_size >= 2048:
                key.verify(value, signed, padding.PKCS1v15(), rsa_hashes[scheme])
            case ec.EllipticCurvePublicKey() if scheme.startswith(b"ecdsa-sha2-nistp"):
                # RFC 5656 §6.2.1: the hash is the curve's.
                sizes = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
                r, s = (int.from_bytes(each, "big") for each in _strings(value, 2))
                key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(sizes[key.key_size]))
            case _:
                raise _invalid()
    except (InvalidSignature, ValueError) as error:
        raise _invalid() from error


def _strings(data: bytes, count: int) -> tuple[bytes, ...]:
    """Read `count` strings of SSH (RFC 4251 §5), and nothing after them."""
    found = []
    for _ in range(count):
        end = 4 + int.from_bytes(data[:4], "big")
        if len(data) < end or end < 4:
            raise _malformed("the SSH signature ends too early")
        found.append(data[4:end])
        data = data[end:]
    if data:
        raise _malformed("the SSH signature goes on after its end")
    return tuple(found)


def _malformed(text: str) -> TouchplateError:
    return MalformedError(_ERROR, text)


def _invalid() -> VerificationError:
    return VerificationError("SIGNATURE_INVALID", "the signature does not verify with the key")


class _Format(NamedTuple):
    key: Callable[[bytes], bytes]
    # (signature, canonical key, message) -> canonical signature
    check: Callable[[bytes, bytes, bytes], bytes]


_FORMATS: Final = {
    "minisign": _Format(_minisign_key, _check_minisign),
    "ssh": _Format(_ssh_key, _check_ssh),
    "x509": _Format(_x509_key, _check_x509),
}
FORMATS: Final = tuple(_FORMATS)
"""The formats that are read."""
