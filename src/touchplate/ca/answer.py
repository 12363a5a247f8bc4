"""What the authority answers: certificates, its chains, its configuration; in v2 and in v1.

Success is 200 JSON in v2 and 201 PEM in v1, whatever the client accepts.
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from touchplate.ca.issue import Issued
from touchplate.formats import ct
from touchplate.keys.pem import encode_pem
from touchplate.oidc.issuers import Issuer
from touchplate.transport.asgi import Response
from touchplate.transport.fault import Fault

PEM_CHAIN: Final = "application/pem-certificate-chain"
# One chain of certificates, issuing certificate first (DER).
Chain = tuple[bytes, ...]


def answer_v2(issued: Issued) -> Response:
    """Answer POST /api/v2/signingCert: 200, the promise embedded or beside the certificate."""
    leaf = _trimmed(issued.leaf).replace("\n", "\\n")
    chain = f'{{"chain":{{"certificates":["{leaf}{_chain_json(issued.chain)}"]}}'
    if issued.is_embedded:
        return Response(200, f'{{"signedCertificateEmbeddedSct":{chain}}}}}'.encode())
    promise = b64encode(encode_promise(issued)).decode()
    text = f'{{"signedCertificateDetachedSct":{chain},"signedCertificateTimestamp":"{promise}"}}}}'
    return Response(200, text.encode())


def answer_v1(issued: Issued) -> Response:
    """Answer POST /api/v1/signingCert: 201, and a header if the promise is not embedded."""
    text = "\n".join(certificates(issued))
    headers: tuple[tuple[str, str], ...] = ()
    if issued.sct is not None and not issued.is_embedded:
        headers = (("SCT", b64encode(encode_promise(issued)).decode()),)
    return Response(201, text.encode(), PEM_CHAIN, headers)


def encode_promise(issued: Issued) -> bytes:
    """Give a detached promise as the log's own answer has it; nothing if there is none."""
    sct = issued.sct
    if sct is None:
        return b""
    signed = ct.encode_digitally_signed(sct.signature)
    return ct.encode_add_chain_response(sct.log_id, sct.timestamp_ms, sct.extensions, signed)


def certificates(issued: Issued) -> list[str]:
    """Give the certificates as PEM, leaf first, none with a newline at its end."""
    return [_trimmed(issued.leaf), *_chain_pems(issued.chain)]


def bundle(chains: Iterable[Chain]) -> list[list[str]]:
    """Give the chains as PEM, each with its newline."""
    return [[_pem(der) for der in chain] for chain in chains]


def answer_bundle(chains: Iterable[Chain]) -> Response:
    """Answer GET /api/v2/trustBundle."""
    listed = [{"certificates": chain} for chain in bundle(chains)]
    return Response(200, _json({"chains": listed}))


def answer_roots(chains: Iterable[Chain]) -> Response:
    """Answer GET /api/v1/rootCert."""
    return Response(200, root_text(chains).encode(), PEM_CHAIN)


def root_text(chains: Iterable[Chain]) -> str:
    """Give all certificates as one text, an empty line between them."""
    return "\n".join(pem for chain in bundle(chains) for pem in chain).strip()


def answer_fault(fault: Fault) -> Response:
    """Answer with an error as grpc-gateway does."""
    body = _json({"code": fault.code, "message": fault.message, "details": []})
    return Response(fault.status, body, headers=fault.headers)


def configuration(issuers: Iterable[Issuer]) -> Sequence[dict[str, Any]]:
    """Give the issuers, then the patterns, each sorted by URL."""
    return [
        {
            "wildcardIssuerUrl" if issuer.is_pattern else "issuerUrl": issuer.url,
            "audience": issuer.audience,
            "challengeClaim": issuer.challenge_claim,
            "spiffeTrustDomain": issuer.spiffe_trust_domain,
            "issuerType": issuer.type,
            "subjectDomain": issuer.subject_domain,
            "skipEmailVerification": issuer.skip_email_verification,
        }
        for issuer in sorted(issuers, key=lambda issuer: (issuer.is_pattern, issuer.url))
    ]


def answer_configuration(issuers: Iterable[Issuer]) -> Response:
    """Answer GET /api/v2/configuration."""
    return Response(200, _json({"issuers": configuration(issuers)}))


def _pem(der: bytes) -> str:
    return encode_pem("CERTIFICATE", der).decode()


def _trimmed(der: bytes) -> str:
    return _pem(der)[:-1]


@lru_cache(maxsize=16)
def _chain_json(chain: Chain) -> str:
    """Give what follows the leaf in the list of certificates, but for its last quote."""
    return "".join(f'","{pem}' for pem in _chain_pems(chain)).replace("\n", "\\n")


@lru_cache(maxsize=16)
def _chain_pems(chain: Chain) -> tuple[str, ...]:
    return tuple(map(_trimmed, chain))


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
