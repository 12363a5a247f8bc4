"""Fulcio's HTTP: what clients send, what they get, and every failure with its code and words."""

import base64
import json
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from tests.ca.places import EMAIL, ISSUER, KEY, NOW, TOKEN, Office, as_json, csr_pem, v2_body
from touchplate.ca.request import parse_v1, parse_v2
from touchplate.errors import MalformedError, SettingsError, UnavailableError
from touchplate.formats import ct
from touchplate.formats.certificate import SCT_LIST, parse_pem_certificates
from touchplate.formats.sct import (
    SignedCertificateTimestamp,
    parse_sct_list,
    signed_input_precert,
)
from touchplate.keys.public import check_signature
from touchplate.keys.signer import generate
from touchplate.transport.asgi import Response

V1, V2 = "/api/v1/signingCert", "/api/v2/signingCert"
BEARER = f"Bearer {TOKEN}"
CSR = base64.b64encode(csr_pem()).decode()


def chain_of(response: Response) -> list[str]:
    """Give the PEMs of a v2 answer."""
    assert response.status == 200, response.body
    found: list[str] = json.loads(response.body)["signedCertificateEmbeddedSct"]["chain"][
        "certificates"
    ]
    return found


def fault(response: Response) -> tuple[int, int, str]:
    """Give status, code and words of an error."""
    body = json.loads(response.body)
    assert body["details"] == []
    assert response.content_type == "application/json"
    return response.status, body["code"], body["message"]


def test_by_key(office: Office) -> None:
    """A key with its proof gets a certificate for the identity, in the log, under our chain."""
    leaf, *above = chain_of(office.call("POST", V2, as_json(v2_body())))
    (certificate,) = parse_pem_certificates(leaf)

    assert [name.value for name in certificate.alternative_names] == [EMAIL]
    assert certificate.spki == KEY.public_key.spki
    assert certificate.not_before == NOW.replace(microsecond=0)
    assert certificate.not_after == certificate.not_before + timedelta(minutes=10)
    assert [pem + "\n" for pem in above] == [c.pem() for c in office.place.authority.chain]
    (sct,) = parse_sct_list(certificate.extensions[SCT_LIST].value)
    signed = signed_input_precert(
        sct.timestamp_ms,
        sct.extensions,
        office.place.authority.issuer_key_hash,
        certificate.tbs_without(SCT_LIST),
    )
    signer = office.place.signer
    check_signature(signer.public_key, sct.signature, signed, signer.algorithm)
    assert ct.parse_leaf_index(sct.extensions) == 0
    assert office.place.log.tree_head().size == 1


def test_as_sigstore_python_asks(office: Office) -> None:
    """A CSR with the token in the header gets JSON, though PEM is said to be accepted."""
    body = as_json({"certificateSigningRequest": CSR})
    chain = chain_of(office.call("POST", V2, body, BEARER))

    assert len(chain) == 3
    assert all(not pem.endswith("\n") for pem in chain)


def test_as_java_asks(office: Office) -> None:
    """The key's PEM may be one line that is not broken."""
    body = v2_body()
    begin, *lines, end = body["publicKeyRequest"]["publicKey"]["content"].split("\n")[:-1]
    body["publicKeyRequest"]["publicKey"]["content"] = f"{begin}\n{''.join(lines)}\n{end}\n"

    assert chain_of(office.call("POST", V2, as_json(body)))


def test_other_spellings(office: Office) -> None:
    """Snake case, URL-safe base64 without padding, null and unknown fields are no faults."""
    body = v2_body()
    proof = body["publicKeyRequest"]["proofOfPossession"]
    spelled = {
        "credentials": {"oidc_identity_token": TOKEN, "x": 1},
        "public_key_request": {
            "public_key": {
                "algorithm": "RSA",
                "content": body["publicKeyRequest"]["publicKey"]["content"],
            },
            "proof_of_possession": proof.replace("+", "-").replace("/", "_").rstrip("="),
        },
        "certificateSigningRequest": None,
        "unknown": {"a": [1, 2]},
    }

    assert chain_of(office.call("POST", V2, as_json(spelled)))


@pytest.mark.parametrize("algorithm", ["ECDSA", "RSA", "ed25519", "", None, 2, 99, {"x": []}])
def test_algorithm_is_never_looked_at(office: Office, algorithm: object) -> None:
    """Clients write what they like there."""
    body = v2_body()
    body["publicKeyRequest"]["publicKey"]["algorithm"] = algorithm

    assert chain_of(office.call("POST", V2, as_json(body)))


@pytest.mark.parametrize("header", [BEARER, TOKEN])
def test_token_in_header(office: Office, header: str) -> None:
    """The token may come in the header, with or without the word Bearer."""
    body = v2_body(credentials=None)

    assert chain_of(office.call("POST", V2, as_json(body), header))


def test_token_in_body_wins(office: Office) -> None:
    """With a token in both places that of the body counts."""
    assert chain_of(office.call("POST", V2, as_json(v2_body()), "Bearer nonsense"))


