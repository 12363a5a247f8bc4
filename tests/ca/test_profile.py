"""The certificate against a worked example, byte for byte, and against another builder."""

import hashlib
from base64 import b64decode
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from touchplate.ca.authority import Authority, create_chain, random_serial
from touchplate.ca.profile import precertify
from touchplate.ca.template import encode_name
from touchplate.errors import MalformedError, SettingsError
from touchplate.formats import certificate_builder as build
from touchplate.formats.authentication import (
    Authentication,
    decode_authentication,
    encode_authentication,
)
from touchplate.formats.certificate import parse_certificate
from touchplate.formats.extensions import decode_extensions
from touchplate.formats.sct import (
    SignedCertificateTimestamp,
    parse_sct_list,
    signed_input_precert,
)
from touchplate.keys.public import PublicKey, check_signature, from_crypto
from touchplate.keys.signer import PrivateKeySigner, generate
from touchplate.oidc.identity import Identity, SubjectName

ROOT = b64decode(
    "MIIBjDCCATKgAwIBAgICEAEwCgYIKoZIzj0EAwIwLTEUMBIGA1UECgwLZXhhbXBsZS5jb20xFTATBgNVBAMMDGV4YW1w"
    "bGUtcm9vdDAeFw0yNjAxMDEwMDAwMDBaFw0zNTEyMzAwMDAwMDBaMC0xFDASBgNVBAoMC2V4YW1wbGUuY29tMRUwEwYD"
    "VQQDDAxleGFtcGxlLXJvb3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASObxLIp212w1PmVdfkwxDGZgjPoFmVQptS"
    "MUQcnQPIvpBC2rRxjKarkfV9+uhnNYeKnGcIzfWxQAyuJLy4Dd/Jo0IwQDAOBgNVHQ8BAf8EBAMCAQYwDwYDVR0TAQH/"
    "BAUwAwEB/zAdBgNVHQ4EFgQUId3UAVa3Cden5t36Ja4R6A2G7PIwCgYIKoZIzj0EAwIDSAAwRQIhAOSMWgN+mZuQ61i/"
    "pGal2tC/bq4bDH5rkcI7q6Z7bkvmAiAXkEQPJxtdVqeZrfRu16sU3JmdlLhRvJuZ+5kOnh3KVA=="
)
INTERMEDIATE = b64decode(
    "MIIBzjCCAXOgAwIBAgICEAIwCgYIKoZIzj0EAwIwLTEUMBIGA1UECgwLZXhhbXBsZS5jb20xFTATBgNVBAMMDGV4YW1w"
    "bGUtcm9vdDAeFw0yNjAxMDEwMDAwMDBaFw0yODEyMzEwMDAwMDBaMDUxFDASBgNVBAoMC2V4YW1wbGUuY29tMR0wGwYD"
    "VQQDDBRleGFtcGxlLWludGVybWVkaWF0ZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABCg08BF248ji5ure2xcCmuFf"
    "Zg/2rZQQLr7pI1Tnx37OZSqz9epdt3VI9et1L4FTGvZURG1gJqO/MraKvEx/NxujezB5MA4GA1UdDwEB/wQEAwIBBjAT"
    "BgNVHSUEDDAKBggrBgEFBQcDAzASBgNVHRMBAf8ECDAGAQH/AgEAMB0GA1UdDgQWBBRTLt9sWSoSbgjOieu7q4/LJyDP"
    "+zAfBgNVHSMEGDAWgBQh3dQBVrcJ16fm3folrhHoDYbs8jAKBggqhkjOPQQDAgNJADBGAiEAjQEWiQL2nFYJX43Fygkd"
    "5T8M9YextB3ZZsuH/Z6YEp4CIQD0GmVMZHJnUbWWa81a/7KtPQo9yNAxeeQNRm0PglhWmw=="
)
PRECERTIFICATE = b64decode(
    "MIICPjCCAeWgAwIBAgIUKgAAAAAAAAAAAAAAAAAAAAAAAAEwCgYIKoZIzj0EAwIwNTEUMBIGA1UECgwLZXhhbXBsZS5j"
    "b20xHTAbBgNVBAMMFGV4YW1wbGUtaW50ZXJtZWRpYXRlMB4XDTI2MDEwMjAzMDQwNVoXDTI2MDEwMjAzMTQwNVowADBZ"
    "MBMGByqGSM49AgEGCCqGSM49AwEHA0IABCE2pJpkTlb4bAaP7V2fOtkZXZsJxqnxhBzwZj13aw9FeOV8tFDFivlVE3Mu"
    "yR9wlxe0IUVQvs0kEJW9JofjiyajggEGMIIBAjAOBgNVHQ8BAf8EBAMCB4AwEwYDVR0lBAwwCgYIKwYBBQUHAwMwHQYD"
    "VR0OBBYEFDz+DzNGDygC90qCYffQV6SPmI/MMB8GA1UdIwQYMBaAFFMu32xZKhJuCM6J67urj8snIM/7MB0GA1UdEQEB"
    "/wQTMBGBD2RldkBleGFtcGxlLmNvbTAlBgorBgEEAYO/MAEBBBdodHRwczovL2lkcC5leGFtcGxlLmNvbTAnBgorBgEE"
    "AYO/MAEIBBkMF2h0dHBzOi8vaWRwLmV4YW1wbGUuY29tMBcGCisGAQQBg78wARgECQwHdXNlci00MjATBgorBgEEAdZ5"
    "AgQDAQH/BAIFADAKBggqhkjOPQQDAgNHADBEAiA7ztmnNPa1Fn6vF1TzhCnXJ8sKEDM4nh+B9OXz3nVYWQIgCZTIVeIs"
    "7wZEXu0lw13mtOWRz1dZNTUHhuxa4VsO8U4="
)
CERTIFICATE = b64decode(
    "MIICtjCCAl2gAwIBAgIUKgAAAAAAAAAAAAAAAAAAAAAAAAEwCgYIKoZIzj0EAwIwNTEUMBIGA1UECgwLZXhhbXBsZS5j"
    "b20xHTAbBgNVBAMMFGV4YW1wbGUtaW50ZXJtZWRpYXRlMB4XDTI2MDEwMjAzMDQwNVoXDTI2MDEwMjAzMTQwNVowADBZ"
    "MBMGByqGSM49AgEGCCqGSM49AwEHA0IABCE2pJpkTlb4bAaP7V2fOtkZXZsJxqnxhBzwZj13aw9FeOV8tFDFivlVE3Mu"
    "yR9wlxe0IUVQvs0kEJW9JofjiyajggF+MIIBejAOBgNVHQ8BAf8EBAMCB4AwEwYDVR0lBAwwCgYIKwYBBQUHAwMwHQYD"
    "VR0OBBYEFDz+DzNGDygC90qCYffQV6SPmI/MMB8GA1UdIwQYMBaAFFMu32xZKhJuCM6J67urj8snIM/7MB0GA1UdEQEB"
    "/wQTMBGBD2RldkBleGFtcGxlLmNvbTAlBgorBgEEAYO/MAEBBBdodHRwczovL2lkcC5leGFtcGxlLmNvbTAnBgorBgEE"
    "AYO/MAEIBBkMF2h0dHBzOi8vaWRwLmV4YW1wbGUuY29tMBcGCisGAQQBg78wARgECQwHdXNlci00MjCBigYKKwYBBAHW"
    "eQIEAgR8BHoAeAB2AKyTgPnPRU+xfPuFGPFbRsNgUSUOee3W3IPGmQ8CcNEUAAABm3ypjy4AAAQDAEcwRQIgTl03qNfI"
    "W/koVZQ9BVGRGdXtEOyPfKH/ahplKx9MVswCIQD6XSQqPzLvm3F30P2k3ktNdAnpAEsnhBhEfbJl7/etKzAKBggqhkjO"
    "PQQDAgNHADBEAiBjgqoO/G+G52XmoTDMScivhViOh29ycUOcbl1l978ZcgIgcmMXeqBS6vH75kRiJFdb90fN2YiwUJkA"
    "lfYPSjqti70="
)


