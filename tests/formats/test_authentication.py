"""How a signer logged in: written, read, refused, and what counts as a second factor."""

import shutil
import subprocess
from pathlib import Path
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st

from tests.verify.certificates import build, new_key
from touchplate.errors import MalformedError
from touchplate.formats import der
from touchplate.formats.authentication import (
    ATTRIBUTE,
    EXTENSION,
    FACTORS,
    MAX_METHODS,
    Authentication,
    decode_authentication,
    encode_authentication,
)
from touchplate.formats.certificate import Certificate, parse_certificate

WORKED = "302a302806136995d0d891d289eab3b9bba783ccdcf3ec9d153111300f300a0c037077640c036f74700c0131"


def holding(value: bytes, oid: str = EXTENSION) -> Certificate:
    """Give a certificate with this value."""
    extension = x509.UnrecognizedExtension(ObjectIdentifier(oid), value)
    return parse_certificate(build(new_key("p256", 5300), "x", None, (extension, False)).der)


def attribute(*values: bytes, kind: str = ATTRIBUTE) -> bytes:
    """Give one attribute."""
    return der.sequence(der.oid(kind), der.set_of(values))


def login(*methods: str, acr: bytes = b"") -> bytes:
    """Give one Authentication."""
    return der.sequence(der.sequence(*map(der.utf8_string, methods)), acr)


def test_uuid() -> None:
    """The type is the UUID that the documentation names, under 2.25."""
    assert f"2.25.{UUID('0ad0b046-909d-4cdc-bb4e-0e65ce7b0e95').int}" == ATTRIBUTE


def test_worked_example() -> None:
    """The value, byte for byte."""
    assert encode_authentication(("pwd", "otp"), "1") == bytes.fromhex(WORKED)


@pytest.mark.parametrize(
    ("methods", "context"),
    [
        (("pwd",), ""),
        (("pwd", "otp", "mfa"), "urn:mace:incommon:iap:silver"),
        ((), "1"),
        (("ü", "pwd", "pwd"), "é"),
        (tuple("abcdefghijklmnop"), "x" * 256),
    ],
)
def test_there_and_back(methods: tuple[str, ...], context: str) -> None:
    """What the issuer said is read as it was written."""
    value = encode_authentication(methods, context)
    assert value is not None
    assert decode_authentication(holding(value)) == Authentication(methods, context)


def test_nothing_to_say() -> None:
    """Without amr and acr there is no extension, and nothing is known."""
    assert encode_authentication((), "") is None
    assert encode_authentication(("", "x" * 65, "\ud800"), "x" * 257) is None
    assert decode_authentication(holding(b"\x05\x00", "1.2.3")) is None


def test_left_out() -> None:
    """What is too long or too many is left out; the rest stays."""
    value = encode_authentication(("x" * 65, *["pwd"] * 40), "\udfff")
    assert value is not None
    assert decode_authentication(holding(value)) == Authentication(("pwd",) * MAX_METHODS)


def test_beside_others() -> None:
    """Attributes of other types are passed over."""
    others = attribute(der.utf8_string("female"), der.null(), kind="1.3.6.1.5.5.7.9.3")
    value = der.sequence(others, attribute(login("pwd")))

    assert decode_authentication(holding(value)) == Authentication(("pwd",))
    assert decode_authentication(holding(der.sequence(others))) is None


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x30",
        der.sequence(attribute(login("pwd"))) + b"\x00",
        der.sequence(attribute()),
        der.sequence(attribute(login("pwd"), login("otp"))),
        der.sequence(attribute(login("pwd")), attribute(login("otp"))),
        der.sequence(attribute(login("pwd", acr=der.null()))),
        der.sequence(attribute(login("pwd", acr=der.utf8_string("1") * 2))),
        der.sequence(attribute(der.sequence(der.utf8_string("pwd")))),
        der.sequence(attribute(login(*["x"] * 17))),
        der.sequence(*[attribute(der.null(), kind="1.2.3")] * 33),
        der.sequence(der.sequence(der.oid(ATTRIBUTE), login("mfa"))),
    ],
)
def test_malformed(value: bytes) -> None:
    """Cut off, too much of it, said twice, of other types: refused, never read as a login."""
    with pytest.raises(MalformedError) as caught:
        decode_authentication(holding(value))
    assert caught.value.code == "CERTIFICATE_MALFORMED"


@given(st.binary(max_size=80))
def test_any_bytes(value: bytes) -> None:
    """Any bytes are read or malformed."""
    try:
        decode_authentication(holding(value))
    except MalformedError as error:
        assert error.code == "CERTIFICATE_MALFORMED"  # noqa: PT017


def test_factors() -> None:
    """Each method is of its class; what RFC 8176 does not call a factor is none."""
    assert set(FACTORS.values()) == {"knowledge", "possession", "inherence"}
    assert not Authentication(("geo", "mca", "mfa", "rba", "user", "wia", "PWD", "x")).factors
    assert Authentication(("pwd", "pin", "otp")).factors == {"knowledge", "possession"}


GO = """package main

import (
	"crypto/x509"
	"fmt"
	"os"
)

func main() {
	for _, name := range os.Args[1:] {
		der, _ := os.ReadFile(name)
		_, err := x509.ParseCertificate(der)
		fmt.Println(err == nil)
	}
}
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("go") is None, reason="Go is not installed")
def test_go_reads_it(tmp_path: Path) -> None:
    """Go reads a certificate with the attribute, and none whose extension is under 2.25 itself."""
    value = encode_authentication(("pwd", "otp"), "1")
    assert value is not None
    (tmp_path / "ours.der").write_bytes(holding(value).der)
    (tmp_path / "other.der").write_bytes(holding(b"\x30\x00", ATTRIBUTE).der)
    (tmp_path / "main.go").write_text(GO)
    done = subprocess.run(
        [shutil.which("go") or "go", "run", "main.go", "ours.der", "other.der"],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "GOFLAGS": "-mod=mod"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.split() == ["true", "false"]
