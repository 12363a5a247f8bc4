"""What authorities and logs sign: RFC 3161 timestamps, SCTs and the signature lines of notes.

DER is written by hand, so that each part can be spoiled alone.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.verify.certificates import NOW, Held, b64, sign, spki
from touchplate.formats.element import encode, oid_octets


def sequence(*parts: bytes) -> bytes:
    """Give a DER SEQUENCE."""
    return encode(0x30, b"".join(parts))


def oid(dotted: str) -> bytes:
    """Give a DER object identifier."""
    return encode(0x06, oid_octets(dotted))


HASH_IDS = {
    "sha1": "1.3.14.3.2.26",
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}
ECDSA_SHA256 = sequence(oid("1.2.840.10045.4.3.2"))
TST_INFO = "1.2.840.113549.1.9.16.1.4"


def stamp(
    signed: bytes,
    signer: Held,
    *,
    at: datetime = NOW,
    hash_name: str = "sha256",
    imprint: bytes | None = None,
    certificates: Sequence[bytes] = (),
    named: Held | None = None,
    key: Any = None,
    content_type: str = TST_INFO,
    status: int = 0,
    fraction: str = "",
    signers: int = 1,
    message_digest: bytes | None = None,
    issuer_and_serial: Held | None = None,
    drop_attribute: int | None = None,
    certificate_hash: str = "sha256",
    algorithm: bytes = ECDSA_SHA256,
    digest_name: str = "sha256",
    key_id: bytes | None = None,
    change: Callable[[str, list[bytes]], Sequence[bytes]] | None = None,
) -> bytes:
    """Make a TimeStampResp over `signed`; each keyword spoils or varies one part.

    `change` is given the elements of each structure, and its name, before they are put together.
    """
    edit = change or (lambda _, parts: parts)
    digest = hashlib.new(hash_name, signed).digest() if imprint is None else imprint
    content = [
        b"\x02\x01\x01",
        oid("1.3.6.1.4.1.57264.2"),
        sequence(sequence(oid(HASH_IDS[hash_name]), b"\x05\x00"), encode(0x04, digest)),
        b"\x02\x01\x2a",
        encode(0x18, at.strftime("%Y%m%d%H%M%S").encode() + fraction.encode() + b"Z"),
    ]
    info = sequence(*edit("content", content))
    holder = (named or signer).der
    certificate_id = encode(0x04, hashlib.new(certificate_hash, holder).digest())
    if certificate_hash not in {"sha1", "sha256"}:
        certificate_id = sequence(oid(HASH_IDS[certificate_hash])) + certificate_id
    attribute = "16.2.12" if certificate_hash == "sha1" else "16.2.47"
    values = [
        (oid("1.2.840.113549.1.9.3"), oid(content_type)),
        (
            oid("1.2.840.113549.1.9.4"),
            encode(0x04, message_digest or hashlib.new(digest_name, info).digest()),
        ),
        (
            oid(f"1.2.840.113549.1.9.{attribute}"),
            sequence(sequence(sequence(certificate_id))),
        ),
    ]
    if drop_attribute is not None:
        del values[drop_attribute]
    listed = sorted(sequence(name, encode(0x31, value)) for name, value in values)
    attributes = b"".join(edit("attributes", listed))
    signature = sign(key or signer.key, encode(0x31, attributes))
    who = (issuer_and_serial or signer).certificate
    by_name = sequence(who.issuer_der, encode(0x02, who.serial_bytes))
    parts = [
        b"\x02\x01\x01" if key_id is None else b"\x02\x01\x03",
        by_name if key_id is None else encode(0x80, key_id),
        sequence(oid(HASH_IDS[digest_name])),
        encode(0xA0, attributes),
        algorithm,
        encode(0x04, signature),
    ]
    info_of_signer = sequence(*edit("signer", parts))
    parts = [
        b"\x02\x01\x03",
        encode(0x31, sequence(oid(HASH_IDS[digest_name]))),
        sequence(oid(TST_INFO), encode(0xA0, encode(0x04, info))),
        encode(0xA0, b"".join(certificates)) if certificates else b"",
        encode(0x31, info_of_signer * signers),
    ]
    data = sequence(*edit("data", parts))
    token = sequence(oid("1.2.840.113549.1.7.2"), encode(0xA0, data))
    return sequence(sequence(bytes((2, 1, status))), token if status < 2 else b"")


def sct(
    tbs: bytes,
    issuer_spki: bytes,
    key: Any,
    *,
    at: datetime = NOW,
    extensions: bytes = b"",
    log_id: bytes | None = None,
    algorithms: bytes = b"\x04\x03",
    moment: int | None = None,
) -> bytes:
    """Make a signed certificate timestamp; `moment`, in milliseconds, goes before `at`."""
    milliseconds = int(at.timestamp() * 1000) if moment is None else moment
    when = milliseconds.to_bytes(8, "big")
    ending = len(extensions).to_bytes(2, "big") + extensions
    signed = (
        b"\0\0"
        + when
        + b"\0\1"
        + hashlib.sha256(issuer_spki).digest()
        + len(tbs).to_bytes(3, "big")
        + tbs
        + ending
    )
    signature = sign(key, signed)
    identity_of_log = log_id or hashlib.sha256(spki(key)).digest()
    return (
        b"\0"
        + identity_of_log
        + when
        + ending
        + algorithms
        + len(signature).to_bytes(2, "big")
        + signature
    )


def note_line(name: str, hint: bytes, signature: bytes) -> str:
    """Make one signature line of a note."""
    return f"\u2014 {name} {b64(hint + signature)}\n"


def note_id(name: str, key: Any) -> bytes:
    """Give the whole note key id of a v2 log."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        public = key.public_key().public_bytes_raw()
        return hashlib.sha256(name.encode() + b"\n\x01" + public).digest()
    return hashlib.sha256(spki(key)).digest()
