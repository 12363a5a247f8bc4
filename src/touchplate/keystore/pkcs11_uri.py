"""PKCS#11 URIs (RFC 7512): which token, which key on it, through which library, with which PIN.

pkcs11:token=tp;object=ca?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/pin
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

from touchplate.errors import SettingsError
from touchplate.keystore.uris import shown_key_uri

MAX_URI: Final = 4096

# What selects a token, and what its library calls that.
TOKEN_ATTRIBUTES: Final = {
    "token": "label",
    "serial": "serial",
    "manufacturer": "manufacturer_id",
    "model": "model",
}
_PATH: Final = frozenset({*TOKEN_ATTRIBUTES, "slot-id", "object", "id", "type"})
_QUERY: Final = frozenset({"module-path", "pin-value", "pin-source"})
_FORM: Final = "pkcs11:token=…;object=…?module-path=/…&pin-source=file:/…"


@dataclass(frozen=True, slots=True)
class Pkcs11Uri:
    """One key: all that is given must fit."""

    module: str
    # Attributes of TOKEN_ATTRIBUTES, in order.
    token: tuple[tuple[str, str], ...]
    slot: int | None
    label: str | None
    id: bytes | None
    # Where the PIN is, as `Secrets.fetch` takes it.
    pin_source: str | None
    pin: str | None = field(repr=False)

    @property
    def place(self) -> str:
        """Name the key for people, without the PIN."""
        where = [f"{name} {value!r}" for name, value in self.token]
        if self.slot is not None:
            where.append(f"slot {self.slot}")
        return f"key {self.name!r} on {', '.join(where)}"

    @property
    def pin_name(self) -> str:
        """Name the PIN for people: keys of one token have one."""
        return f"the PIN of {self.place.partition(' on ')[2]}"

    @property
    def name(self) -> str:
        """Give the key's label, or else its id."""
        return self.label if self.label is not None else (self.id or b"").hex()


def parse_pkcs11_uri(uri: str) -> Pkcs11Uri:
    """Read the URI; SETTINGS_INVALID for one that leaves open which key is meant."""
    scheme, _, rest = uri.partition(":")
    if scheme != "pkcs11" or len(uri) > MAX_URI or "#" in rest:
        raise _bad(uri, "this is no PKCS#11 URI")
    path, _, query = rest.partition("?")
    where = _attributes(uri, path, ";", _PATH)
    how = _attributes(uri, query, "&", _QUERY)
    if where.get("type", b"private") != b"private":
        raise _bad(uri, "type must be private, or not given")
    if "object" not in where and "id" not in where:
        raise _bad(uri, "neither object nor id says which key")
    token = tuple((name, _text(uri, where[name])) for name in TOKEN_ATTRIBUTES if name in where)
    slot = _text(uri, where["slot-id"]) if "slot-id" in where else None
    if slot is not None and not re.fullmatch("[0-9]{1,19}", slot):
        raise _bad(uri, "slot-id is no number")
    if not token and slot is None:
        raise _bad(uri, "nothing says which token")
    module = _text(uri, how.get("module-path", b""))
    if not Path(module).is_absolute():
        raise _bad(uri, "module-path must name the token's library, by its whole path")
    if "pin-value" in how and "pin-source" in how:
        raise _bad(uri, "there are two PINs: pin-value and pin-source")
    return Pkcs11Uri(
        module=module,
        token=token,
        slot=None if slot is None else int(slot),
        label=_text(uri, where["object"]) if "object" in where else None,
        id=where.get("id"),
        pin_source=_text(uri, how["pin-source"]) if "pin-source" in how else None,
        pin=_text(uri, how["pin-value"]) if "pin-value" in how else None,
    )


def _attributes(uri: str, text: str, separator: str, known: frozenset[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for each in text.split(separator) if text else ():
        name, equals, value = each.partition("=")
        if name not in known or not equals or not value:
            # §2.3: an attribute that is not understood must not be passed over.
            raise _bad(uri, f"{name[:40]!r} is not known here, or empty")
        if name in found:
            raise _bad(uri, f"{name!r} is there twice")
        found[name] = unquote_to_bytes(value)
    return found


def _text(uri: str, value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise _bad(uri, "there is text that is not UTF-8") from error
    if "\0" in text:
        raise _bad(uri, "there is a NUL in it")
    return text


def _bad(uri: str, problem: str) -> SettingsError:
    shown = shown_key_uri(uri)[:300]
    return SettingsError("SETTINGS_INVALID", f"key URI {shown!r}: {problem}", expected=_FORM)
