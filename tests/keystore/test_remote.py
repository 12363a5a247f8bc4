"""What holds of every key elsewhere: a wrong signature never leaves, nothing else is raised."""

from collections.abc import Callable
from typing import NoReturn

import pytest
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]  # it exports it

from tests.keystore.secret_texts import Given
from touchplate.errors import RefusedError, SettingsError, TouchplateError, UnavailableError
from touchplate.keys.public import check_signature
from touchplate.keys.signer import generate
from touchplate.keystore import load_signer
from touchplate.keystore.check import probe_signer
from touchplate.keystore.library import SERVICES, LibraryKeys, Service, read_public_key
from touchplate.keystore.remote import RemoteSigner, check_signer

KEY, OTHER = generate("ecdsa-p256"), generate("ecdsa-p256")


@pytest.mark.parametrize(
    "ask",
    [OTHER.sign_digest, lambda _: b"", KEY.sign],
    ids=["another key", "nothing", "another message"],
)
def test_wrong_signature(ask: Callable[[bytes], bytes]) -> None:
    """Another key's signature, none at all, and one over something else are all refused."""
    signer = RemoteSigner("there", KEY.public_key, ask)
    for sign, data in ((signer.sign, b"x"), (signer.sign_digest, b"x" * 32)):
        with pytest.raises(UnavailableError) as caught:
            sign(data)
        assert caught.value.code == "SERVICE_UNAVAILABLE"


@pytest.mark.parametrize("branch", [RefusedError, SettingsError])
def test_roles_see_one_failure(branch: type[RefusedError]) -> None:
    """Whatever the store says, a role sees that it is not available; a probe tells the reason."""

    def ask(_: bytes) -> bytes:
        raise branch("SERVICE_REFUSED", "not you")

    signer = RemoteSigner("there", KEY.public_key, ask)
    with pytest.raises(UnavailableError) as caught:
        signer.sign(b"x")
    probe = probe_signer(signer)

    assert caught.value.code == "SERVICE_UNAVAILABLE"
    assert isinstance(probe.fault, branch)
    assert probe.step == "sign"


def library_keys(made: CryptoSigner) -> LibraryKeys:
    """Give keys as a service has them, with the library's own signer in place of its client."""
    service = SERVICES["hashivault"]
    return LibraryKeys(Service(service.name, service.form, service.shown, lambda _: made, ""))


@pytest.mark.parametrize("kind", ["ecdsa", "ed25519"])
def test_library(kind: str) -> None:
    """A signer of the common library is one of ours: the same key, and right signatures."""
    made = getattr(CryptoSigner, f"generate_{kind}")()
    signer = library_keys(made).load("hashivault://ca", Given())

    check_signature(signer.public_key, signer.sign(b"x"), b"x", signer.algorithm)
    assert signer.public_key == read_public_key(made, "there")


def test_library_scheme() -> None:
    """A scheme that verifiers here do not expect of such a key is refused when it is loaded."""
    with pytest.raises(SettingsError) as caught:
        library_keys(CryptoSigner.generate_rsa()).load("hashivault://ca", Given())

    assert "rsassa-pss-sha256" in str(caught.value)


def test_library_error() -> None:
    """The text of another library's error may hold a token, and is not repeated."""

    class Failing(CryptoSigner):
        def sign(self, payload: bytes) -> NoReturn:
            raise RuntimeError("Authorization: s.token")

    made = CryptoSigner.generate_ecdsa()
    made.__class__ = Failing
    signer = library_keys(made).load("hashivault://ca", Given())
    with pytest.raises(UnavailableError) as caught:
        signer.sign(b"x")

    assert "s.token" not in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        "gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k",
        "gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k/versions/x",
        "azurekms://vault",
        "azurekms://vault/key/version/more",
        "hashivault://",
        "hashivault://a/b",
        "hashivault://../x",
    ],
)
def test_uri_of_a_service(uri: str) -> None:
    """A URI that is not of the service's form is refused; it is made no address of."""
    with pytest.raises(SettingsError) as caught:
        LibraryKeys(SERVICES[uri.partition(":")[0]]).load(uri, Given())

    assert caught.value.code == "SETTINGS_INVALID"


@pytest.mark.parametrize("uri", ["gcpkms://x", "azurekms://v/k", "hashivault://k"])
def test_package_is_missing(uri: str) -> None:
    """Without the maker's client the extra to install is named."""
    with pytest.raises(SettingsError) as caught:
        load_signer(uri)

    assert "touchplate[" in (caught.value.hint or "")


class Store:
    """A key store that signs, or does not, as told; and a clock."""

    def __init__(self) -> None:
        self.fault: TouchplateError | None = None
        self.asked = 0
        self.now = 1000.0
        self.signer = RemoteSigner("there", KEY.public_key, self.ask, monotonic=lambda: self.now)

    def ask(self, digest: bytes) -> bytes:
        """Sign a digest."""
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        return KEY.sign_digest(digest)

    def failing(self) -> str | None:
        """Say why the key is not usable, None if it is."""
        try:
            check_signer(self.signer)
        except UnavailableError as error:
            cause = error.__cause__
            return cause.code if isinstance(cause, TouchplateError) else error.code
        return None


def test_check_probes_when_nothing_was_signed() -> None:
    """What was signed in the last ten seconds says that the key signs; else a probe does."""
    store = Store()
    assert (store.failing(), store.asked) == (None, 1)
    store.now += 9
    assert (store.failing(), store.asked) == (None, 1)
    store.now += 2
    assert (store.failing(), store.asked) == (None, 2)
    store.now += 9
    store.signer.sign(b"x")
    store.now += 9
    assert (store.failing(), store.asked) == (None, 3)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (UnavailableError("SERVICE_UNAVAILABLE", "gone"), "SERVICE_UNAVAILABLE"),
        (SettingsError("KEY_NOT_FOUND", "there is no such key"), "KEY_NOT_FOUND"),
        (RefusedError("SERVICE_REFUSED", "not you"), "SERVICE_REFUSED"),
    ],
)
def test_check_tells_of_requests_that_failed(fault: TouchplateError, code: str) -> None:
    """A request's failure is told at once; a probe in a second finds out that it is over."""
    store = Store()
    store.signer.sign(b"x")
    store.fault = fault
    with pytest.raises(UnavailableError):
        store.signer.sign(b"x")

    for _ in range(5):
        assert store.failing() == code
    assert store.asked == 2
    store.now += 1.5
    assert (store.failing(), store.asked) == (code, 3)
    store.fault = None
    assert (store.failing(), store.asked) == (code, 3)
    store.now += 1.5
    assert (store.failing(), store.asked) == (None, 4)


def test_check_after_a_wrong_signature() -> None:
    """A key that was exchanged does not sign, whatever it answers."""
    signer = RemoteSigner("there", KEY.public_key, OTHER.sign_digest)
    for _ in range(2):
        with pytest.raises(UnavailableError, match="does not verify"):
            check_signer(signer)


def test_check_here() -> None:
    """A key in this process signs."""
    check_signer(KEY)
