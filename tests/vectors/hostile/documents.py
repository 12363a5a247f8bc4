"""Hostile JSON: bundles, trust documents, tokens, and requests to the log."""

import json
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

from tests.vectors.hostile.rows import ARTIFACT, FOLDER, Row, any_json, dump, edited, flip, put
from touchplate.formats.bundle import encode_bundle
from touchplate.formats.signing_config import encode_signing_config
from touchplate.formats.trusted_root import encode_trusted_root
from touchplate.testing import World


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
