"""The traps of Fulcio's protocol, one test each, in the order of the specification's list.

Each has its shortest form here; 16 and 17 are of templates, see tests/oidc.
"""

import base64
import json
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from tests.ca.places import EMAIL, ISSUER, KEY, NOW, TOKEN, Office, as_json, csr_pem, v2_body
from tests.ca.test_profile import CERTIFICATE, IDENTITY, INTERMEDIATE, LEAF_KEY, PRECERTIFICATE, SCT
from touchplate.ca.authority import Authority, create_chain, random_serial
from touchplate.ca.profile import precertify
from touchplate.ca.proof import check_possession
from touchplate.ca.request import SigningRequest, parse_v2
from touchplate.ca.routes import routes
from touchplate.ca.settings import IssueSettings
from touchplate.errors import SettingsError, TouchplateError
from touchplate.formats.certificate import PRECERT_POISON, SCT_LIST, parse_certificate
from touchplate.formats.sct import parse_sct_list
from touchplate.keys.signer import generate
from touchplate.oidc import Authenticator
from touchplate.oidc.identity import IDENTITY_TYPES
from touchplate.oidc.issuers import compile_pattern
from touchplate.oidc.tokens import Claims
from touchplate.server.app import App
from touchplate.testing.in_process import InProcessTransport
from touchplate.transport.asgi import Response

V1, V2 = "/api/v1/signingCert", "/api/v2/signingCert"
BEARER = f"Bearer {TOKEN}"
_DER = Encoding.DER
LEAF = parse_certificate(CERTIFICATE)


def v2(office: Office, **changes: Any) -> list[str]:
    """Ask, and give the PEMs of the answer."""
    response = office.call("POST", V2, as_json(v2_body(**changes)))
    assert response.status == 200, response.body
    found = json.loads(response.body)["signedCertificateEmbeddedSct"]["chain"]["certificates"]
    return list(found)


def test_trap_01_same_signed_part() -> None:
    """Precertificate and certificate are the same bytes but for poison and list."""
    precertificate = parse_certificate(PRECERTIFICATE)
    assert precertificate.tbs_without(PRECERT_POISON) == LEAF.tbs_without(SCT_LIST)
    assert list(LEAF.extensions)[-1] == SCT_LIST
    assert list(precertificate.extensions)[-1] == PRECERT_POISON


def test_trap_02_wrapped_twice() -> None:
    """The list is in two OCTET STRINGs, with two lengths of two octets."""
    assert LEAF.extensions[SCT_LIST].value.hex().startswith("047a0078007600ac9380f9")


def test_trap_03_raw_and_text() -> None:
    """Extension 1 is bare bytes, 8 a UTF8String; what is empty is not there."""
    arc, url = bytes.fromhex("2b0601040183bf3001"), IDENTITY.issuer.encode()
    assert LEAF.value(arc + b"\x01") == url
    assert LEAF.value(arc + b"\x08") == bytes((12, len(url))) + url
    assert LEAF.value(arc + b"\x02") is None


