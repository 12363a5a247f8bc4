"""Timestamps against a published worked example, byte for byte, and against other verifiers."""

import hashlib
import shutil
import subprocess
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import rfc3161_client
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from touchplate.errors import MalformedError, RefusedError, SettingsError, TouchplateError
from touchplate.formats import certificate_builder as build
from touchplate.formats.timestamp import parse_timestamp_response
from touchplate.formats.timestamp_request import TimestampRequest, encode_timestamp_request
from touchplate.keys.signer import PrivateKeySigner, generate
from touchplate.tsa import Stamping, StampSettings, create_chain

LEAF = b64decode(
    "MIIBpTCCAUygAwIBAgIBIjAKBggqhkjOPQQDAjApMRQwEgYDVQQKEwtleGFtcGxlLmNvbTERMA8GA1UEAxMIdHNhLXJv"
    "b3QwHhcNMjYwMTAxMDAwMDAwWhcNMzUxMjMwMDAwMDAwWjAkMRQwEgYDVQQKEwtleGFtcGxlLmNvbTEMMAoGA1UEAxMD"
    "dHNhMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEiPnJV+jDSkcy7zggT0chodQ+H28uIQP31Fi1yraDi6sOCbQbVZcO"
    "l6xPwHeOUsmGxm2Yv2kdwx6SHmAnXRH6KaNqMGgwDgYDVR0PAQH/BAQDAgeAMB0GA1UdDgQWBBTeCdZBDUOdBiZa05ZL"
    "c2ChwdC78jAfBgNVHSMEGDAWgBQ4zDrrkFLRsHuGeYJNpqo1pX2w+zAWBgNVHSUBAf8EDDAKBggrBgEFBQcDCDAKBggq"
    "hkjOPQQDAgNHADBEAiAQHUBbmVr9dBTvDexcvyaz/PYfvyPKAKIpBlty38g5PQIgWsDZp5JbNCim9m+ggjVyFVZg+EF3"
    "fCAZdY5xBrvvuZ4="
)
ROOT = b64decode(
    "MIIBhTCCASygAwIBAgIBETAKBggqhkjOPQQDAjApMRQwEgYDVQQKEwtleGFtcGxlLmNvbTERMA8GA1UEAxMIdHNhLXJv"
    "b3QwHhcNMjYwMTAxMDAwMDAwWhcNMzUxMjMwMDAwMDAwWjApMRQwEgYDVQQKEwtleGFtcGxlLmNvbTERMA8GA1UEAxMI"
    "dHNhLXJvb3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATdrUgzTvPXEwfClYQF1DeM4Mlfe/2Vw57WSPeJsZ0rNf/l"
    "btvmrRfLUz6I2WxmniOlOB2rCvgUMJF945V4ysJTo0UwQzAOBgNVHQ8BAf8EBAMCAQYwEgYDVR0TAQH/BAgwBgEB/wIB"
    "ADAdBgNVHQ4EFgQUOMw665BS0bB7hnmCTaaqNaV9sPswCgYIKoZIzj0EAwIDRwAwRAIgCWwQuqcknAH9z1T8Of1PjBKL"
    "rrjciPuitaQ7tht13H4CIBzf8E5VZ1DL4D9NvrV7Z+oqXnIMY6B+EhbS6MpsQhhZ"
)
RESPONSE = b64decode(
    "MIIEADADAgEAMIID9wYJKoZIhvcNAQcCoIID6DCCA+QCAQMxDTALBglghkgBZQMEAgEwgasGCyqGSIb3DQEJEAEEoIGb"
    "BIGYMIGVAgEBBgkrBgEEAYO/MAIwMTANBglghkgBZQMEAgEFAAQgmmjuGbKLzd7x2klkl3rgoHDq+1zPy7MAsD1PufHr"
    "v9YCCAECAwQFBgcIGA8yMDI2MDEwMjAzMDQwNVowAwIBAQIIESIzRFVmd4igKKQmMCQxFDASBgNVBAoTC2V4YW1wbGUu"
    "Y29tMQwwCgYDVQQDEwN0c2GgggGpMIIBpTCCAUygAwIBAgIBIjAKBggqhkjOPQQDAjApMRQwEgYDVQQKEwtleGFtcGxl"
    "LmNvbTERMA8GA1UEAxMIdHNhLXJvb3QwHhcNMjYwMTAxMDAwMDAwWhcNMzUxMjMwMDAwMDAwWjAkMRQwEgYDVQQKEwtl"
    "eGFtcGxlLmNvbTEMMAoGA1UEAxMDdHNhMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEiPnJV+jDSkcy7zggT0chodQ+"
    "H28uIQP31Fi1yraDi6sOCbQbVZcOl6xPwHeOUsmGxm2Yv2kdwx6SHmAnXRH6KaNqMGgwDgYDVR0PAQH/BAQDAgeAMB0G"
    "A1UdDgQWBBTeCdZBDUOdBiZa05ZLc2ChwdC78jAfBgNVHSMEGDAWgBQ4zDrrkFLRsHuGeYJNpqo1pX2w+zAWBgNVHSUB"
    "Af8EDDAKBggrBgEFBQcDCDAKBggqhkjOPQQDAgNHADBEAiAQHUBbmVr9dBTvDexcvyaz/PYfvyPKAKIpBlty38g5PQIg"
    "WsDZp5JbNCim9m+ggjVyFVZg+EF3fCAZdY5xBrvvuZ4xggFzMIIBbwIBATAuMCkxFDASBgNVBAoTC2V4YW1wbGUuY29t"
    "MREwDwYDVQQDEwh0c2Etcm9vdAIBIjALBglghkgBZQMEAgGggdgwGgYJKoZIhvcNAQkDMQ0GCyqGSIb3DQEJEAEEMBwG"
    "CSqGSIb3DQEJBTEPFw0yNjAxMDIwMzA0MDVaMC8GCSqGSIb3DQEJBDEiBCDe7AomdXbn7fRlCl6PfoKqSgZlHADgc6OQ"
    "u4ffsHRyFTBrBgsqhkiG9w0BCRACLzFcMFowWDBWBCCyW/pWZhJU5pu5mzxzjEBS08PLhTAHQ6JW2HHgQIe3IDAyMC2k"
    "KzApMRQwEgYDVQQKEwtleGFtcGxlLmNvbTERMA8GA1UEAxMIdHNhLXJvb3QCASIwCgYIKoZIzj0EAwIERjBEAiA7YOpb"
    "TTH5ZVC4Bxk5d/9dHgFmwMXPp83GfkKuzsO1+QIgJdSl6hHs8UlsOfpuee3owQzvx9wpdyFlzptEz7wHrO4="
)

