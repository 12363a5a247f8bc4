"""TUF metadata as bytes: canonical JSON, keys, signatures, and the four roles' `signed` parts.

TUF specification 1.0 §4. Only what our own repository writes and reads back; clients use python-tuf
(`touchplate.trust`), which is also the oracle of the tests.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, Literal

from touchplate.errors import MalformedError, RefusedError
from touchplate.keys.public import PublicKey, check_signature
from touchplate.keys.signer import Signer

Role = Literal["root", "targets", "snapshot", "timestamp"]
ROLES: Final[tuple[Role, ...]] = ("root", "targets", "snapshot", "timestamp")

SPEC_VERSION: Final = "1.0.31"
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Metadata:
    """What one role says. `content` holds the members that only this role has, as JSON values."""

    role: Role
    version: int
    expires_at: datetime
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TargetFile:
    """A file that clients get: its length in bytes and its SHA-256 in lower-case hex."""

    length: int
    sha256: str


def describe(data: bytes) -> TargetFile:
    """Give what targets metadata says of a file."""
    return TargetFile(len(data), sha256(data).hexdigest())


def canonical_json(value: object) -> bytes:
    """Encode in OLPC canonical JSON: what is signed (TUF §4.2.1). Not RFC 8785: newlines stay raw.

    Takes strings, integers, booleans, None, lists and dicts; anything else is our own bug.
    """
    parts: list[str] = []
    _write(value, parts)
    return "".join(parts).encode()


def _write(value: object, parts: list[str]) -> None:
    match value:
        case str():
            parts.append('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"')
        case bool() | None:
            parts.append({True: "true", False: "false", None: "null"}[value])
        case int():
            parts.append(str(value))
        case list() | tuple():
            parts.append("[")
            for position, each in enumerate(value):
                if position:
                    parts.append(",")
                _write(each, parts)
            parts.append("]")
        case Mapping():
            parts.append("{")
            for position, name in enumerate(sorted(value)):
                if position:
                    parts.append(",")
                _write(name, parts)
                parts.append(":")
                _write(value[name], parts)
            parts.append("}")
        case _:
            raise AssertionError(f"{type(value).__name__} has no canonical form")


def key_entry(key: PublicKey) -> dict[str, Any]:
    """Describe a key as root metadata does; ALGORITHM_REFUSED if clients do not know its kind."""
    match key.kind:
        case "ecdsa-p256":
            kind, scheme, public = "ecdsa", "ecdsa-sha2-nistp256", key.pem()
        case "ed25519":
            kind, scheme, public = "ed25519", "ed25519", key.raw().hex()
        case _:
            raise RefusedError(
                "ALGORITHM_REFUSED",
                "TUF metadata is not signed with this kind of key",
                expected="ecdsa-p256 or ed25519",
                found=key.kind,
            )
    return {"keytype": kind, "scheme": scheme, "keyval": {"public": public}}


def key_id(key: PublicKey) -> str:
    """Give the conventional key id: SHA-256 of the key's canonical form, in hex."""
    return sha256(canonical_json(key_entry(key))).hexdigest()


def encode(metadata: Metadata, signer: Signer) -> bytes:
    """Sign and encode; one signature, threshold one."""
    signed = {
        "_type": metadata.role,
        "spec_version": SPEC_VERSION,
        "version": metadata.version,
        "expires": metadata.expires_at.astimezone(UTC).strftime(_TIME),
        **metadata.content,
    }
    signature = signer.sign(canonical_json(signed)).hex()
    envelope = {
        "signatures": [{"keyid": key_id(signer.public_key), "sig": signature}],
        "signed": signed,
    }
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()


def decode(data: bytes, role: Role, key: PublicKey) -> Metadata:
    """Read back what `encode` wrote with `key`.

    Raises JSON_MALFORMED or SIGNATURE_INVALID if it is anything else.
    """
    try:
        envelope = json.loads(data)
        signed = envelope["signed"]
        (signature,) = (
            bytes.fromhex(each["sig"])
            for each in envelope["signatures"]
            if each["keyid"] == key_id(key)
        )
        check_signature(key, signature, canonical_json(signed), key.algorithms[0])
        expires_at = datetime.strptime(signed["expires"], _TIME).replace(tzinfo=UTC)
        common = ("_type", "spec_version", "version", "expires")
        content = {name: value for name, value in signed.items() if name not in common}
        if signed["_type"] != role:
            raise MalformedError(
                "JSON_MALFORMED", "TUF metadata", expected=role, found=str(signed["_type"])
            )
        return Metadata(role, int(signed["version"]), expires_at, content)
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise MalformedError("JSON_MALFORMED", f"TUF {role} metadata: {error}") from error
