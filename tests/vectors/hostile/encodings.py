"""Hostile DER: requests for certificates and timestamps, certificates, and chains."""

from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from tests.vectors.hostile.rows import ARTIFACT, Row, any_json, dump
from touchplate.formats import der
from touchplate.testing import World


def csrs(_: World) -> Iterator[Row]:
    """Give certificate signing requests; each is sent with a good token."""
    key = ec.generate_private_key(ec.SECP256R1())

    def make(key: Any, digest: Any, **how: Any) -> bytes:
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        request = builder.sign(key, digest, **how)
        return request.public_bytes(serialization.Encoding.DER)

    def pem(data: bytes, label: str = "CERTIFICATE REQUEST") -> bytes:
        text = b64encode(data).decode()
        lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
        return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode()

    good = make(key, hashes.SHA256())
    flipped = bytearray(good)
    flipped[-10] ^= 1
    signed_part = der.Reader(good, what="CSR", code="DER_MALFORMED").enter().raw()
    other_version = good.replace(b"\x02\x01\x00", b"\x02\x01\x07", 1)
    bad, refused, unproven = "REQUEST_MALFORMED", "ALGORITHM_REFUSED", "PROOF_REFUSED"
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505  to be refused
    strong = rsa.generate_private_key(65537, 2048)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    for name, data, code in (
        ("no_pem", good, bad),
        ("no_end", pem(good)[:-20], bad),
        ("no_base64", pem(good).replace(b"\nMI", b"\n**", 1), bad),
        ("empty_block", pem(b""), bad),
        ("truncated", pem(good[:-1]), bad),
        ("followed", pem(good + b"\x00"), bad),
        ("signed_part_only", pem(signed_part), bad),
        ("length_of_4_gib", pem(b"\x30\x84\xff\xff\xff\xff" + good[4:]), bad),
        ("length_indefinite", pem(b"\x30\x80" + good[4:] + b"\x00\x00"), bad),
        ("private_key_label", pem(good, "PRIVATE KEY"), bad),
        ("other_version", pem(other_version), bad),
        ("signature_flipped", pem(bytes(flipped)), unproven),
        ("rsa_1024", pem(make(weak, hashes.SHA256())), refused),
        ("rsa_exponent_3", pem(make(rsa.generate_private_key(3, 2048), hashes.SHA256())), refused),
        ("rsa_pss", pem(make(strong, hashes.SHA256(), rsa_padding=pss)), refused),
        ("p384_sha256", pem(make(ec.generate_private_key(ec.SECP384R1()), hashes.SHA256())),
         refused),
        ("secp256k1", pem(make(ec.generate_private_key(ec.SECP256K1()), hashes.SHA256())), refused),
    ):  # fmt: skip
        yield f"{name}.pem", data, code, 400