DATA = b"example signature bytes"
NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
EXAMPLE = TimestampRequest(
    "sha256", hashlib.sha256(DATA).digest(), None, 0x1122334455667788, wants_certificates=True
)
OPENSSL = shutil.which("openssl")


class Rfc6979Signer(PrivateKeySigner):
    """Signs with the nonce of RFC 6979, as the worked example does."""

    def sign(self, message: bytes) -> bytes:
        """Sign the message."""
        signature: bytes = self.crypto.sign(
            message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        )
        return signature


def example_signer() -> Rfc6979Signer:
    """Make the worked example's key."""
    scalar = int.from_bytes(hashlib.sha256(b"example tsa key").digest(), "big")
    return Rfc6979Signer(ec.derive_private_key(scalar, ec.SECP256R1()))


def example_authority(now: datetime = NOW) -> Stamping:
    """Load the worked example's authority."""
    return Stamping.load(
        example_signer(), (LEAF, ROOT), lambda: now, new_serial=lambda: 0x0102030405060708
    )


def own_authority(
    kind: str = "ecdsa-p256", settings: StampSettings | None = None
) -> tuple[Stamping, tuple[bytes, bytes]]:
    """Make an authority as at first start."""
    signer = generate(kind)
    chain = create_chain(
        generate("ecdsa-p384"), signer, organization="example.com", common_name="tsa", now=NOW
    )
    return Stamping.load(signer, chain, lambda: NOW, settings), chain


def request(hash_name: str = "sha256", **fields: object) -> TimestampRequest:
    """Ask for a time for DATA."""
    return TimestampRequest(hash_name, hashlib.new(hash_name, DATA).digest(), **fields)  # type: ignore[arg-type]  # fields of the class


def test_worked_example() -> None:
    """The response is the one published, byte for byte."""
    response = example_authority().stamp(EXAMPLE)

    assert response == RESPONSE
    assert (
        hashlib.sha256(response).hexdigest()
        == "cad756d96f20928d7a1fdbfa625117e3266ad575c32404812c10dd414ca72870"
    )


def test_without_certificates() -> None:
    """Where none are asked for there are none, not even an empty list."""
    response = example_authority().stamp(request(nonce=EXAMPLE.nonce))

    assert len(response) == len(RESPONSE) - len(LEAF) - 4
    assert b"\xa0\x00" not in response


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048"])
@pytest.mark.parametrize("hash_name", ["sha256", "sha384", "sha512"])
def test_as_others_verify(kind: str, hash_name: str) -> None:
    """Each kind of key and hash satisfies rfc3161-client: signature, chain, imprint, nonce."""
    authority, chain = own_authority(kind)
    asked = request(hash_name, nonce=2**70, wants_certificates=True)
    response = rfc3161_client.decode_timestamp_response(authority.stamp(asked))
    leaf, root = (x509.load_der_x509_certificate(der) for der in chain)
    verifier = (
        rfc3161_client.VerifierBuilder()
        .tsa_certificate(leaf)
        .add_root_certificate(root)
        .nonce(2**70)
        .policy_id(x509.ObjectIdentifier("1.3.6.1.4.1.57264.2"))
        .build()
    )

    assert verifier.verify_message(response, DATA)