class Rfc6979Signer(PrivateKeySigner):
    """Signs with the nonce of RFC 6979, as the worked example does."""

    def sign(self, message: bytes) -> bytes:
        """Sign the message."""
        signature: bytes = self.crypto.sign(
            message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        )
        return signature


def example_key(label: str) -> Rfc6979Signer:
    """Make the key whose scalar is the hash of its label."""
    scalar = int.from_bytes(hashlib.sha256(label.encode()).digest(), "big")
    return Rfc6979Signer(ec.derive_private_key(scalar, ec.SECP256R1()))


NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
IDENTITY = Identity(
    "https://idp.example.com",
    "user-42",
    SubjectName("email", "dev@example.com"),
    "dev@example.com",
)
ISSUING_KEY = example_key("example intermediate key")
LEAF_KEY = example_key("example leaf key").public_key
LOG_KEY = example_key("example ct log key")
SCT = SignedCertificateTimestamp(
    bytes.fromhex("ac9380f9cf454fb17cfb8518f15b46c36051250e79edd6dc83c6990f0270d114"),
    1767323045678,
    b"",
    4,
    3,
    b64decode(
        "BAMARzBFAiBOXTeo18hb+ShVlD0FUZEZ1e0Q7I98of9qGmUrH0xWzAIhAPpdJCo/Mu+bcXfQ/aTeS010CekA"
        "SyeEGER9smXv960r"
    )[4:],
)


