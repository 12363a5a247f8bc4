"""What holds of each key backend."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from tests.keystore.secret_texts import Given
from tests.servers.hsm import Token
from tests.servers.kms import KmsServer
from touchplate.errors import RefusedError, SettingsError, VerificationError
from touchplate.keys.public import check_digest_signature, check_signature
from touchplate.keys.signer import Signer
from touchplate.keystore import SCHEMES, MemoryKeys, create_signer, load_signer, probe_uri
from touchplate.keystore.backend import Backend
from touchplate.keystore.secrets import Secrets

SPECS = {
    "ecdsa-p256": "ECC_NIST_P256",
    "ecdsa-p384": "ECC_NIST_P384",
    "ecdsa-p521": "ECC_NIST_P521",
    "rsa-2048": "RSA_2048",
}


@dataclass(frozen=True)
class Place:
    """A backend with a URI that holds no key yet."""

    schemes: dict[str, Backend]
    uri: str
    secrets: Secrets
    # Makes a key where the backend does not; gives its URI.
    make: Callable[[str], str] | None = None

    def create(self, kind: str) -> Signer:
        """Make a key of this kind there."""
        return create_signer(self.uri, kind, secrets=self.secrets, schemes=self.schemes)

    def load(self) -> Signer:
        """Load it."""
        return load_signer(self.uri, secrets=self.secrets, schemes=self.schemes)

    def provide(self, kind: str) -> "Place":
        """Give the place with a key of this kind in it, however it is made there."""
        if self.make is None:
            self.create(kind)
            return self
        return Place(self.schemes, self.make(kind), self.secrets)


BACKENDS = ["file", "encrypted file", "memory", "pkcs11", "awskms"]


@pytest.fixture(params=BACKENDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each backend."""
    path = (tmp_path / "keys" / "ca.pem").as_uri()
    if request.param == "file":
        return Place(dict(SCHEMES), path, Given())
    if request.param == "encrypted file":
        return Place(dict(SCHEMES), f"{path}?passphrase=env:X", Given({"env:X": "open it"}))
    if request.param == "memory":
        return Place({"memory": MemoryKeys()}, "memory:ca", Given())
    if request.param == "pkcs11":
        new_token: Callable[[], Token] = request.getfixturevalue("new_token")
        uri = new_token().uri("ca", "pin-source=env:PIN")
        return Place(dict(SCHEMES), uri, Given({"env:PIN": Token("", Path()).pin}))
    server: KmsServer = request.getfixturevalue("shared_kms")
    return Place(
        dict(SCHEMES),
        server.uri("11111111-2222-3333-4444-555555555555"),
        Given(environ=server.environ),
        lambda kind: server.uri(server.make_key(SPECS[kind])),
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ed25519", "rsa-2048"])
def test_key_is_loaded(place: Place, kind: str) -> None:
    """A key that was made is there afterwards, the same, and it signs."""
    if place.make is not None and kind not in SPECS:
        pytest.skip("there are no such keys")
    place = place.provide(kind)
    one, two = place.load(), place.load()

    assert one.public_key.kind == kind
    assert one.public_key.spki == two.public_key.spki
    check_signature(one.public_key, two.sign(b"probe"), b"probe", two.algorithm)


def test_created_key(place: Place) -> None:
    """What making a key gives is the key that is there; who makes none says how it is done."""
    if place.make is not None:
        with pytest.raises(SettingsError) as caught:
            place.create("ecdsa-p256")
        assert "create-key" in (caught.value.hint or "")
        return
    made = place.create("ecdsa-p256")

    assert made.public_key == place.load().public_key
    check_signature(made.public_key, made.sign(b"probe"), b"probe", made.algorithm)


@pytest.mark.slow
def test_digest(place: Place) -> None:
    """A digest is signed as its message is; one of another length is refused."""
    signer = place.provide("ecdsa-p256").load()
    digest = sha256(b"probe").digest()
    check_digest_signature(signer.public_key, signer.sign_digest(digest), digest, signer.algorithm)
    for wrong in (b"", digest[:-1], digest * 2):
        with pytest.raises(VerificationError) as caught:
            signer.sign_digest(wrong)
        assert caught.value.code == "DIGEST_UNSUPPORTED"


def test_ed25519_digest(place: Place) -> None:
    """Ed25519 signs the message, and no digest of it."""
    if place.make is not None:
        pytest.skip("there are no such keys")
    with pytest.raises(VerificationError) as caught:
        place.provide("ed25519").load().sign_digest(sha256(b"probe").digest())

    assert caught.value.code == "DIGEST_UNSUPPORTED"


def test_never_replaced(place: Place) -> None:
    """Making a key where one is changes nothing and says so."""
    if place.make is not None:
        pytest.skip("no key is made there")
    first = place.create("ecdsa-p256")
    with pytest.raises(RefusedError) as caught:
        place.create("ecdsa-p256")

    assert caught.value.code == "FILE_EXISTS"
    assert place.load().public_key.spki == first.public_key.spki


def test_missing(place: Place) -> None:
    """A key that is not there is the operator's to provide."""
    if place.uri.startswith("pkcs11:"):
        create_signer(place.uri.replace("object=ca", "object=other"), secrets=place.secrets)
    with pytest.raises(SettingsError) as caught:
        place.load()

    assert caught.value.code == "KEY_NOT_FOUND"


@pytest.mark.slow
def test_many_threads(place: Place) -> None:
    """Many threads sign with several signers at once; every signature is right."""
    place = place.provide("ecdsa-p256")
    signers = [place.load() for _ in range(2)]
    gate = threading.Barrier(8)

    def sign(number: int) -> None:
        gate.wait(10)
        for each in range(5):
            signer, message = signers[(number + each) % 2], b"%d %d" % (number, each)
            check_signature(signer.public_key, signer.sign(message), message, signer.algorithm)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(sign, range(8)))


@pytest.mark.slow
def test_probe(place: Place) -> None:
    """A probe tells of a key that works, and of one that is not there."""
    there = place.provide("ecdsa-p256")
    probe = probe_uri(there.uri, secrets=there.secrets, schemes=there.schemes)
    missing = there.uri.replace("ca", "cb").replace("-4", "-5")
    nothing = probe_uri(missing, secrets=there.secrets, schemes=there.schemes)

    assert probe.fault is None
    assert probe.algorithm == "PKIX_ECDSA_P256_SHA_256"
    assert probe.public_key == there.load().public_key
    assert (nothing.step, nothing.public_key) == ("load", None)


@pytest.mark.parametrize("uri", ["", "ca.pem", "/keys/ca.pem", "gopher:x", "file", "FILE:/x"])
def test_unknown_scheme(uri: str) -> None:
    """Only a known scheme is opened, and never guessed."""
    with pytest.raises(SettingsError) as caught:
        load_signer(uri)

    assert caught.value.code == "SETTINGS_INVALID"
