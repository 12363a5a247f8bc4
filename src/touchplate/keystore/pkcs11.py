"""Private keys in a PKCS#11 token: an HSM, a smart card, SoftHSM.

Each library is called by one thread alone: python-pkcs11 initializes it as for a program without
threads, and so no two calls may be made at once. A call that hangs is given up by who waits for it
(`calls`). When a call fails, the library is initialized anew, which ends all sessions and drops all
handles; then every key is looked up again. What did not help is tried once a second at most.
Nothing is opened before a key is loaded, and a forked child begins anew.

A wrong PIN is never sent twice: tokens lock themselves after a few.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Any, Final, TypeVar

from touchplate.errors import RefusedError, SettingsError, UnavailableError, VerificationError
from touchplate.keys.public import PublicKey
from touchplate.keys.signer import Signer
from touchplate.keystore.calls import RETRY_AFTER, SECONDS, Calls
from touchplate.keystore.pkcs11_uri import TOKEN_ATTRIBUTES, Pkcs11Uri, parse_pkcs11_uri
from touchplate.keystore.remote import RemoteSigner
from touchplate.keystore.secrets import Secrets

T = TypeVar("T")

# Between two attempts to begin anew: a token that is gone is not asked for by each request.
PAUSE_SECONDS: Final = 1.0
# Making an RSA key takes a token its time.
CREATE_SECONDS: Final = 60.0


class Pkcs11Keys:
    """Keys under `pkcs11:` URIs. One of these for each library in a process."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._modules: dict[str, _Module] = {}
        self._lock = Lock()

    def load(self, uri: str, secrets: Secrets) -> Signer:
        """Open the key; its public half must be on the token too, or its certificate."""
        key = self._key(uri, secrets)
        public = key.load()
        return RemoteSigner(key.uri.place, public, key.sign)

    def create(self, uri: str, kind: str, secrets: Secrets) -> Signer:
        """Make a key that never leaves the token."""
        key = self._key(uri, secrets)
        key.create(kind)
        return self.load(uri, secrets)

    def _key(self, uri: str, secrets: Secrets) -> "_Key":
        parsed = parse_pkcs11_uri(uri)
        if parsed.pin_source is not None:
            # Now: a person who is asked for it takes longer than a call may.
            secrets.fetch(parsed.pin_source, parsed.pin_name)
        with self._lock:
            module = self._modules.get(parsed.module)
            if module is None:
                module = _Module(parsed.module, self._seconds)
                self._modules[parsed.module] = module
        return _Key(module, parsed, secrets)


class _Module:
    """One library in this process. Everything but `calls` belongs to the thread of `calls`."""

    def __init__(self, path: str, seconds: float) -> None:
        self.path = path
        self.calls = Calls(f"the token library {path}", threads=1, seconds=seconds)
        self.refused_pins: set[tuple[object, str]] = set()
        self.sessions: dict[object, Any] = {}
        # Handles of an earlier one are worth nothing.
        self.generation = 0
        self._process = 0
        self._last_reset = float("-inf")
        self._library: Any = None

    def library(self) -> Any:  # noqa: ANN401 - python-pkcs11's class is made at run time
        """Give the library, initialized in this process."""
        import pkcs11

        if self._library is not None and self._process != os.getpid():
            # We were forked: what the parent had open is not ours (PKCS#11 §5.4, C_Initialize).
            self._forget()
        try:
            self._library = pkcs11.lib(self.path)
        except (pkcs11.PKCS11Error, RuntimeError) as error:
            if self._library is not None or type(error) is not pkcs11.PKCS11Error:
                raise
            # Only python-pkcs11 itself raises the base class: the file could not be loaded.
            raise SettingsError(
                "SETTINGS_INVALID",
                f"{self.path} cannot be loaded as a PKCS#11 library",
                hint="module-path must name the library that came with the token",
            ) from error
        self._process = os.getpid()
        return self._library

    def reset(self, *, at_once: bool) -> bool:
        """Begin anew, unless that was just done and can wait; give whether it was."""
        now = time.monotonic()
        if not at_once and now - self._last_reset < PAUSE_SECONDS:
            return False
        self._last_reset = now
        self._forget()
        return True

    def has_helped(self) -> None:
        """Say that the last new beginning was worth it: the next one need not wait."""
        self._last_reset = float("-inf")

    def _forget(self) -> None:
        import pkcs11

        self.generation += 1
        self.sessions.clear()
        if self._library is not None:
            # It may have lost its state; then there is nothing to end.
            with suppress(pkcs11.PKCS11Error):
                self._library.finalize()