@pytest.fixture(name="authority", scope="module")
def make_authority() -> Authority:
    """Load the authority of the worked example."""
    return Authority.load(ISSUING_KEY, (INTERMEDIATE, ROOT), NOW)


def test_worked_example(authority: Authority) -> None:
    """Precertificate, what the log signs, and certificate are those published, byte for byte."""
    precertificate = precertify(
        authority, LEAF_KEY, IDENTITY, NOW, new_serial=lambda: 0x2A << 152 | 1
    )

    assert precertificate.der == PRECERTIFICATE
    assert (
        hashlib.sha256(precertificate.tbs).hexdigest()
        == "b5e54f6649e0bddfe1fe1b91bda4d5efd9e8355b40da4b0b151853ee397bc6a2"
    )
    assert (
        authority.issuer_key_hash.hex()
        == "b07c04991ecde5d1905797d1722ae7b2c410d4540dc852c389471c93b29f9d9e"
    )
    signed = signed_input_precert(
        SCT.timestamp_ms, b"", authority.issuer_key_hash, precertificate.tbs
    )
    assert len(signed) == 515
    assert (
        hashlib.sha256(signed).hexdigest()
        == "ad04a0d7f39fc40b1fc2db058e8594cefce33ef7245fd92830e19a27289ccd4d"
    )
    assert (
        hashlib.sha256(b"\0" + signed).hexdigest()
        == "a68d07a0a20a991251979cd44b7efc2d255e3f8496cd1988b207464c4764943b"
    )
    assert LOG_KEY.sign(signed) == SCT.signature
    certificate = precertificate.with_sct(SCT)
    assert certificate == CERTIFICATE
    assert (
        hashlib.sha256(certificate).hexdigest()
        == "cac2f89275b5566eb6e76b6fef555920be2f5c9f2314dca0334a9497385b7060"
    )


def test_chain_for_the_log(authority: Authority) -> None:
    """The log gets the precertificate, then the chain with the root."""
    precertificate = precertify(authority, LEAF_KEY, IDENTITY, NOW)

    assert precertificate.chain == (precertificate.der, INTERMEDIATE, ROOT)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ecdsa-p256", "ecdsa-p384", "rsa-2048"])
