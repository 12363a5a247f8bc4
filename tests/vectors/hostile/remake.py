"""Makes the corpus of hostile input again, with fresh keys: python -m tests.vectors.hostile.remake.

What each file must lead to is written here by hand, and goes to `index.json` beside the files.
Commit what it writes only if you mean to change the corpus.
"""

import json
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from touchplate.formats import der
from touchplate.formats.bundle import encode_bundle
from touchplate.formats.signing_config import encode_signing_config
from touchplate.formats.trusted_root import encode_trusted_root
from touchplate.testing import World

FOLDER = Path(__file__).parent
ARTIFACT = b"artifact"

# File name, bytes, the code that it must lead to ("" for a good one) and, where it is a request,
# the status.
Row = tuple[str, bytes, str, int]


def dump(value: Any) -> bytes:
    """Write JSON."""
    return json.dumps(value).encode()


def edited(document: bytes, edit: Callable[[Any], object]) -> bytes:
    """Change members of a JSON document."""
    value = json.loads(document)
    edit(value)
    return dump(value)


def put(*path: Any) -> Callable[[Any], None]:
    """Give an edit: the last of `path` is put where the others lead."""
    *steps, last, value = path

    def edit(document: Any) -> None:
        for step in steps:
            document = document[step]
        document[last] = value

    return edit


def flip(text: str, at: int) -> str:
    """Flip one bit of what the base64 text says."""
    data = bytearray(b64decode(text))
    data[at] ^= 1
    return b64encode(data).decode()