@pytest.mark.parametrize("form", ["der", "pem", "csr"])
def test_v1(office: Office, form: str) -> None:
    """Version 1 answers 201 with PEM, and without an SCT header."""
    proof = base64.b64encode(KEY.sign(EMAIL.encode())).decode()
    content = {"der": KEY.public_key.spki, "pem": KEY.public_key.pem().encode()}.get(form, b"")
    body: dict[str, Any] = {
        "publicKey": {"algorithm": "ecdsa", "content": base64.b64encode(content).decode()},
        "signedEmailAddress": proof,
        "certificateSigningRequest": None,
    }
    if form == "csr":
        body = {"certificateSigningRequest": CSR}
    response = office.call("POST", V1, as_json(body), BEARER)

    assert response.status == 201, response.body
    assert response.content_type == "application/pem-certificate-chain"
    assert response.headers == ()
    assert not response.body.endswith(b"\n")
    assert response.body.count(b"-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\n") == 2
    assert len(x509.load_pem_x509_certificates(response.body)) == 3


def without(*path: str) -> dict[str, Any]:
    """Give the good request without one field."""
    body = v2_body()
    inner = body
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return body


def with_key(content: str) -> dict[str, Any]:
    """Give the good request with another key."""
    body = v2_body()
    body["publicKeyRequest"]["publicKey"]["content"] = content
    return body


def with_csr(csr: bytes) -> dict[str, Any]:
    """Give a request with a CSR."""
    return {
        "credentials": {"oidcIdentityToken": TOKEN},
        "certificateSigningRequest": base64.b64encode(csr).decode(),
    }


PEM_OF_NOTHING = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"
TOKEN_TEXT = "There was an error processing the identity token"
KEY_TEXT = "The public key supplied in the request could not be parsed"
PROOF_TEXT = "The signature supplied in the request could not be verified"
CSR_TEXT = "The certificate signing request could not be parsed"
INSECURE_TEXT = "The public key supplied in the request is insecure"


def expired() -> str:
    """Give a token that has expired."""
    return ISSUER.mint(EMAIL, NOW - timedelta(hours=1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (dict, TOKEN_TEXT),
        (lambda: without("credentials"), TOKEN_TEXT),
        (lambda: v2_body(credentials={"oidcIdentityToken": expired()}), TOKEN_TEXT),
        (lambda: v2_body(credentials={"oidcIdentityToken": TOKEN[:-8] + "AAAAAAAA"}), TOKEN_TEXT),
        (lambda: v2_body(credentials={"oidcIdentityToken": "." * 100_000}), TOKEN_TEXT),
        (lambda: without("publicKeyRequest"), KEY_TEXT),
        (lambda: without("publicKeyRequest", "publicKey"), KEY_TEXT),
        (lambda: with_key(""), KEY_TEXT),
        (lambda: with_key(PEM_OF_NOTHING), KEY_TEXT),
        (lambda: with_key("x" * 100_000), KEY_TEXT),
        (lambda: without("publicKeyRequest", "proofOfPossession"), PROOF_TEXT),
        (lambda: with_key(generate().public_key.pem()), PROOF_TEXT),
        (lambda: with_csr(b"AAAA"), CSR_TEXT),
        (lambda: with_csr(x509.load_pem_x509_csr(csr_pem()).public_bytes(Encoding.DER)), CSR_TEXT),
    ],
)
def test_refused(office: Office, make: Callable[[], dict[str, Any]], message: str) -> None:
    """Each fault of a request has its words, and leaves nothing in the log."""
    assert fault(office.call("POST", V2, as_json(make()))) == (400, 3, message)
    assert office.place.log.tree_head().size == 0


@pytest.mark.parametrize("version", [V1, V2])
@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic eDp5", f"Basic {TOKEN}"])
def test_cve_2026_30836_unauthenticated(office: Office, version: str, header: str | None) -> None:
    """Who does not say who they are gets nothing, whatever the rest of the request proves."""
    body = {k: v for k, v in v2_body().items() if k != "credentials"}
    asked = {"certificateSigningRequest": CSR} if version == V1 else body

    found = office.call("POST", version, as_json(asked), header)

    assert found.status in {400, 401}
    assert b"BEGIN CERTIFICATE" not in found.body
    assert office.place.log.tree_head().size == 0


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        as_json(v2_body(certificateSigningRequest=CSR)),
        as_json(v2_body(credentials=[])),
        as_json(v2_body(credentials={"oidcIdentityToken": 7})),
        as_json(v2_body(publicKeyRequest="x")),
        as_json({"certificateSigningRequest": "@@@@"}),
        b'{"publicKeyRequest":{"publicKey":{"content":"\\ud800"}}}',
        as_json({"publicKeyRequest": {"proofOfPossession": "@"}}),
    ],
)
def test_malformed(office: Office, body: bytes) -> None:
    """What is not the JSON of the message is the sender's error."""
    status, code, message = fault(office.call("POST", V2, body, BEARER))

    assert (status, code) == (400, 3)
    assert message