def test_as_the_library_builds_it(kind: str) -> None:
    """For each kind of authority the signed part equals what cryptography's builder makes."""
    root, issuing = generate("ecdsa-p384"), generate(kind)
    chain = create_chain(root, issuing, organization="example.com", common_name="x", now=NOW)
    authority = Authority.load(issuing, chain, NOW)
    leaf = from_crypto(generate("rsa-2048").crypto.public_key())
    precertificate = precertify(authority, leaf, IDENTITY, NOW)
    built = library_precertificate(
        issuing, chain[0], leaf, parse_certificate(precertificate.der).serial
    )

    assert parse_certificate(precertificate.der).tbs == built.tbs_certificate_bytes
    x509.load_der_x509_certificate(precertificate.with_sct(SCT)).verify_directly_issued_by(
        x509.load_der_x509_certificate(chain[0])
    )


def library_precertificate(
    issuing: PrivateKeySigner, issuer: bytes, leaf: PublicKey, serial: int
) -> x509.Certificate:
    """Build the precertificate of IDENTITY with cryptography's builder."""
    start = NOW.replace(microsecond=0)
    parsed = x509.load_der_x509_certificate(issuer)
    arc = "1.3.6.1.4.1.57264.1."
    url = IDENTITY.issuer.encode()
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.KeyUsage(True, *[False] * 8), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False),
        (x509.SubjectKeyIdentifier.from_public_key(leaf.crypto), False),
        (
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                parsed.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            False,
        ),
        (x509.SubjectAlternativeName([x509.RFC822Name("dev@example.com")]), True),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier(arc + "1"), url), False),
        (
            x509.UnrecognizedExtension(
                x509.ObjectIdentifier(arc + "8"), bytes((12, len(url))) + url
            ),
            False,
        ),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier(arc + "24"), b"\x0c\x07user-42"), False),
        (x509.PrecertPoison(), True),
    ]
    builder = x509.CertificateBuilder(
        issuer_name=parsed.subject,
        subject_name=x509.Name([]),
        public_key=leaf.crypto,
        serial_number=serial,
        not_valid_before=start,
        not_valid_after=start + timedelta(seconds=600),
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    digest = hashes.SHA384() if issuing.algorithm.hash == "sha384" else hashes.SHA256()
    return builder.sign(issuing.crypto, digest)


def test_extensions_of_a_build(authority: Authority) -> None:
    """Further extensions stand in ascending order; empty ones are left out."""
    extensions = ((13, "aa11"), (2, "push"), (23, ""), (20, "push"))
    identity = Identity(
        "https://ci.example.com", "s", SubjectName("uri", "https://x/y"), "s", extensions
    )
    certificate = parse_certificate(precertify(authority, LEAF_KEY, identity, NOW).with_sct(SCT))

    assert list(decode_extensions(certificate)) == [
        "issuerV1",
        "githubWorkflowTrigger",
        "issuer",
        "sourceRepositoryDigest",
        "buildTrigger",
        "tokenSubject",
    ]


def test_second_factor(authority: Authority) -> None:
    """How the identity logged in stands after its other extensions, not critical."""
    identity = IDENTITY._replace(amr=("pwd", "otp"), acr="1")
    certificate = parse_certificate(precertify(authority, LEAF_KEY, identity, NOW).with_sct(SCT))
    *_, ours, _list = certificate.extensions.values()

    assert decode_authentication(certificate) == Authentication(("pwd", "otp"), "1")
    assert not ours.critical
    assert ours.value == encode_authentication(("pwd", "otp"), "1")


def test_static_log_extensions_are_embedded(authority: Authority) -> None:
    """The extensions of a static-ct SCT are copied into the certificate verbatim."""
    index = bytes.fromhex("0000050000000005")
    sct = SignedCertificateTimestamp(SCT.log_id, SCT.timestamp_ms, index, 4, 3, SCT.signature)
    precertificate = precertify(authority, LEAF_KEY, IDENTITY, NOW)
    value = (
        x509.load_der_x509_certificate(precertificate.with_sct(sct))
        .extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps)
        .value.public_bytes()
    )

    assert parse_sct_list(value) == (sct,)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("email", "dev@example.com", "3011810f646576406578616d706c652e636f6d"),
        (
            "uri",
            "https://ci.example.com/a/b",
            "301c861a68747470733a2f2f63692e6578616d706c652e636f6d2f612f62",
        ),
        (
            "username",
            "alice!example.com",
            "3023a021060a2b0601040183bf300107a0130c11616c696365216578616d706c652e636f6d",
        ),
    ],
)
def test_san(kind: str, value: str, expected: str) -> None:
    """Each kind of name has its published encoding."""
    extension = build.encode_extension("2.5.29.17", bytes.fromhex(expected), critical=True)
    assert encode_name(SubjectName(kind, value)) == extension  # type: ignore[arg-type]  # literals