def any_json(good: bytes, code: str, status: int) -> Iterator[Row]:
    """Give what is wrong with JSON, whatever it says."""
    yield "truncated.json", good[: len(good) // 2], code, status
    yield "empty.json", b"", code, status
    yield "array.json", b"[" + good + b"]", code, status
    yield "null.json", b"null", code, status
    yield "not_utf8.json", good.replace(b'":', b'\xff":', 1), code, status
    yield "byte_order_mark.json", b"\xef\xbb\xbf" + good, code, status
    yield "followed.json", good + b"{}", code, status
    name = next(iter(json.loads(good)))
    twice = b"{" + dump(name) + b":" + dump(json.loads(good)[name]) + b"," + good[1:]
    yield "member_twice.json", twice, code, status
    deep = b"[" * 5000 + b"]" * 5000
    yield "deep.json", b"{" + dump(name) + b":" + deep + b"}", "LIMIT_EXCEEDED", status
    yield "not_a_number.json", b"{" + dump(name) + b":NaN}", code, status
    yield "huge_number.json", b"{" + dump(name) + b":1" + b"0" * 6000 + b"}", code, status


def bundles(world: World) -> Iterator[Row]:
    """Give bundles that must not verify, over `trusted_root.json` of the same folder."""
    good = encode_bundle(world.sign(ARTIFACT))
    other = json.loads(encode_bundle(world.sign(b"another")))
    value = json.loads(good)
    material = "verificationMaterial"
    entry = (material, "tlogEntries", 0)
    bad = "BUNDLE_MALFORMED"
    yield "good.json", good, "", 0
    yield from any_json(good, bad, 0)
    for name, edit, code in (
        ("other_version.json", put("mediaType", "application/x;version=9"), "BUNDLE_VERSION"),
        ("no_content.json", lambda b: b.pop("messageSignature"), bad),
        ("two_contents.json", put("dsseEnvelope", {}), bad),
        ("two_materials.json", put(material, "publicKey", {"hint": "a"}), bad),
        ("chain_in_v0_3.json", _as_chain, "BUNDLE_VERSION_RULE"),
        ("null_entry.json", put(*entry, None), bad),
        ("entries_33.json", put(material, "tlogEntries", [{}] * 33), "BUNDLE_LIMIT"),
        ("no_entries.json", put(material, "tlogEntries", []), "LOG_UNKNOWN"),
        ("index_too_large.json", put(*entry, "logIndex", str(2**63)), bad),
        ("index_negative.json", put(*entry, "logIndex", "-1"), bad),
        ("index_is_a_float.json", put(*entry, "logIndex", 0.5), bad),
        ("not_base64.json", put("messageSignature", "signature", "*"), bad),
        ("certificate_is_not.json",
         put(material, "certificate", "rawBytes", "MAA="), bad),
        ("certificate_of_another.json",
         put(material, "certificate", other[material]["certificate"]), "SIGNATURE_INVALID"),
        ("entry_of_another.json", put(*entry, other[material]["tlogEntries"][0]),
         "ENTRY_SIGNATURE_MISMATCH"),
        ("timestamp_of_another.json",
         put(material, "timestampVerificationData", other[material]["timestampVerificationData"]),
         "TIMESTAMP_INVALID"),
        ("timestamp_is_not.json",
         put(material, "timestampVerificationData", "rfc3161Timestamps", 0, "signedTimestamp",
             "MAA="), "TIMESTAMP_MALFORMED"),
        ("no_timestamp.json", put(material, "timestampVerificationData", {}), "NO_VERIFIED_TIME"),
        ("signature_flipped.json", lambda b: b["messageSignature"].update(
            signature=flip(b["messageSignature"]["signature"], 20)), "TIMESTAMP_INVALID"),
        ("root_hash_short.json", put(*entry, "inclusionProof", "rootHash", "AA=="),
         "CHECKPOINT_ROOT_MISMATCH"),
        ("proof_hashes_65.json", put(*entry, "inclusionProof", "hashes", ["AA=="] * 65),
         "BUNDLE_LIMIT"),
        ("tree_size_of_another.json", put(*entry, "inclusionProof", "treeSize", "999"),
         "CHECKPOINT_ROOT_MISMATCH"),
        ("no_proof.json", lambda b: b[material]["tlogEntries"][0].pop("inclusionProof"),
         "INCLUSION_PROOF_MISSING"),
        ("checkpoint_is_not.json", put(*entry, "inclusionProof", "checkpoint", "envelope", "a\n"),
         "CHECKPOINT_MALFORMED"),
        ("checkpoint_of_nobody.json", put(*entry, "inclusionProof", "checkpoint", "envelope",
         _resigned(value[material]["tlogEntries"][0])), "CHECKPOINT_SIGNATURE"),
        ("unknown_log.json", put(*entry, "logId", "keyId", b64encode(bytes(32)).decode()),
         "LOG_UNKNOWN"),
        ("unknown_kind.json", put(*entry, "kindVersion", "kind", "jar"), "ENTRY_KIND_UNSUPPORTED"),
    ):  # fmt: skip
        yield name, edited(good, edit), code, 0


def _as_chain(bundle: Any) -> None:
    material = bundle["verificationMaterial"]
    certificate = material.pop("certificate")
    material["x509CertificateChain"] = {"certificates": [certificate]}


def _resigned(entry: Any) -> str:
    text, _, line = entry["inclusionProof"]["checkpoint"]["envelope"].rpartition(" ")
    return f"{text} {flip(line.strip(), 30)}\n"


def trusted_roots(world: World) -> Iterator[Row]:
    """Give trusted roots that cannot be one."""
    good = encode_trusted_root(world.trusted_root)
    bad = "TRUST_ROOT_INVALID"
    yield "good.json", good, "", 0
    yield from any_json(good, bad, 0)
    log, authority = ("tlogs", 0), ("certificateAuthorities", 0)
    for name, edit in (
        ("other_media_type.json", put("mediaType", "application/json")),
        ("lists_are_not.json", put("tlogs", {})),
        ("entries_257.json", put("tlogs", [{}] * 257)),
        ("key_without_start.json", lambda root: root["tlogs"][0]["publicKey"].pop("validFor")),
        ("no_such_day.json",
         put(*log, "publicKey", "validFor", {"start": "2030-02-30T00:00:00Z"})),
        ("no_base64.json", put(*log, "publicKey", "rawBytes", "%%%")),
        ("log_id_short.json", put(*log, "logId", "keyId", "AAAA")),
        ("empty_chain.json", put(*authority, "certChain", "certificates", [])),
        ("chain_of_17.json", lambda root: root["certificateAuthorities"][0]["certChain"].update(
            certificates=root["certificateAuthorities"][0]["certChain"]["certificates"] * 9)),
    ):  # fmt: skip
        yield name, edited(good, edit), "LIMIT_EXCEEDED" if "_257" in name else bad, 0
    # It may be for another version: it is left out, and nothing signed under it verifies.
    unknown = put(*authority, "certChain", "certificates", 0, "rawBytes", "MAA=")
    yield "certificate_is_not.json", edited(good, unknown), "", 0


def signing_configs(world: World) -> Iterator[Row]:
    """Give signing configs that cannot be one."""
    good = encode_signing_config(world.signing_config)
    bad = "SIGNING_CONFIG_INVALID"
    yield "good.json", good, "", 0
    yield from any_json(good, bad, 0)
    for name, edit in (
        ("other_media_type.json", put("mediaType", "application/json")),
        ("services_are_not.json", put("caUrls", "https://example.org")),
        ("service_is_null.json", put("caUrls", 0, None)),
        ("version_is_text.json", put("caUrls", 0, "majorApiVersion", "one")),
        ("no_such_selector.json", put("rekorTlogConfig", {"selector": "SOME"})),
        ("count_is_negative.json", put("tsaConfig", {"selector": "EXACT", "count": -1})),
        ("no_such_day.json",
         put("caUrls", 0, "validFor", {"start": "2030-13-01T00:00:00Z"})),
    ):  # fmt: skip
        yield name, edited(good, edit), bad, 0


def tokens(world: World) -> Iterator[Row]:
    """Give identity tokens; each is sent with a good key and proof. The good ones end in time."""
    head, body, tail = world.token().split(".")
    claims = json.loads(b64decode(body + "=="))
    bad, refused = "TOKEN_MALFORMED", "TOKEN_REFUSED"

    def part(value: Any) -> str:
        return urlsafe_b64encode(dump(value)).decode().rstrip("=")

    def with_claims(**changes: object) -> str:
        return f"{head}.{part({**claims, **changes})}.{tail}"

    def with_header(**changes: object) -> str:
        header = {**json.loads(b64decode(head + "==")), **changes}
        return f"{part(header)}.{body}.{tail}"

    for name, text, code in (
        ("empty", "", bad),
        ("two_parts", f"{head}.{body}", bad),
        ("four_parts", f"{head}.{body}.{tail}.", bad),
        ("dots", "." * 400, bad),
        ("with_padding", f"{head}.{body}.{tail}==", bad),
        ("standard_base64", f"{head}.{body}.a+/a", bad),
        ("header_is_text", f"{part('none')}.{body}.{tail}", bad),
        ("header_is_deep", f"{part([[]])[:-2]}.{body}.{tail}", bad),
        ("claims_are_a_list", f"{head}.{part([])}.{tail}", bad),
        ("claims_twice", f"{head}.{part({})[:-1]}.{tail}", bad),
        ("critical_extension", with_header(crit=["exp"]), bad),
        ("algorithm_is_a_number", with_header(alg=1), bad),
        ("algorithm_none", with_header(alg="none"), refused),
        ("algorithm_none_unsigned", f"{part({'alg': 'none'})}.{body}.", refused),
        ("algorithm_hmac", with_header(alg="HS256"), refused),
        ("key_by_url", with_header(jku="https://example.org/keys", kid="other"), refused),
        ("key_inside", with_header(jwk={"kty": "oct", "k": "AA"}), refused),
        ("issuer_unknown", with_claims(iss="https://169.254.169.254/"), refused),
        ("issuer_with_slash", with_claims(iss=f"{claims['iss']}/"), refused),
        ("issuer_missing", with_claims(iss=None), bad),
        ("audience_other", with_claims(aud="other"), refused),
        ("expiry_far", with_claims(exp=10**400), refused),
        ("expiry_text", with_claims(exp="9999999999"), refused),
        ("other_email", with_claims(email="root@example.org"), refused),
        ("signature_empty", f"{head}.{body}.", refused),
    ):
        yield f"{name}.jwt", text.encode(), code, 400


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


def notes(_: World) -> Iterator[Row]:
    """Give signed notes, as checkpoints are, that do not parse."""
    root = b64encode(bytes(32)).decode()
    line = f"— log.example {b64encode(bytes(68)).decode()}\n"
    text = f"log.example\n1\n{root}\n"
    good = f"{text}\n{line}"
    note, checkpoint = "NOTE_MALFORMED", "CHECKPOINT_MALFORMED"
    yield "good.txt", good.encode(), "", 0
    for name, data, code in (
        ("empty", "", note),
        ("no_signature", text + "\n", note),
        ("no_empty_line", text + line, note),
        ("no_last_newline", good[:-1], note),
        ("carriage_return", good.replace("\n", "\r\n"), note),
        ("control_character", good.replace("log", "l\x01g", 1), note),
        ("hyphen_for_dash", good.replace("—", "-"), note),
        ("name_with_plus", good.replace("— log", "— l+g"), note),
        ("signature_no_base64", good.replace(line, "— log.example ****\n"), note),
        ("signature_short", good.replace(line, "— log.example AAAA\n"), note),
        ("size_negative", good.replace("\n1\n", "\n-1\n"), checkpoint),
        ("size_leading_zero", good.replace("\n1\n", "\n01\n"), checkpoint),
        ("size_2_64", good.replace("\n1\n", f"\n{2**64}\n"), checkpoint),
        ("size_other_digit", good.replace("\n1\n", "\n\u0661\n"), checkpoint),
        ("root_short", good.replace(root, "AAAA"), checkpoint),
        ("origin_empty", good.replace("log.example\n1", "\n1"), checkpoint),
        ("two_lines", f"log.example\n1\n\n{line}", checkpoint),
    ):
        yield f"{name}.txt", data.encode(), code, 0


def entries_v2(_: World) -> Iterator[Row]:
    """Give requests for an entry by API v2."""
    good = (FOLDER.parent / "entries/hashedrekord_v002/request.json").read_bytes()
    bad = "REQUEST_MALFORMED"
    yield from any_json(good, bad, 400)
    top = "hashedRekordRequestV002"
    verifier = (top, "signature", "verifier")
    key = json.loads(good)[top]["signature"]["verifier"]["publicKey"]
    for name, edit, code in (
        ("no_kind.json", lambda r: r.clear(), bad),
        ("two_kinds.json", put("dsseRequestV002", {}), bad),
        ("unknown_member.json", put(top, "more", 1), bad),
        ("two_spellings.json", put(*verifier, "key_details", 5), bad),
        ("digest_short.json", put(top, "digest", "AAAA"), "DIGEST_UNSUPPORTED"),
        ("digest_of_another.json", put(top, "digest", b64encode(bytes(32)).decode()),
         "SIGNATURE_INVALID"),
        ("digest_is_a_list.json", put(top, "digest", [1]), bad),
        ("key_and_certificate.json", put(*verifier, "x509Certificate", key), bad),
        ("key_is_not.json", put(*verifier, "publicKey", "rawBytes", "MAA="), "KEY_UNREADABLE"),
        ("certificate_is_not.json", lambda r: _with_certificate(r, "MAA="), bad),
        ("algorithm_of_another.json",
         put(*verifier, "keyDetails", "PKIX_ECDSA_P384_SHA_384"), "ALGORITHM_REFUSED"),
        ("algorithm_unknown.json", put(*verifier, "keyDetails", "NO_SUCH"), bad),
        ("algorithm_unspecified.json", put(*verifier, "keyDetails", 0), bad),
        ("algorithm_not_hashed.json", put(*verifier, "keyDetails", "PKIX_ED25519"),
         "ALGORITHM_REFUSED"),
    ):  # fmt: skip
        yield name, edited(good, edit), code, 400


def _with_certificate(request: Any, text: str) -> None:
    verifier = request["hashedRekordRequestV002"]["signature"]["verifier"]
    del verifier["publicKey"]
    verifier["x509Certificate"] = {"rawBytes": text}


def entries_v1(_world: World) -> Iterator[Row]:
    """Give proposed entries of API v1."""
    good = (FOLDER.parent / "entries/hashedrekord_v001/request.json").read_bytes()
    envelope = (FOLDER.parent / "entries/dsse_v001/request.json").read_bytes()
    bad = "REQUEST_MALFORMED"
    for file, data, wrong, _ in any_json(good, "JSON_MALFORMED", 0):
        yield file, data, wrong, 422 if file == "empty.json" else 400
    signature = ("spec", "signature")
    for name, edit, code, status in (
        ("kind_unknown.json", put("kind", "no-such-kind"), "ENTRY_KIND_UNSUPPORTED", 422),
        ("kind_is_a_number.json", put("kind", 1), bad, 422),
        ("kind_not_taken.json", put("kind", "jar"), "ENTRY_REFUSED", 400),
        ("version_unknown.json", put("apiVersion", "9.9.9"), "ENTRY_REFUSED", 400),
        ("no_spec.json", lambda r: r.pop("spec"), bad, 422),
        ("no_signature.json", lambda r: r["spec"].pop("signature"), bad, 400),
        ("signature_not_base64.json", put(*signature, "content", "*"), bad, 400),
        (
            "signature_of_another.json",
            put(*signature, "content", "MAYCAQECAQE="),
            "SIGNATURE_INVALID",
            400,
        ),
        ("key_not_pem.json", put(*signature, "publicKey", "content", "AAAA"), bad, 400),
        (
            "key_by_url.json",
            put(*signature, "publicKey", {"url": "https://169.254.169.254/"}),
            bad,
            400,
        ),
        ("hash_unknown.json", put("spec", "data", "hash", "algorithm", "md5"), bad, 400),
        ("hash_short.json", put("spec", "data", "hash", "value", "00"), bad, 400),
    ):
        yield name, edited(good, edit), code, status
    proposed = ("spec", "proposedContent")
    for name, edit, code, status in (
        ("envelope_is_not.json", put(*proposed, "envelope", "{"), bad, 400),
        ("envelope_without_verifiers.json", put(*proposed, "verifiers", []), bad, 400),
        ("envelope_of_another.json", put(*proposed, "envelope", dump(
            {"payload": "YQ==", "payloadType": "a", "signatures": [{"sig": "YQ=="}]}).decode()),
         "SIGNATURE_INVALID", 400),
    ):  # fmt: skip
        yield name, edited(envelope, edit), code, status


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


FORMATS: dict[str, Callable[[World], Iterator[Row]]] = {
    "bundle": bundles,
    "trusted_root": trusted_roots,
    "signing_config": signing_configs,
    "token": tokens,
    "csr": csrs,
    "certificate": certificates,
    "timestamp_request": timestamp_requests,
    "timestamp_response": timestamp_responses,
    "note": notes,
    "entry_v2": entries_v2,
    "entry_v1": entries_v1,
    "chain": chains,
}


def main() -> None:
    """Write every file, and one index for each format."""
    with World() as world:
        for name, rows in FORMATS.items():
            folder = FOLDER / name
            folder.mkdir(exist_ok=True)
            index: dict[str, dict[str, object]] = {}
            for file, data, code, status in rows(world):
                (folder / file).write_bytes(data)
                index[file] = {"code": code, "status": status} if status else {"code": code}
            (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n")
        (FOLDER / "bundle" / "trusted_root").write_bytes(encode_trusted_root(world.trusted_root))


if __name__ == "__main__":
    main()
