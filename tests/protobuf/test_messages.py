"""The messages are those that are published, and the modules are made from their descriptions."""

import subprocess
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from touchplate.keys.algorithms import ALGORITHMS, HASH_NUMBERS
from touchplate.protobuf import (
    google_api_pb2,
    intoto_pb2,
    sigstore_common_pb2,
    sigstore_fulcio_v1beta_pb2,
    sigstore_fulcio_v2_pb2,
    sigstore_rekor_v1_pb2,
    sigstore_rekor_v2_pb2,
)

ROOT = Path(__file__).resolve().parent.parent.parent
ROOM = ROOT / "src" / "touchplate" / "protobuf"
FILES = (
    google_api_pb2,
    intoto_pb2,
    sigstore_common_pb2,
    sigstore_fulcio_v1beta_pb2,
    sigstore_fulcio_v2_pb2,
    sigstore_rekor_v1_pb2,
    sigstore_rekor_v2_pb2,
)

# Each message's fields, as published: number, name, type; "*" says repeated.
PUBLISHED = """
google.api.HttpBody: 1 content_type string, 2 data bytes, 3 extensions google.protobuf.Any*
io.intoto.Envelope: 1 payload bytes, 2 payloadType string, 3 signatures io.intoto.Signature*
io.intoto.Signature: 1 sig bytes, 2 keyid string
dev.sigstore.common.v1.HashOutput: 1 algorithm dev.sigstore.common.v1.HashAlgorithm, 2 digest bytes
dev.sigstore.common.v1.LogId: 1 key_id bytes
dev.sigstore.common.v1.X509Certificate: 1 raw_bytes bytes
dev.sigstore.rekor.v1.KindVersion: 1 kind string, 2 version string
dev.sigstore.rekor.v1.Checkpoint: 1 envelope string
dev.sigstore.rekor.v1.InclusionProof: 1 log_index int64, 2 root_hash bytes, 3 tree_size int64, \
4 hashes bytes*, 5 checkpoint dev.sigstore.rekor.v1.Checkpoint
dev.sigstore.rekor.v1.InclusionPromise: 1 signed_entry_timestamp bytes
dev.sigstore.rekor.v1.TransparencyLogEntry: 1 log_index int64, \
2 log_id dev.sigstore.common.v1.LogId, 3 kind_version dev.sigstore.rekor.v1.KindVersion, \
4 integrated_time int64, 5 inclusion_promise dev.sigstore.rekor.v1.InclusionPromise, \
6 inclusion_proof dev.sigstore.rekor.v1.InclusionProof, 7 canonicalized_body bytes
dev.sigstore.rekor.v2.CreateEntryRequest: \
1 hashed_rekord_request_v002 dev.sigstore.rekor.v2.HashedRekordRequestV002, \
2 dsse_request_v002 dev.sigstore.rekor.v2.DSSERequestV002
dev.sigstore.rekor.v2.TileRequest: 1 L uint32, 2 N string
dev.sigstore.rekor.v2.EntryBundleRequest: 1 N string
dev.sigstore.rekor.v2.HashedRekordRequestV002: 1 digest bytes, \
2 signature dev.sigstore.rekor.v2.Signature
dev.sigstore.rekor.v2.Signature: 1 content bytes, 2 verifier dev.sigstore.rekor.v2.Verifier
dev.sigstore.rekor.v2.Verifier: 1 public_key dev.sigstore.rekor.v2.PublicKey, \
2 x509_certificate dev.sigstore.common.v1.X509Certificate, \
3 key_details dev.sigstore.common.v1.PublicKeyDetails
dev.sigstore.rekor.v2.PublicKey: 1 raw_bytes bytes
dev.sigstore.rekor.v2.DSSERequestV002: 1 envelope io.intoto.Envelope, \
2 verifiers dev.sigstore.rekor.v2.Verifier*
dev.sigstore.rekor.v2.Entry: 1 kind string, 2 api_version string, 3 spec dev.sigstore.rekor.v2.Spec
dev.sigstore.rekor.v2.Spec: 1 hashed_rekord_v002 dev.sigstore.rekor.v2.HashedRekordLogEntryV002, \
2 dsse_v002 dev.sigstore.rekor.v2.DSSELogEntryV002
dev.sigstore.rekor.v2.HashedRekordLogEntryV002: 1 data dev.sigstore.common.v1.HashOutput, \
2 signature dev.sigstore.rekor.v2.Signature
dev.sigstore.rekor.v2.DSSELogEntryV002: 1 payloadHash dev.sigstore.common.v1.HashOutput, \
2 signatures dev.sigstore.rekor.v2.Signature*
dev.sigstore.fulcio.v2.CreateSigningCertificateRequest: \
1 credentials dev.sigstore.fulcio.v2.Credentials, \
2 public_key_request dev.sigstore.fulcio.v2.PublicKeyRequest, 3 certificate_signing_request bytes
dev.sigstore.fulcio.v2.Credentials: 1 oidc_identity_token string
dev.sigstore.fulcio.v2.PublicKeyRequest: 1 public_key dev.sigstore.fulcio.v2.PublicKey, \
2 proof_of_possession bytes
dev.sigstore.fulcio.v2.PublicKey: 1 algorithm dev.sigstore.fulcio.v2.PublicKeyAlgorithm, \
2 content string
dev.sigstore.fulcio.v2.SigningCertificate: \
1 signed_certificate_detached_sct dev.sigstore.fulcio.v2.SigningCertificateDetachedSCT, \
2 signed_certificate_embedded_sct dev.sigstore.fulcio.v2.SigningCertificateEmbeddedSCT
dev.sigstore.fulcio.v2.SigningCertificateDetachedSCT: \
1 chain dev.sigstore.fulcio.v2.CertificateChain, 2 signed_certificate_timestamp bytes
dev.sigstore.fulcio.v2.SigningCertificateEmbeddedSCT: \
1 chain dev.sigstore.fulcio.v2.CertificateChain
dev.sigstore.fulcio.v2.GetTrustBundleRequest:
dev.sigstore.fulcio.v2.TrustBundle: 1 chains dev.sigstore.fulcio.v2.CertificateChain*
dev.sigstore.fulcio.v2.CertificateChain: 1 certificates string*
dev.sigstore.fulcio.v2.GetConfigurationRequest:
dev.sigstore.fulcio.v2.Configuration: 1 issuers dev.sigstore.fulcio.v2.OIDCIssuer*
dev.sigstore.fulcio.v2.OIDCIssuer: 1 issuer_url string, 2 wildcard_issuer_url string, \
3 audience string, 4 challenge_claim string, 5 spiffe_trust_domain string, 6 issuer_type string, \
7 subject_domain string, 8 skip_email_verification bool
dev.sigstore.fulcio.v1beta.CreateSigningCertificateRequest: \
1 publicKey dev.sigstore.fulcio.v1beta.PublicKey, 2 signedEmailAddress bytes, \
3 certificateSigningRequest bytes
dev.sigstore.fulcio.v1beta.PublicKey: 1 algorithm string, 2 content bytes
"""