@pytest.mark.parametrize("accept", ["application/pem-certificate-chain", "text/plain", ""])
def test_trap_04_status_and_type(office: Office, accept: str) -> None:
    """Version 2 is 200 JSON and version 1 201 PEM, whatever is accepted or said to be sent."""
    csr = base64.b64encode(csr_pem()).decode()
    with closing(InProcessTransport({"https://ca.test": served(office)})) as transport:
        for path, status, kind in (
            (V2, 200, "application/json"),
            (V1, 201, "application/pem-certificate-chain"),
        ):
            found = transport.request(
                "POST",
                f"https://ca.test{path}",
                body=as_json({"certificateSigningRequest": csr}),
                headers=(
                    ("Authorization", BEARER),
                    ("Accept", accept),
                    ("Content-Type", "text/x"),
                ),
                max_bytes=100_000,
            )
            assert (found.status, dict(found.headers)["content-type"]) == (status, kind)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", V2, b"", 501, "Method Not Allowed"),
        ("POST", "/api/v2/trustBundle", b"", 501, "Method Not Allowed"),
        ("GET", "/api/v2/nothing", b"", 404, "Not Found"),
        ("POST", V2, bytes(4 * 1024 * 1024 + 1), 400, "http: request body too large"),
        ("POST", V1, bytes(4 * 1024 * 1024 + 1), 400, "http: request body too large"),
        ("POST", V2, b"", 400, "There was an error processing the identity token"),
        ("POST", V2, b" \n", 400, "There was an error processing the identity token"),
    ],
)
def test_gateway(
    office: Office, method: str, path: str, body: bytes, status: int, message: str
) -> None:
    """What never reaches the authority is answered as grpc-gateway does; scripts may read all."""
    code = {404: 5, 501: 12, 400: 3}[status]
    with closing(InProcessTransport({"https://ca.test": served(office)})) as transport:
        found = transport.request(
            method,
            f"https://ca.test{path}",
            body=body,
            headers=(("Origin", "https://page.test"),),
            max_bytes=10_000,
        )
    assert found.status == status
    assert json.loads(found.body) == {"code": code, "message": message, "details": []}
    assert dict(found.headers)["access-control-allow-origin"] == "*"


def test_preflight(office: Office) -> None:
    """A preflight names what a script may do."""
    with closing(InProcessTransport({"https://ca.test": served(office)})) as transport:
        found = transport.request(
            "OPTIONS",
            f"https://ca.test{V2}",
            headers=(("Origin", "https://page.test"), ("Access-Control-Request-Method", "POST")),
            max_bytes=10_000,
        )
    headers = dict(found.headers)
    assert found.status == 204
    assert headers["access-control-allow-methods"] == "GET, POST, HEAD"
    assert headers["access-control-allow-headers"] == "accept, content-type, x-requested-with"


def served(office: Office) -> App:
    """Give the whole application over the office's routes."""
    return App(routes(office.issuance, lambda: office.authenticator.issuers))


@pytest.mark.parametrize("algorithm", ["RSA", "ecdsa", None, 7, [], {}])
def test_trap_05_algorithm(office: Office, algorithm: object) -> None:
    """The algorithm is never looked at; unknown and null fields are no faults."""
    body = v2_body(unknown=1, certificateSigningRequest=None)
    body["publicKeyRequest"]["publicKey"]["algorithm"] = algorithm
    assert office.call("POST", V2, as_json(body)).status == 200


def test_trap_06_base64_of_what(office: Office) -> None:
    """A CSR is base64 of PEM; a key is base64 of DER in version 1, PEM in version 2."""
    der = x509.load_pem_x509_csr(csr_pem()).public_bytes(_DER)
    body = as_json({"certificateSigningRequest": base64.b64encode(der).decode()})
    assert office.call("POST", V2, body, BEARER).status == 400
    content = base64.b64encode(KEY.public_key.spki).decode()
    proof = base64.b64encode(KEY.sign(EMAIL.encode())).decode()
    v1 = as_json({"publicKey": {"content": content}, "signedEmailAddress": proof})
    assert office.call("POST", V1, v1, BEARER).status == 201
    wrong = v2_body()
    wrong["publicKeyRequest"]["publicKey"]["content"] = content
    assert office.call("POST", V2, as_json(wrong)).status == 400


@pytest.mark.parametrize("kind", ["ecdsa-p384", "ecdsa-p521", "rsa-2048"])
def test_trap_07_hash_of_the_curve(kind: str) -> None:
    """The hash of a proof is that of the curve; RSA is PKCS #1 v1.5 with SHA-256."""
    signer = generate(kind)
    request = SigningRequest("", b"", signer.public_key.spki, signer.sign(b"s"))
    assert check_possession(request, "s") == signer.public_key