def test_name_that_no_certificate_holds(authority: Authority) -> None:
    """An address that is not ASCII, and an issuer without a name, are the caller's errors."""
    for identity in (
        Identity("https://i", "s", SubjectName("email", "ü@example.com"), "s"),
        Identity("", "s", SubjectName("email", "a@example.com"), "s"),
    ):
        with pytest.raises(MalformedError):
            precertify(authority, LEAF_KEY, identity, NOW)


def test_never_outlives_its_issuer(authority: Authority) -> None:
    """No certificate is made that lasts longer than the authority's own, or begins before it."""
    for at in (datetime(2028, 12, 30, 23, 55, tzinfo=UTC), datetime(2025, 12, 31, tzinfo=UTC)):
        with pytest.raises(SettingsError):
            precertify(authority, LEAF_KEY, IDENTITY, at)


def test_serials() -> None:
    """Serial numbers are positive, of at most 20 octets as DER, and different."""
    serials = {random_serial() for _ in range(1000)}

    assert len(serials) == 1000
    assert all(0 < serial < 1 << 159 for serial in serials)


def test_certificate_is_signed_by_the_pair(authority: Authority) -> None:
    """Precertificate and certificate verify with the issuing key."""
    precertificate = precertify(authority, LEAF_KEY, IDENTITY, NOW)
    for item in (precertificate.der, precertificate.with_sct(SCT)):
        parsed = parse_certificate(item)
        check_signature(ISSUING_KEY.public_key, parsed.signature, parsed.tbs, ISSUING_KEY.algorithm)


def test_issuer_name_is_copied() -> None:
    """An operator's chain keeps the encoding of its names; another one would break chains."""
    issuing = generate()
    made = create_chain(
        generate("ecdsa-p256"), issuing, organization="example.com", common_name="x", now=NOW
    )
    root = generate("ecdsa-p256")
    # A name in PrintableString, where we would write UTF8String.
    name = bytes.fromhex("3012311030") + b"\x0e\x06\x03\x55\x04\x0a\x13\x07example"
    spki, signature = issuing.public_key.spki, build.signature_identifier(root.algorithm)
    issuer = parse_certificate(made[1])
    head = build.encode_tbs_head(
        1, signature, issuer.subject_der, (issuer.not_before, issuer.not_after), name, spki
    )
    extensions = (
        build.key_usage(build.KEY_USAGE_ISSUE),
        build.extended_key_usage(build.CODE_SIGNING),
        build.basic_constraints(0),
    )
    root_head = build.encode_tbs_head(
        2,
        signature,
        issuer.subject_der,
        (issuer.not_before, issuer.not_after),
        issuer.subject_der,
        root.public_key.spki,
    )
    chain = (
        build.sign_tbs(build.encode_tbs(head, extensions), signature, root),
        build.sign_tbs(
            build.encode_tbs(root_head, (build.basic_constraints(None),)), signature, root
        ),
    )
    authority = Authority.load(issuing, chain, NOW)
    certificate = precertify(authority, LEAF_KEY, IDENTITY, NOW).with_sct(SCT)

    assert parse_certificate(certificate).issuer_der == name