# Call, request, answer.
AUTHORITY = """
v2.CA.CreateSigningCertificate v2.CreateSigningCertificateRequest v2.SigningCertificate
v2.CA.GetTrustBundle v2.GetTrustBundleRequest v2.TrustBundle
v2.CA.GetConfiguration v2.GetConfigurationRequest v2.Configuration
v1beta.CA.CreateSigningCertificate v1beta.CreateSigningCertificateRequest google.api.HttpBody
v1beta.CA.GetRootCertificate google.protobuf.Empty google.api.HttpBody
"""

TYPES = {
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_BOOL: "bool",
}


def _shown(message: Descriptor) -> str:
    fields = []
    for field in message.fields:
        of = field.message_type or field.enum_type
        kind = TYPES[field.type] if of is None else of.full_name
        fields.append(f"{field.number} {field.name} {kind}{'*' if field.is_repeated else ''}")
    return f"{message.full_name}: {', '.join(fields)}".rstrip()


def test_fields() -> None:
    """Every message has the published fields, and there are no others."""
    messages = [
        message for file in FILES for message in file.DESCRIPTOR.message_types_by_name.values()
    ]
    assert sorted(map(_shown, messages)) == sorted(PUBLISHED.strip().splitlines())


def test_oneofs() -> None:
    """What excludes each other is said so."""
    messages = [
        message for file in FILES for message in file.DESCRIPTOR.message_types_by_name.values()
    ]
    found = {
        f"{message.name}.{oneof.name}": [field.name for field in oneof.fields]
        for message in messages
        for oneof in message.oneofs
    }
    assert found == {
        "CreateEntryRequest.spec": ["hashed_rekord_request_v002", "dsse_request_v002"],
        "Spec.spec": ["hashed_rekord_v002", "dsse_v002"],
        "Verifier.verifier": ["public_key", "x509_certificate"],
        "CreateSigningCertificateRequest.key": [
            "public_key_request",
            "certificate_signing_request",
        ],
        "Credentials.credentials": ["oidc_identity_token"],
        "SigningCertificate.certificate": [
            "signed_certificate_detached_sct",
            "signed_certificate_embedded_sct",
        ],
        "OIDCIssuer.issuer": ["issuer_url", "wildcard_issuer_url"],
    }