class _Key:
    """One key of a module, found again whenever the module began anew."""

    def __init__(self, module: _Module, uri: Pkcs11Uri, secrets: Secrets) -> None:
        self.uri = uri
        self._module = module
        self._secrets = secrets
        self._generation = -1
        self._private: Any = None
        self._public: PublicKey | None = None

    def load(self) -> PublicKey:
        """Find the key and its public half."""
        return self._run(self._find, at_once=True)

    def sign(self, data: bytes) -> bytes:
        """Sign a digest, or for Ed25519 the message."""
        return self._run(lambda: self._sign(data))

    def create(self, kind: str) -> None:
        """Make the pair, if there is none under this name."""
        self._run(lambda: self._create(kind), CREATE_SECONDS, at_once=True)

    def _run(
        self, call: Callable[[], T], seconds: float | None = None, *, at_once: bool = False
    ) -> T:
        """Make the call in the module's thread; after a failure once more, begun anew."""
        from pkcs11 import PKCS11Error

        def both() -> T:
            try:
                return call()
            except PKCS11Error:
                if not self._module.reset(at_once=at_once):
                    raise
            result = call()
            self._module.has_helped()
            return result

        try:
            return self._module.calls.run(both, seconds)
        except PKCS11Error as error:
            raise UnavailableError(
                "SERVICE_UNAVAILABLE",
                f"{self.uri.place}: the token does not answer ({type(error).__name__})",
                retry_after=RETRY_AFTER,
            ) from error

    def _sign(self, data: bytes) -> bytes:
        from touchplate.keystore.pkcs11_objects import make_signature

        self._module.library()
        if self._generation != self._module.generation:
            self._find()
        assert self._public is not None  # noqa: S101  load() came first
        return make_signature(self._private, self._public, data)

    def _find(self) -> PublicKey:
        from pkcs11 import ObjectClass

        from touchplate.keystore.pkcs11_objects import read_certificate_key, read_public_key

        session = self._session()
        generation = self._module.generation
        private = self._only(session, ObjectClass.PRIVATE_KEY)
        if private is None:
            raise SettingsError(
                "KEY_NOT_FOUND",
                f"there is no {self.uri.place}",
                hint="look with: pkcs11-tool --list-objects; or make it: touchplate keys create",
            )
        public = self._only(session, ObjectClass.PUBLIC_KEY)
        certificate = None if public else self._only(session, ObjectClass.CERTIFICATE)
        try:
            if public is not None:
                key = read_public_key(public)
            elif certificate is not None:
                key = read_certificate_key(certificate)
            else:
                raise SettingsError(
                    "KEY_NOT_FOUND",
                    f"beside {self.uri.place} there is neither its public key nor a certificate",
                    hint="put the public key on the token, with the same label and id",
                )
        except VerificationError as error:
            raise SettingsError(
                "KEY_NOT_FOUND", f"{self.uri.place} cannot be used: {error}"
            ) from error
        if self._public is not None and key != self._public:
            raise SettingsError(
                "KEY_NOT_FOUND",
                f"{self.uri.place} is another than at the start",
                expected=f"SHA-256 {self._public.key_id.hex()}",
                found=f"SHA-256 {key.key_id.hex()}",
            )
        self._private, self._public, self._generation = private, key, generation
        return key

    def _only(self, session: Any, kind: Any) -> Any:  # noqa: ANN401 - objects of python-pkcs11
        """Find the one object of this class with the key's label and id."""
        from pkcs11 import Attribute

        wanted: dict[Any, Any] = {Attribute.CLASS: kind}
        if self.uri.label is not None:
            wanted[Attribute.LABEL] = self.uri.label
        if self.uri.id is not None:
            wanted[Attribute.ID] = self.uri.id
        found = list(session.get_objects(wanted))
        if len(found) > 1:
            raise SettingsError(
                "SETTINGS_INVALID",
                f"there are {len(found)} objects for {self.uri.place}",
                hint="name its id too: pkcs11:token=…;object=…;id=%01",
            )
        return found[0] if found else None

    def _create(self, kind: str) -> None:
        from pkcs11 import ObjectClass

        from touchplate.keystore.pkcs11_objects import generate_pair

        if self._only(self._session(), ObjectClass.PRIVATE_KEY) is not None:
            raise RefusedError("FILE_EXISTS", f"there is a {self.uri.place} already")
        key_id = self.uri.id or os.urandom(8)
        with self._token().open(rw=True) as session:
            generate_pair(session, kind, self.uri.label, key_id)

    def _session(self) -> Any:  # noqa: ANN401 - a session of python-pkcs11
        """Give the session that all keys of the token share, logged in."""
        self._module.library()
        which = (self.uri.token, self.uri.slot)
        session = self._module.sessions.get(which)
        if session is None:
            session = self._log_in(self._token(), which)
            self._module.sessions[which] = session
        return session

    def _token(self) -> Any:  # noqa: ANN401 - a token of python-pkcs11
        from pkcs11 import TokenNotPresent, TokenNotRecognised

        found = []
        for slot in self._module.library().get_slots():
            if self.uri.slot not in (None, slot.slot_id):
                continue
            with suppress(TokenNotPresent, TokenNotRecognised):
                token = slot.get_token()
                if all(_is(token, name, value) for name, value in self.uri.token):
                    found.append(token)
        if not found:
            # Some libraries see a token that came later only when they begin anew.
            raise TokenNotPresent
        if len(found) > 1:
            raise SettingsError(
                "SETTINGS_INVALID",
                f"{len(found)} tokens fit: {self.uri.place}",
                hint="name the serial number too: pkcs11:token=…;serial=…",
            )
        return found[0]

    def _log_in(self, token: Any, which: object) -> Any:  # noqa: ANN401 - as above
        import pkcs11

        pin = self._pin()
        if (which, pin or "") in self._module.refused_pins:
            raise self._wrong_pin("was refused before, and is not sent again")
        try:
            return token.open(user_pin=pin)
        except pkcs11.UserAlreadyLoggedIn:
            return token.open()
        except (
            pkcs11.PinIncorrect,
            pkcs11.PinInvalid,
            pkcs11.PinLenRange,
            pkcs11.PinLocked,
            pkcs11.PinExpired,
        ) as error:
            self._module.refused_pins.add((which, pin or ""))
            raise self._wrong_pin(f"is refused ({type(error).__name__})") from error

    def _pin(self) -> str | None:
        if self.uri.pin_source is not None:
            return self._secrets.fetch(self.uri.pin_source, self.uri.pin_name)
        return self.uri.pin

    def _wrong_pin(self, how: str) -> SettingsError:
        return SettingsError(
            "SETTINGS_INVALID",
            f"{self.uri.pin_name} {how}",
            hint="set the right one and start again; a token locks after a few wrong ones",
        )


def _is(token: Any, name: str, value: str) -> bool:  # noqa: ANN401 - as above
    found = getattr(token, TOKEN_ATTRIBUTES[name])
    text = found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)
    return text.rstrip() == value