@pytest.mark.slow
@pytest.mark.skipif(OPENSSL is None, reason="the program openssl is not installed")
@pytest.mark.parametrize("kind", ["ecdsa-p256", "ecdsa-p384", "rsa-2048"])
@pytest.mark.parametrize("hash_name", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("certificates", [True, False])
@pytest.mark.parametrize("nonce", [None, 2**100])
def test_as_openssl_verifies(
    tmp_path: Path, kind: str, hash_name: str, certificates: bool, nonce: int | None
) -> None:
    """Openssl accepts the response to its query, with the certificate inside or beside it."""
    authority, chain = own_authority(kind)
    asked = request(hash_name, nonce=nonce, wants_certificates=certificates)
    (tmp_path / "query.tsq").write_bytes(encode_timestamp_request(asked))
    (tmp_path / "reply.tsr").write_bytes(authority.stamp(asked))
    for name, der in zip(("leaf", "root"), chain, strict=True):
        certificate = x509.load_der_x509_certificate(der)
        pem = certificate.public_bytes(Encoding.PEM)
        (tmp_path / f"{name}.pem").write_bytes(pem)
    assert OPENSSL is not None
    command = [OPENSSL, "ts", "-verify", "-queryfile", "query.tsq", "-in", "reply.tsr"]
    command += ["-CAfile", "root.pem", "-untrusted", "leaf.pem", "-attime"]
    command += [str(int(NOW.timestamp()))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert "Verification: OK" in done.stdout + done.stderr


@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
def test_as_we_read(hash_name: str) -> None:
    """Our own reader finds in the response what was asked."""
    authority, chain = own_authority()
    asked = request(hash_name, nonce=7, wants_certificates=True)
    token = parse_timestamp_response(authority.stamp(asked)).token

    assert token is not None
    assert token.policy_oid == "1.3.6.1.4.1.57264.2"
    assert chain[0] in token.certificates


def test_serial_numbers_differ() -> None:
    """Two timestamps of the same second have different serial numbers."""
    authority, _ = own_authority()

    assert authority.stamp(request()) != authority.stamp(request())


def test_chain_in_response() -> None:
    """By setting, the authorities go along where certificates are asked for."""
    authority, chain = own_authority(settings=StampSettings(include_chain=True))
    response = authority.stamp(request(wants_certificates=True))

    assert all(der in response for der in chain)


def test_one_clock_read() -> None:
    """The clock is read once, so genTime and signingTime cannot differ."""
    authority, chain = own_authority()
    times = iter([NOW, NOW + timedelta(seconds=1)])
    ticking = Stamping.load(authority.signer, chain, lambda: NOW)
    ticking = Stamping(
        ticking.signer,
        ticking.chain,
        ticking.template,
        lambda: next(times),
        ticking.settings,
        ticking.new_serial,
    )
    response = ticking.stamp(request())

    assert b"20260102030405Z" in response
    assert b"260102030405Z" in response
    assert b"060102030406Z" not in response


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (request("sha1"), "Weak hash algorithm in timestamp request"),
        (
            request(policy="1.x"),
            "OID should be comprised of at most 128 components",
        ),
        (
            request(policy="1" + ".1" * 128),
            "OID should be comprised of at most 128 components",
        ),
        (
            TimestampRequest("sha256", b"short"),
            "Message digest has incorrect length for specified algorithm",
        ),
        (
            TimestampRequest("sha256", b"short", "1.2.3"),
            "Message digest has incorrect length for specified algorithm",
        ),
        (
            request(policy="1.2.3"),
            "unaccepted policy: requested TSA policy is not supported by the TSA",
        ),
        (
            request(extensions=b"\xa0\x00"),
            "unaccepted extension: requested extensions are not supported by the TSA",
        ),
    ],
)
def test_refused(asked: TimestampRequest, message: str) -> None:
    """What is not stamped is refused in upstream's words, the first fault in its order."""
    with pytest.raises((MalformedError, RefusedError)) as caught:
        example_authority().stamp(asked)

    assert caught.value.message == message