def test_trap_08_newlines(office: Office) -> None:
    """PEM in an answer has no newline at its end, in the bundle it has."""
    assert not any(pem.endswith("\n") for pem in v2(office))
    bundle = json.loads(office.call("GET", "/api/v2/trustBundle").body)
    assert all(pem.endswith("-\n") for pem in bundle["chains"][0]["certificates"])


def test_trap_09_order(office: Office) -> None:
    """Leaf, issuing certificate, root: the root is included."""
    chain = [x509.load_pem_x509_certificate(pem.encode()) for pem in v2(office)]
    assert len(chain) == 3
    chain[0].verify_directly_issued_by(chain[1])
    chain[2].verify_directly_issued_by(chain[2])


def test_trap_10_critical() -> None:
    """The name is critical, the purpose is not, the issuer's key is named; no Ed25519 issues."""
    critical = {oid.hex(): each.critical for oid, each in LEAF.extensions.items()}
    assert critical["551d11"]
    assert not critical["551d25"]
    assert not critical["551d23"]
    key = generate("ed25519")
    chain = create_chain(generate(), key, organization="o", common_name="c", now=NOW)
    with pytest.raises(SettingsError):
        Authority.load(key, chain, NOW)


def test_trap_11_token_is_400(office: Office) -> None:
    """A token that is refused is 400, never 401."""
    assert office.call("POST", V2, as_json(v2_body(credentials={}))).status == 400


@pytest.mark.parametrize("verified", [None, "true", "True", True, "yes", 1, False, "False"])
def test_trap_12_email_verified(office: Office, verified: object) -> None:
    """An address counts if the issuer says that it is verified; missing and unclear are no."""
    values = {"email": EMAIL} if verified is None else {"email": EMAIL, "email_verified": verified}
    row = office.authenticator.issuers[0]
    claims = Claims(ISSUER.url, EMAIL, values)
    passes = verified in ("true", "True") or verified is True
    try:
        IDENTITY_TYPES["email"].identify(claims, row.type_settings)
    except TouchplateError:
        assert not passes
    else:
        assert passes


def test_trap_13_pattern() -> None:
    """CVE-2026-22772: a pattern is of the whole issuer, and a star is within one label."""
    pattern = compile_pattern("https://oidc.eks.*.amazonaws.com/id/*")
    assert pattern.fullmatch("https://oidc.eks.eu-1.amazonaws.com/id/A1")
    for wrong in (
        "https://oidc.eks.evil.com/x.amazonaws.com/id/A",
        "https://oidc.eks.eu.amazonaws.com/id/A/x",
        "https://oidc.eks.eu.amazonaws.com/id/A\n",
        "https://evil.com/https://oidc.eks.eu.amazonaws.com/id/A",
        "https://oidc.eks.eu.amazonaws.com.evil.com/id/A",
    ):
        assert not pattern.fullmatch(wrong)


def test_trap_14_nothing_is_fetched(office: Office) -> None:
    """CVE-2026-49478: for an issuer that is not configured nothing is fetched."""
    asked: list[str] = []

    def discover(issuer: Any) -> Any:
        asked.append(issuer.url)
        raise AssertionError("nothing is to be fetched")

    row = ISSUER.as_issuer()
    other = replace(row, url="https://other.example.com", keys=None)
    authenticator = Authenticator([other], discover=discover)
    office.issuance = replace(
        office.issuance, authenticate=authenticator.authenticate, prepare=authenticator.prepare
    )
    assert office.call("POST", V2, as_json(v2_body())).status == 400
    assert asked == []


def test_trap_15_expiry(office: Office) -> None:
    """A token is good to its last second, and not one longer."""
    token = ISSUER.mint(EMAIL, NOW, timedelta(minutes=5))
    end = NOW.replace(microsecond=0) + timedelta(minutes=5)
    for at, status in ((end, 200), (end + timedelta(seconds=1), 400)):
        office.issuance = replace(office.issuance, now=lambda at=at: at)  # type: ignore[misc]  # bound now
        body = v2_body(credentials={"oidcIdentityToken": token})
        assert office.call("POST", V2, as_json(body)).status == status