def test_authority() -> None:
    """Both versions of the authority have the published calls."""
    v1beta, v2 = (
        file.DESCRIPTOR.services_by_name["CA"]
        for file in (sigstore_fulcio_v1beta_pb2, sigstore_fulcio_v2_pb2)
    )
    assert {
        (method.full_name, method.input_type.full_name, method.output_type.full_name)
        for service in (v1beta, v2)
        for method in service.methods
    } == {
        tuple(f"dev.sigstore.fulcio.{name}" if name[0] == "v" else name for name in row.split())
        for row in AUTHORITY.strip().splitlines()
    }


def test_service() -> None:
    """The service has the published calls."""
    service = sigstore_rekor_v2_pb2.DESCRIPTOR.services_by_name["Rekor"]
    assert service.full_name == "dev.sigstore.rekor.v2.Rekor"
    assert {
        (method.name, method.input_type.full_name, method.output_type.full_name)
        for method in service.methods
    } == {
        (
            "CreateEntry",
            "dev.sigstore.rekor.v2.CreateEntryRequest",
            "dev.sigstore.rekor.v1.TransparencyLogEntry",
        ),
        ("GetTile", "dev.sigstore.rekor.v2.TileRequest", "google.api.HttpBody"),
        ("GetEntryBundle", "dev.sigstore.rekor.v2.EntryBundleRequest", "google.api.HttpBody"),
        ("GetCheckpoint", "google.protobuf.Empty", "google.api.HttpBody"),
    }


def test_enums() -> None:
    """The enums agree with the tables that the rest of the package reads."""
    details = dict(sigstore_common_pb2.PublicKeyDetails.items())
    assert details.pop("PUBLIC_KEY_DETAILS_UNSPECIFIED") == 0
    assert details.pop("LMS_SHA256") == 14
    assert details.pop("LMOTS_SHA256") == 15
    assert details == {row.name: row.number for row in ALGORITHMS}
    hashes = {number: name for name, number in sigstore_common_pb2.HashAlgorithm.items()}
    assert hashes.pop(0) == "HASH_ALGORITHM_UNSPECIFIED"
    assert (hashes.pop(4), hashes.pop(5)) == ("SHA3_256", "SHA3_384")
    assert hashes == HASH_NUMBERS


@pytest.mark.slow
def test_made_by_the_tool(tmp_path: Path) -> None:
    """The modules are what tools/protobuf.sh makes of the descriptions, byte for byte."""
    subprocess.run(
        [ROOT / "tools" / "protobuf.sh", tmp_path], check=True, capture_output=True, timeout=60
    )
    made = {path.name: path.read_text() for path in (tmp_path / "touchplate/protobuf").iterdir()}
    kept = {path.name: path.read_text() for path in ROOM.glob("*_pb2.py*")}
    assert made == kept
    assert {f"{path.stem}_pb2.py" for path in ROOM.glob("*.proto")} <= made.keys()
