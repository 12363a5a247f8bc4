"""Keys in a token: which one, what happens when it goes away, and what is never done to it."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.keystore.secret_texts import Given
from tests.servers.hsm import PIN, HsmServer, Token, softhsm
from touchplate.errors import SettingsError, TouchplateError, UnavailableError
from touchplate.keys.public import check_signature
from touchplate.keys.signer import Signer
from touchplate.keystore import create_signer, load_signer
from touchplate.keystore.pkcs11 import Pkcs11Keys
from touchplate.keystore.pkcs11_uri import parse_pkcs11_uri

MODULE = "?module-path=/usr/lib/x.so"


def check(signer: Signer) -> None:
    """Sign something and check it."""
    message = os.urandom(8)
    check_signature(signer.public_key, signer.sign(message), message, signer.algorithm)


def until_signs(signer: Signer, seconds: float = 20) -> None:
    """Sign until it works."""
    end = time.monotonic() + seconds
    while True:
        try:
            check(signer)
        except UnavailableError:
            assert time.monotonic() < end, "it did not recover"
            time.sleep(0.1)
        else:
            return


@pytest.mark.parametrize(
    "uri",
    [
        f"pkcs11:object=ca{MODULE}",
        f"pkcs11:token=t{MODULE}",
        "pkcs11:token=t;object=ca",
        "pkcs11:token=t;object=ca?module-path=x.so",
        f"pkcs11:token=t;object=ca;object=cb{MODULE}",
        f"pkcs11:token=t;object=ca;x-vendor=1{MODULE}",
        f"pkcs11:token=t;object=ca;type=public{MODULE}",
        f"pkcs11:token=t;object=ca;slot-id=x{MODULE}",
        f"pkcs11:token=t;object=%ff{MODULE}",
        f"pkcs11:token=t;object=%00{MODULE}",
        f"pkcs11:token=t;object=ca;pin-value=1{MODULE}",
        f"pkcs11:token=t;object=ca{MODULE}&pin-value=1&pin-source=file:/x",
        f"pkcs11:token=t;object=ca{MODULE}&module-name=softhsm",
        f"pkcs11:token=t;object=ca{MODULE}#x",
        f"pkcs11:token=t;object={'a' * 5000}{MODULE}",
    ],
)
def test_unclear_uri(uri: str) -> None:
    """A URI that leaves open which key is meant, or says what we do not know, is refused."""
    with pytest.raises(SettingsError) as caught:
        parse_pkcs11_uri(uri)

    assert caught.value.code == "SETTINGS_INVALID"


def test_uri() -> None:
    """RFC 7512: attributes are percent-encoded, an id is bytes, the PIN is not shown."""
    uri = "pkcs11:token=My%20token;serial=00;slot-id=7;object=ca;id=%01%ff;type=private"
    found = parse_pkcs11_uri(f"{uri}{MODULE}&pin-value=12%26")

    assert found.token == (("token", "My token"), ("serial", "00"))
    assert (found.slot, found.label, found.id, found.pin) == (7, "ca", b"\x01\xff", "12&")
    assert "12" not in repr(found)
    assert "12" not in found.place


def test_command_as_pin_source(new_token: Callable[[], Token]) -> None:
    """A PIN source that is a command is passed on as it is, and run by nobody."""
    given = Given()
    with pytest.raises(SettingsError):
        load_signer(new_token().uri("ca", "pin-source=|/bin/true"), secrets=given)

    assert given.asked == ["|/bin/true"]


def test_wrong_pin_is_sent_once(new_token: Callable[[], Token]) -> None:
    """A token locks itself after some wrong PINs: ours is sent once, however often we are asked."""
    token = new_token()
    keys, wrong = Pkcs11Keys(), token.uri("ca", "pin-value=0000")
    said = []
    for _ in range(12):
        with pytest.raises(SettingsError) as caught:
            keys.load(wrong, Given())
        said.append(str(caught.value))

    assert "PinIncorrect" in said[0]
    assert all("not sent again" in each for each in said[1:])
    assert "0000" not in "".join(said)
    check(keys.create(token.uri("ca"), "ecdsa-p256", Given()))


def test_two_keys_of_one_name(new_token: Callable[[], Token]) -> None:
    """Two keys with one label are told apart by their ids, and never guessed."""
    token = new_token()
    one = create_signer(token.uri("ca;id=%01"))
    two = create_signer(token.uri("ca;id=%02"))
    with pytest.raises(SettingsError) as caught:
        load_signer(token.uri("ca"))

    assert "id" in (caught.value.hint or "")
    assert load_signer(token.uri("ca;id=%01")).public_key == one.public_key
    assert load_signer(token.uri("ca;id=%02")).public_key == two.public_key


def test_no_such_library(tmp_path: Path) -> None:
    """A library that is not there, or is none, is the operator's to mend."""
    (tmp_path / "x.so").write_bytes(b"no library")
    for path in (tmp_path / "none.so", tmp_path / "x.so"):
        with pytest.raises(SettingsError) as caught:
            load_signer(Token("t", path).uri("ca"))
        assert caught.value.code == "SETTINGS_INVALID"