def certificates(world: World) -> Iterator[Row]:
    """Give certificates that do not parse."""
    good = world.trusted_root.certificate_authorities[0].chain[0].der
    bad = "CERTIFICATE_MALFORMED"
    oid = bytes.fromhex("0603551d13")  # basicConstraints
    usage = bytes.fromhex("0603551d0f")
    yield "good.der", good, "", 0
    for name, data in (
        ("empty", b""),
        ("truncated", good[:-1]),
        ("followed", good + b"\x00"),
        ("length_of_4_gib", b"\x30\x84\xff\xff\xff\xff" + good[4:]),
        ("length_indefinite", b"\x30\x80" + good[4:] + b"\x00\x00"),
        ("length_not_minimal", b"\x30\x83\x00" + good[2:]),
        ("version_9", good.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x08", 1)),
        ("extension_twice", good.replace(usage, oid, 1)),
        ("no_such_day", _other_day(good)),
        ("nested_deep", _nested(2000)),
        ("not_a_sequence", b"\x31" + good[1:]),
    ):
        yield f"{name}.der", data, bad, 0


def _other_day(certificate: bytes) -> bytes:
    """Put the 99th month in the first UTCTime."""
    at = certificate.index(b"\x17\x0d") + 4
    return certificate[:at] + b"99" + certificate[at + 2 :]


def _nested(depth: int) -> bytes:
    data = b"\x05\x00"
    for _ in range(depth):
        data = der.sequence(data)
    return data


def timestamp_requests(_: World) -> Iterator[Row]:
    """Give requests for a timestamp, DER and JSON."""
    digest = sha256(ARTIFACT).digest()
    algorithm = der.sequence(der.oid("2.16.840.1.101.3.4.2.1"), der.null())
    imprint = der.sequence(algorithm, der.octet_string(digest))
    sha1 = der.sequence(der.sequence(der.oid("1.3.14.3.2.26"), der.null()),
                        der.octet_string(bytes(20)))  # fmt: skip
    md5 = der.sequence(der.sequence(der.oid("1.2.840.113549.2.5"), der.null()),
                       der.octet_string(bytes(16)))  # fmt: skip
    version = der.integer(1)
    good = der.sequence(version, imprint)
    bad = "TIMESTAMP_MALFORMED"
    for name, data, code in (
        ("truncated.der", good[:-1], bad),
        ("followed.der", good + b"\x00", bad),
        ("version_only.der", der.sequence(version), bad),
        ("length_of_4_gib.der", b"\x30\x84\xff\xff\xff\xff" + good[2:], bad),
        ("length_indefinite.der", b"\x30\x80" + good[2:] + b"\x00\x00", bad),
        ("digest_short.der", der.sequence(version, der.sequence(algorithm, der.octet_string(b"a"))),
         "DIGEST_UNSUPPORTED"),
        ("sha1.der", der.sequence(version, sha1), "ALGORITHM_REFUSED"),
        ("md5.der", der.sequence(version, md5), "ALGORITHM_REFUSED"),
        ("policy_unknown.der", der.sequence(version, imprint, der.oid("1.2.3")),
         "POLICY_OID_REFUSED"),
        ("oid_of_zeros.der", der.sequence(version, imprint, b"\x06\x82\x03\xe8" + b"\x80" * 1000),
         bad),
        ("oid_of_200_parts.der", der.sequence(version, imprint, b"\x06\x81\xc8" + b"\x01" * 200),
         bad),
        ("nonce_of_2_kib.der", der.sequence(version, imprint, der.integer(1 << 16384)), bad),
        ("boolean_is_2.der", der.sequence(version, imprint, b"\x01\x01\x02"), bad),
        ("nested_deep.der", _nested(2000), bad),
        ("truncated.json", b'{"artifactHash":', bad),
        ("hash_is_a_number.json", b'{"artifactHash":1,"hashAlgorithm":"sha256"}', bad),
        ("member_twice.json", b'{"nonce":1,"nonce":2}', bad),
        ("policy_is_text.json",
         dump({"artifactHash": b64encode(digest).decode(), "hashAlgorithm": "sha256",
               "tsaPolicyOID": "one"}), "POLICY_OID_REFUSED"),
        ("larger.json", b'{"artifactHash":"' + b"A" * 2000 + b'"}', "LIMIT_EXCEEDED"),
    ):  # fmt: skip
        yield name, data, code, 400


def timestamp_responses(world: World) -> Iterator[Row]:
    """Give timestamp responses that do not parse."""
    good = world.sign(ARTIFACT).timestamps[0]
    bad = "TIMESTAMP_MALFORMED"
    body = der.Reader(good, what="response", code=bad).enter()
    status, token = body.raw(), body.raw()
    rejected = der.sequence(der.integer(2))
    signed_data = bytes.fromhex("2a864886f70d010702")
    tst_info = bytes.fromhex("2a864886f70d0109100104")
    yield "good.der", good, "", 0
    for name, data in (
        ("empty", b""),
        ("truncated", good[:-1]),
        ("followed", good + b"\x00"),
        ("granted_without_token", der.sequence(status)),
        ("rejected_with_token", der.sequence(rejected, token)),
        ("length_of_4_gib", b"\x30\x84\xff\xff\xff\xff" + good[4:]),
        ("length_indefinite", b"\x30\x80" + good[4:] + b"\x00\x00"),
        ("other_content_type", good.replace(signed_data, signed_data[:-1] + b"\x03", 1)),
        ("other_inner_type", good.replace(tst_info, tst_info[:-1] + b"\x05", 1)),
        ("nested_deep", _nested(2000)),
    ):
        yield f"{name}.der", data, bad, 0


def chains(world: World) -> Iterator[Row]:
    """Give bodies of add-pre-chain."""
    issuing, root = world.trusted_root.certificate_authorities[0].chain
    good = [b64encode(each.der).decode() for each in (issuing, root)]
    body = dump({"chain": good})
    bad, malformed, refused = "REQUEST_MALFORMED", "CERTIFICATE_MALFORMED", "CHAIN_REFUSED"
    yield from any_json(body, bad, 400)
    for name, chain, code in (
        ("no_chain.json", [], bad),
        ("chain_is_text.json", good[0], bad),
        ("chain_of_numbers.json", [1, 2], bad),
        ("not_base64.json", ["*"], bad),
        ("not_a_certificate.json", ["MAA=", *good], malformed),
        ("issuer_is_not.json", [good[0], "MAA="], refused),
        ("ca_as_leaf.json", good, refused),
        ("chain_of_11.json", ["MAA="] * 11, bad),
    ):
        yield name, dump({"chain": chain}), code, 400