def test_v1_without_key_or_csr(office: Office) -> None:
    """In version 1 the key is asked for before the token."""
    assert fault(office.call("POST", V1, b"{}")) == (400, 3, KEY_TEXT)
    assert fault(office.call("POST", V1, as_json({"publicKey": {}}))) == (400, 3, TOKEN_TEXT)


def failing(error: Exception) -> Callable[..., Any]:
    """Give a function that fails."""

    def fail(*_: object) -> Any:
        raise error

    return fail


def test_log_refuses(office: Office) -> None:
    """When the log does not take it there is no certificate, and the client is to try again."""
    error = UnavailableError("LOG_BUSY", "too many")
    office.issuance = replace(office.issuance, submit=failing(error))
    response = office.call("POST", V2, as_json(v2_body()))

    assert fault(response) == (500, 13, "Error entering certificate in CTL")
    assert dict(response.headers)["retry-after"] == "1"


def test_log_fails_later(office: Office) -> None:
    """When the log fails while we wait there is no certificate either."""
    future: Future[SignedCertificateTimestamp] = Future()
    future.set_exception(UnavailableError("STORAGE_UNAVAILABLE", "secret path"))
    office.issuance = replace(office.issuance, submit=lambda _: future)
    response = office.call("POST", V2, as_json(v2_body()))

    assert fault(response) == (500, 13, "Error entering certificate in CTL")


def test_authority_fails(office: Office) -> None:
    """A fault of the authority itself is 500, and its reason is not told."""
    error = SettingsError("SETTINGS_INVALID", "secret path")
    office.issuance = replace(office.issuance, authority=failing(error))

    assert fault(office.call("POST", V2, as_json(v2_body()))) == (
        500,
        13,
        "error communicating with CA backend",
    )


def test_authority_that_ends_soon(office: Office) -> None:
    """Nothing is issued that would outlive the authority's own certificate."""
    late = office.place.authority.issuing.not_after - timedelta(minutes=9)
    office.issuance = replace(office.issuance, now=lambda: late)
    body = v2_body(credentials={"oidcIdentityToken": ISSUER.mint(EMAIL, late)})

    assert fault(office.call("POST", V2, as_json(body)))[:2] == (500, 13)
    assert office.place.log.tree_head().size == 0


def test_trust_bundle(office: Office) -> None:
    """The bundle has the chain, issuing certificate first, each PEM with its newline."""
    response = office.call("GET", "/api/v2/trustBundle")
    pems = [certificate.pem() for certificate in office.place.authority.chain]

    assert json.loads(response.body) == {"chains": [{"certificates": pems}]}


def test_root_cert(office: Office) -> None:
    """Version 1 gives the same as PEM, with an empty line between."""
    response = office.call("GET", "/api/v1/rootCert")
    issuing, root = (certificate.pem() for certificate in office.place.authority.chain)

    assert response.content_type == "application/pem-certificate-chain"
    assert response.body.decode() == f"{issuing}\n{root}".strip()


def test_configuration(office: Office) -> None:
    """The configuration names the issuers with what they are believed for."""
    response = office.call("GET", "/api/v2/configuration")

    assert json.loads(response.body) == {
        "issuers": [
            {
                "issuerUrl": "https://idp.example.com",
                "audience": "sigstore",
                "challengeClaim": "email",
                "spiffeTrustDomain": "",
                "issuerType": "email",
                "subjectDomain": "",
                "skipEmailVerification": False,
            }
        ]
    }


def test_key_is_exchanged_between_two_requests(office: Office) -> None:
    """Precertificate and certificate are signed by the same authority, whatever comes after."""
    issuing = office.issuance.start(parse_v2(as_json(v2_body()), ""))
    office.issuance = replace(office.issuance, authority=failing(SettingsError("USAGE", "gone")))
    issued = issuing.finish()

    assert issued.chain == tuple(item.der for item in office.place.authority.chain)
    x509.load_der_x509_certificate(issued.leaf).verify_directly_issued_by(
        x509.load_der_x509_certificate(issued.chain[0])
    )


@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    """Any body is a request or malformed."""
    for parse in (parse_v1, parse_v2):
        try:
            parse(body, "")
        except MalformedError:
            continue


@pytest.mark.slow
@given(
    st.dictionaries(
        st.sampled_from(["credentials", "publicKeyRequest", "certificateSigningRequest", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(
                    st.sampled_from(["publicKey", "content", "oidcIdentityToken", "y"]), inner
                )
            ),
            max_leaves=5,
        ),
    )
)
def test_any_json(value: dict[str, Any]) -> None:
    """Any JSON is a request or malformed."""
    for parse in (parse_v1, parse_v2):
        try:
            parse(as_json(value), "")
        except MalformedError:
            continue