def test_trap_18_issuer_name_is_copied(office: Office) -> None:
    """The issuer is the bytes of the authority's subject."""
    (leaf, *_) = v2(office)
    found = parse_certificate(x509.load_pem_x509_certificate(leaf.encode()).public_bytes(_DER))
    assert found.issuer_der == office.place.authority.issuing.subject_der
    assert LEAF.issuer_der == parse_certificate(INTERMEDIATE).subject_der


def test_trap_19_serial() -> None:
    """Serials are positive and have at most 20 octets."""
    assert all(0 < random_serial() < 1 << 159 for _ in range(1000))


def test_trap_20_log_extensions(office: Office) -> None:
    """The eight octets of a static log's promise are in the certificate."""
    (leaf, *_) = v2(office)
    found = parse_certificate(x509.load_pem_x509_certificate(leaf.encode()).public_bytes(_DER))
    (sct,) = parse_sct_list(found.extensions[SCT_LIST].value)
    assert len(sct.extensions) == 8


def test_trap_21_sct_header(office: Office) -> None:
    """The header is there only for a detached promise."""
    body = as_json({"certificateSigningRequest": base64.b64encode(csr_pem()).decode()})
    assert "SCT" not in dict(office.call("POST", V1, body, BEARER).headers)
    office.issuance = replace(
        office.issuance,
        submit=partial(office.place.log.submit, precertificate=False),
        settings=IssueSettings(sct="detached"),
    )
    found: Response = office.call("POST", V1, body, BEARER)
    assert json.loads(base64.b64decode(dict(found.headers)["SCT"]))["sct_version"] == 0


def test_trap_22_backdated() -> None:
    """A fresh chain was valid five minutes ago."""
    key = generate()
    chain = create_chain(generate(), key, organization="o", common_name="c", now=NOW)
    authority = Authority.load(key, chain, NOW)
    assert authority.not_before <= NOW - timedelta(minutes=5)
    assert precertify(authority, LEAF_KEY, IDENTITY, NOW - timedelta(minutes=4)).with_sct(SCT)


def test_cve_2025_66506_dots(office: Office) -> None:
    """A token with a million dots is refused before it is split."""
    body = v2_body(credentials={"oidcIdentityToken": "." * 1_000_000})
    assert office.call("POST", V2, as_json(body)).status == 400


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_flipped_csr(place: int, bits: int) -> None:
    """A CSR that differs in any one octet proves nothing, or the same key."""
    raw = bytearray(base64.b64decode(b"".join(csr_pem().split(b"\n")[1:-2])))
    raw[place % len(raw)] ^= bits
    pem = b"-----BEGIN CERTIFICATE REQUEST-----\n%s\n-----END CERTIFICATE REQUEST-----\n"
    request = SigningRequest("", pem % base64.encodebytes(bytes(raw)), b"", b"")
    with pytest.raises(TouchplateError):
        check_possession(request, EMAIL)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_flipped_proof(place: int, bits: int) -> None:
    """A proof that differs in any one octet proves nothing."""
    proof = bytearray(KEY.sign(EMAIL.encode()))
    proof[place % len(proof)] ^= bits
    with pytest.raises(TouchplateError):
        check_possession(SigningRequest("", b"", KEY.public_key.spki, bytes(proof)), EMAIL)


@given(st.integers(0, 10_000), st.characters(max_codepoint=0x2FF))
def test_changed_key(place: int, character: str) -> None:
    """A key whose PEM differs in any one character is refused, or is the same key."""
    pem = KEY.public_key.pem()
    place %= len(pem)
    changed = pem[:place] + character + pem[place + 1 :]
    body = v2_body()
    body["publicKeyRequest"]["publicKey"]["content"] = changed
    try:
        found = check_possession(parse_v2(as_json(body), ""), EMAIL)
    except TouchplateError:
        return
    assert found == KEY.public_key
