"""Keys and signatures of other tools: what is read, and the one form that each has in a leaf."""

import shutil
import subprocess
from base64 import b64decode, b64encode
from hashlib import blake2b
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from touchplate.entries.signer_key import FORMATS, canonical_key, check_signed
from touchplate.errors import TouchplateError
from touchplate.keys.pem import encode_pem
from touchplate.keys.signer import generate

MESSAGE = b"an artifact\n"
KEY_NUMBER = bytes(range(8))
ED25519 = Ed25519PrivateKey.generate()
RAW = ED25519.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def minisign_key(raw: bytes = RAW) -> bytes:
    """Write the line of base64 of a minisign public key."""
    return b64encode(b"Ed" + KEY_NUMBER + raw)


def minisign(message: bytes, *, hashed: bool) -> bytes:
    """Write the first two lines of a minisign signature, all that signify has."""
    algorithm = b"ED" if hashed else b"Ed"
    signed = blake2b(message).digest() if hashed else message
    blob = b64encode(algorithm + KEY_NUMBER + ED25519.sign(signed))
    return b"untrusted comment: by a caf\xc3\xa9\n" + blob + b"\n"


def refused(key_format: str, signature: bytes, key: bytes, message: bytes = MESSAGE) -> str:
    """Give the code with which a signature is refused."""
    with pytest.raises(TouchplateError) as caught:
        check_signed(key_format, signature, key, message)
    return caught.value.code


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize("trusted", [b"", b"trusted comment: x\n" + b64encode(bytes(64)) + b"\n"])
def test_minisign(hashed: bool, trusted: bytes) -> None:
    """Both algorithms are checked; comments leave no trace in the leaf."""
    text = minisign(MESSAGE, hashed=hashed)
    key = b"untrusted comment: minisign public key\n" + minisign_key() + b"\n"
    signed = check_signed("minisign", text + trusted, key, MESSAGE)
    assert signed.key == b64encode(RAW)
    assert signed.signature == b"untrusted comment:\n" + text.split(b"\n")[1]
    assert canonical_key("minisign", minisign_key()) == signed.key
    assert refused("minisign", text, key, b"another") == "SIGNATURE_INVALID"


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"one line",
        b"untrusted comment:\n!!!\n",
        b"untrusted comment:\n" + b64encode(b"Ed" + bytes(71)) + b"\n",
        b"untrusted comment:\n" + b64encode(b"XX" + bytes(72)) + b"\n",
        b"1\n2\n3\n",
    ],
)
def test_minisign_garbage(signature: bytes) -> None:
    """What is no minisign signature is malformed."""
    assert refused("minisign", signature, minisign_key()) == "REQUEST_MALFORMED"


@pytest.mark.parametrize("key", [b"", b"AAAA", b64encode(b"Ed" + bytes(39)), b"\xff"])
def test_minisign_keys(key: bytes) -> None:
    """What is no minisign key is malformed."""
    with pytest.raises(TouchplateError) as caught:
        canonical_key("minisign", key)
    assert caught.value.code == "REQUEST_MALFORMED"


def ssh_sign(tmp_path: Path, kind: str, *options: str) -> tuple[bytes, bytes]:
    """Sign the message with OpenSSH; give the signature and the public key."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("OpenSSH is not installed")
    name, _, bits = kind.partition("-")
    size = ["-b", bits] if bits else []
    command = ["ssh-keygen", "-q", "-t", name, *size, "-N", "", "-C", "who cares", "-f", "key"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=30)
    (tmp_path / "message").write_bytes(MESSAGE)
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", "key", "-n", "file", *options, "message"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=30)
    return (tmp_path / "message.sig").read_bytes(), (tmp_path / "key.pub").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa-2048"])
def test_ssh(tmp_path: Path, kind: str) -> None:
    """What OpenSSH signs is taken, for each kind of key; the key's comment leaves no trace."""
    signature, key = ssh_sign(tmp_path, kind)
    signed = check_signed("ssh", signature, key, MESSAGE)
    assert signed.key == b" ".join(key.split()[:2]) + b"\n"
    # OpenSSH breaks lines after 70 characters, the canonical form after 64.
    assert b"".join(signed.signature.split(b"\n")[1:-2]) == b"".join(signature.split(b"\n")[1:-2])
    assert {len(line) for line in signed.signature.split(b"\n")[1:-3]} == {64}
    assert check_signed("ssh", signed.signature, signed.key, MESSAGE) == signed
    assert refused("ssh", signature, key, b"another") == "SIGNATURE_INVALID"


def test_ssh_of_another_key(tmp_path: Path) -> None:
    """The key in the signature must be the key that is named."""
    signature, _ = ssh_sign(tmp_path, "ed25519")
    other = generate("ed25519").public_key.crypto
    key = other.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    assert refused("ssh", signature, key) == "SIGNATURE_INVALID"


@pytest.mark.parametrize("options", [("-O", "hashalg=sha256"), ("-n", "git")])
def test_ssh_for_other_purposes(tmp_path: Path, options: tuple[str, ...]) -> None:
    """A signature of another namespace or hash is refused, as upstream does."""
    signature, key = ssh_sign(tmp_path, "ed25519", *options)
    assert refused("ssh", signature, key) == "REQUEST_MALFORMED"


def test_ssh_cut_anywhere(tmp_path: Path) -> None:
    """A signature that ends too early, or goes on, is malformed."""
    signature, key = ssh_sign(tmp_path, "ed25519")
    blob = b64decode(b"".join(signature.split(b"\n")[1:-2]))
    for end in range(1, len(blob)):
        assert refused("ssh", encode_pem("SSH SIGNATURE", blob[:end]), key) == "REQUEST_MALFORMED"
    longer = encode_pem("SSH SIGNATURE", blob + b"\0")
    assert refused("ssh", longer, key) == "REQUEST_MALFORMED"


@pytest.mark.parametrize("key", [b"", b"ssh-ed25519", b"ssh-ed25519 AAAA x", b"\xff \xff"])
def test_ssh_keys(key: bytes) -> None:
    """What is no SSH key is refused."""
    with pytest.raises(TouchplateError) as caught:
        canonical_key("ssh", key)
    assert caught.value.code in {"REQUEST_MALFORMED", "KEY_UNREADABLE"}


def test_x509() -> None:
    """A PEM key is taken in any spelling and has one canonical form."""
    signer = generate("ecdsa-p384")
    pem = encode_pem("PUBLIC KEY", signer.public_key.spki)
    odd = b"hello\r\n" + pem.replace(b"\n", b"\r\n").strip()
    signed = check_signed("x509", signer.sign(MESSAGE), odd, MESSAGE)
    assert signed == (signed.signature, pem)
    assert canonical_key("x509", odd) == pem


@pytest.mark.parametrize("key_format", FORMATS)
def test_limits(key_format: str) -> None:
    """Keys and signatures above 64 KiB are not looked at."""
    with pytest.raises(TouchplateError) as caught:
        canonical_key(key_format, bytes(65_537))
    assert caught.value.code == "LIMIT_EXCEEDED"
    assert refused("minisign", bytes(65_537), minisign_key()) == "LIMIT_EXCEEDED"


@given(st.sampled_from(FORMATS), st.binary(max_size=200), st.binary(max_size=200))
def test_garbage(key_format: str, signature: bytes, key: bytes) -> None:
    """Any bytes are refused with an error of ours."""
    assert refused(key_format, signature, key)
    assert refused(key_format, signature, minisign_key())
