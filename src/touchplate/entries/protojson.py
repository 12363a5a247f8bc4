"""Reading protobuf JSON as the v2 log's API must: generous with spelling, strict with members.

Names in lowerCamelCase or snake_case; unknown or repeated members are errors. The values are read
by `Fields`: bytes in either base64 alphabet, enums by name or number, `null` for unset.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from touchplate.errors import MalformedError
from touchplate.formats.jsontext import Fields, JsonObject
from touchplate.keys.algorithms import NAMES

# Each spelling of a member, and its canonical name.
_VERIFIER: Final = {
    "publicKey": "publicKey",
    "public_key": "publicKey",
    "x509Certificate": "x509Certificate",
    "x509_certificate": "x509Certificate",
    "keyDetails": "keyDetails",
    "key_details": "keyDetails",
}
_VERIFIER_KINDS: Final = ("publicKey", "x509Certificate")
_RAW: Final = {"rawBytes": "rawBytes", "raw_bytes": "rawBytes"}


class Verifier(NamedTuple):
    """The `Verifier` message, read and not checked."""

    der: bytes
    is_certificate: bool
    # Name of a `PublicKeyDetails`; "" if not given.
    key_details: str


def read_message(value: object, names: Mapping[str, str], path: str) -> Fields:
    """Give the members of a message under their canonical names.

    A message that is absent or null is one without members. `names` maps each spelling to the
    canonical one; `path` is for errors. Raises REQUEST_MALFORMED.
    """
    error = "REQUEST_MALFORMED"
    members: JsonObject = {}
    if value is None:
        return Fields(members, error=error, path=path)
    if not isinstance(value, dict):
        raise MalformedError(error, f"{path or 'the request'} is not an object")
    for spelling, member in value.items():
        name = names.get(spelling)
        if name is None:
            raise MalformedError(error, f"{path}.{spelling[:100]} is not a known field")
        if name in members:
            raise MalformedError(error, f"{path}.{name} stands twice, in two spellings")
        members[name] = member
    return Fields(members, error=error, path=path)


def read_verifier(value: object, path: str) -> Verifier:
    """Read a `Verifier` message; what is missing is empty. Raises REQUEST_MALFORMED."""
    verifier = read_message(value, _VERIFIER, path)
    oneof = verifier.one_of(_VERIFIER_KINDS) or "publicKey"
    raw = read_message(verifier.value(oneof), _RAW, f"{path}.{oneof}")
    return Verifier(
        raw.bytes("rawBytes"),
        oneof == "x509Certificate",
        verifier.enum("keyDetails", NAMES, "") or "",
    )