def test_other_policy() -> None:
    """A policy that the settings accept is the response's."""
    settings = StampSettings("1.2.3", ("1.2.3", "1.2.4"))
    authority, _ = own_authority(settings=settings)
    token = parse_timestamp_response(authority.stamp(request(policy="1.2.4"))).token
    default = parse_timestamp_response(authority.stamp(request())).token

    assert token is not None
    assert default is not None
    assert (token.policy_oid, default.policy_oid) == ("1.2.4", "1.2.3")


@pytest.mark.parametrize("year", [2025, 2040])
def test_clock_outside_the_certificate(year: int) -> None:
    """When the clock is outside of the certificate's validity nothing is stamped."""
    authority = example_authority()
    late = Stamping(
        authority.signer,
        authority.chain,
        authority.template,
        lambda: datetime(year, 12, 31, 12, tzinfo=UTC),
        authority.settings,
        authority.new_serial,
    )
    with pytest.raises(SettingsError):
        late.stamp(EXAMPLE)


@pytest.mark.parametrize("case", ["order", "root only", "other key", "no root", "other root"])
def test_chain_refused(case: str) -> None:
    """A chain that verifiers would refuse stops the start."""
    authority, (leaf, root) = own_authority()
    _, (_, other_root) = own_authority()
    chain, signer = {
        "order": ((root, leaf), authority.signer),
        "root only": ((root, root), authority.signer),
        "other key": ((leaf, root), generate()),
        "no root": ((leaf,), authority.signer),
        "other root": ((leaf, other_root), authority.signer),
    }[case]
    with pytest.raises(SettingsError):
        Stamping.load(signer, chain, lambda: NOW)


def test_ed25519_is_refused() -> None:
    """Clients do not accept Ed25519 in timestamps."""
    with pytest.raises(TouchplateError):
        own_authority("ed25519")


def with_intermediate(*, purpose: bool = True) -> tuple[PrivateKeySigner, tuple[bytes, ...]]:
    """Make a chain of three: leaf, intermediate, root."""
    keys = [generate("ecdsa-p256") for _ in range(3)]
    names = [build.encode_name("example.com", name) for name in ("tsa", "between", "root")]
    start = NOW.replace(microsecond=0)
    validity = (start - timedelta(hours=1), start + timedelta(days=100))
    usual = (
        (
            build.key_usage(build.KEY_USAGE_SIGN),
            build.extended_key_usage(build.TIME_STAMPING, critical=True),
        ),
        (
            build.key_usage(build.KEY_USAGE_ISSUE),
            build.basic_constraints(0),
            *([build.extended_key_usage(build.TIME_STAMPING)] if purpose else []),
        ),
        (build.key_usage(build.KEY_USAGE_ISSUE), build.basic_constraints(None)),
    )
    chain = []
    for place, extensions in enumerate(usual):
        above = min(place + 1, 2)
        identifiers = (
            build.subject_key_identifier(keys[place].public_key.spki),
            build.authority_key_identifier(build.key_identifier(keys[above].public_key.spki)),
        )
        chain.append(
            build.sign_certificate(
                names[place],
                keys[place].public_key.spki,
                (*extensions, *identifiers),
                serial=place + 1,
                issuer=names[above],
                validity=validity,
                signer=keys[above],
            )
        )
    return keys[0], tuple(chain)


@pytest.mark.skipif(OPENSSL is None, reason="the program openssl is not installed")
@pytest.mark.parametrize("include_chain", [True, False])
def test_intermediate(tmp_path: Path, include_chain: bool) -> None:
    """A chain with an intermediate is verified by openssl, with all of it inside or beside."""
    signer, chain = with_intermediate()
    authority = Stamping.load(
        signer, chain, lambda: NOW, StampSettings(include_chain=include_chain)
    )
    asked = request("sha384", wants_certificates=True)
    (tmp_path / "query.tsq").write_bytes(encode_timestamp_request(asked))
    (tmp_path / "reply.tsr").write_bytes(authority.stamp(asked))
    pems = [x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in chain]
    (tmp_path / "root.pem").write_bytes(pems[2])
    (tmp_path / "between.pem").write_bytes(pems[1])
    assert OPENSSL is not None
    command = [OPENSSL, "ts", "-verify", "-queryfile", "query.tsq", "-in", "reply.tsr"]
    command += ["-CAfile", "root.pem", "-attime", str(int(NOW.timestamp()))]
    command += [] if include_chain else ["-untrusted", "between.pem"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert "Verification: OK" in done.stdout + done.stderr


def test_intermediate_without_purpose() -> None:
    """An intermediate that is not for time stamping stops the start."""
    signer, chain = with_intermediate(purpose=False)
    with pytest.raises(SettingsError, match="may not issue for time stamping"):
        Stamping.load(signer, chain, lambda: NOW)