def test_no_such_token(new_token: Callable[[], Token]) -> None:
    """A token that is not there may come: that is no wrong setting."""
    module = new_token().module
    with pytest.raises(UnavailableError):
        load_signer(Token("never made", module).uri("ca"))


def test_key_never_leaves(new_token: Callable[[], Token]) -> None:
    """A key that we make cannot be read from the token, and does nothing but sign."""
    import pkcs11
    from pkcs11 import Attribute

    token = new_token()
    create_signer(token.uri("ca"))
    library = pkcs11.lib(str(softhsm()))
    with library.get_token(token_label=token.label).open() as session:
        (key,) = session.get_objects({Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY})
        assert key[Attribute.SENSITIVE]
        assert not key[Attribute.EXTRACTABLE]
        assert key[Attribute.NEVER_EXTRACTABLE]
        assert not key[Attribute.DECRYPT]
        assert not key[Attribute.UNWRAP]


def test_exchanged_key(new_token: Callable[[], Token]) -> None:
    """Another key under the same name is not taken for the first one."""
    import pkcs11

    token = new_token()
    keys = Pkcs11Keys()
    signer = keys.create(token.uri("ca"), "ecdsa-p256", Given())
    check(signer)
    library = pkcs11.lib(str(softhsm()))
    with library.get_token(token_label=token.label).open(rw=True) as session:
        for each in list(session.get_objects({pkcs11.Attribute.LABEL: "ca"})):
            each.destroy()
    check(keys.create(token.uri("ca"), "ecdsa-p256", Given()))
    said = []
    for _ in range(3):
        with pytest.raises(UnavailableError) as caught:
            signer.sign(b"x")
        said.append(str(caught.value))

    assert all("another than at the start" in each for each in said), said


@pytest.mark.slow
def test_process_goes_away(own_hsm: HsmServer) -> None:
    """Without its token a signer says so at once; with it back it signs again by itself."""
    signer = Pkcs11Keys().create(own_hsm.token.uri("ca"), "ecdsa-p256", Given())
    check(signer)
    own_hsm.end()
    began, said = time.monotonic(), []
    for _ in range(20):
        with pytest.raises(UnavailableError) as caught:
            signer.sign(b"x")
        said.append(str(caught.value))
    assert time.monotonic() - began < 10
    assert PIN not in "".join(said)
    own_hsm.begin()

    until_signs(signer)


@pytest.mark.slow
def test_hanging_token(own_hsm: HsmServer) -> None:
    """A token that hangs costs its deadline once; later calls are refused at once."""
    signer = Pkcs11Keys(seconds=1.0).create(own_hsm.token.uri("ca"), "ecdsa-p256", Given())
    check(signer)
    own_hsm.pause()
    began = time.monotonic()
    with pytest.raises(UnavailableError):
        signer.sign(b"x")
    assert time.monotonic() - began < 2
    time.sleep(0.2)
    began = time.monotonic()
    for _ in range(50):
        with pytest.raises(UnavailableError):
            signer.sign(b"x")
    assert time.monotonic() - began < 0.5
    own_hsm.resume()

    until_signs(signer)


@pytest.mark.slow
def test_forked_child(new_token: Callable[[], Token]) -> None:
    """A child that was forked signs through a session of its own, and so does the parent still."""
    uri = new_token().uri("ca")
    signer = create_signer(uri)
    check(signer)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            check(signer)
            check(load_signer(uri))
            status = 0
        except TouchplateError as error:
            os.write(2, f"{error!r}\n".encode())
        finally:
            os._exit(status)

    assert os.waitpid(pid, 0)[1] == 0
    check(signer)
