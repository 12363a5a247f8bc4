from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PublicKeyAlgorithm(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PUBLIC_KEY_ALGORITHM_UNSPECIFIED: _ClassVar[PublicKeyAlgorithm]
    RSA_PSS: _ClassVar[PublicKeyAlgorithm]
    ECDSA: _ClassVar[PublicKeyAlgorithm]
    ED25519: _ClassVar[PublicKeyAlgorithm]
PUBLIC_KEY_ALGORITHM_UNSPECIFIED: PublicKeyAlgorithm
RSA_PSS: PublicKeyAlgorithm
ECDSA: PublicKeyAlgorithm
ED25519: PublicKeyAlgorithm

class CreateSigningCertificateRequest(_message.Message):
    __slots__ = ("credentials", "public_key_request", "certificate_signing_request")
    CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_REQUEST_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_SIGNING_REQUEST_FIELD_NUMBER: _ClassVar[int]
    credentials: Credentials
    public_key_request: PublicKeyRequest
    certificate_signing_request: bytes
    def __init__(self, credentials: _Optional[_Union[Credentials, _Mapping]] = ..., public_key_request: _Optional[_Union[PublicKeyRequest, _Mapping]] = ..., certificate_signing_request: _Optional[bytes] = ...) -> None: ...

class Credentials(_message.Message):
    __slots__ = ("oidc_identity_token",)
    OIDC_IDENTITY_TOKEN_FIELD_NUMBER: _ClassVar[int]
    oidc_identity_token: str
    def __init__(self, oidc_identity_token: _Optional[str] = ...) -> None: ...

class PublicKeyRequest(_message.Message):
    __slots__ = ("public_key", "proof_of_possession")
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    PROOF_OF_POSSESSION_FIELD_NUMBER: _ClassVar[int]
    public_key: PublicKey
    proof_of_possession: bytes
    def __init__(self, public_key: _Optional[_Union[PublicKey, _Mapping]] = ..., proof_of_possession: _Optional[bytes] = ...) -> None: ...

class PublicKey(_message.Message):
    __slots__ = ("algorithm", "content")
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    algorithm: PublicKeyAlgorithm
    content: str
    def __init__(self, algorithm: _Optional[_Union[PublicKeyAlgorithm, str]] = ..., content: _Optional[str] = ...) -> None: ...

class SigningCertificate(_message.Message):
    __slots__ = ("signed_certificate_detached_sct", "signed_certificate_embedded_sct")
    SIGNED_CERTIFICATE_DETACHED_SCT_FIELD_NUMBER: _ClassVar[int]
    SIGNED_CERTIFICATE_EMBEDDED_SCT_FIELD_NUMBER: _ClassVar[int]
    signed_certificate_detached_sct: SigningCertificateDetachedSCT
    signed_certificate_embedded_sct: SigningCertificateEmbeddedSCT
    def __init__(self, signed_certificate_detached_sct: _Optional[_Union[SigningCertificateDetachedSCT, _Mapping]] = ..., signed_certificate_embedded_sct: _Optional[_Union[SigningCertificateEmbeddedSCT, _Mapping]] = ...) -> None: ...

class SigningCertificateDetachedSCT(_message.Message):
    __slots__ = ("chain", "signed_certificate_timestamp")
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    SIGNED_CERTIFICATE_TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    chain: CertificateChain
    signed_certificate_timestamp: bytes
    def __init__(self, chain: _Optional[_Union[CertificateChain, _Mapping]] = ..., signed_certificate_timestamp: _Optional[bytes] = ...) -> None: ...

class SigningCertificateEmbeddedSCT(_message.Message):
    __slots__ = ("chain",)
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    chain: CertificateChain
    def __init__(self, chain: _Optional[_Union[CertificateChain, _Mapping]] = ...) -> None: ...

class GetTrustBundleRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TrustBundle(_message.Message):
    __slots__ = ("chains",)
    CHAINS_FIELD_NUMBER: _ClassVar[int]
    chains: _containers.RepeatedCompositeFieldContainer[CertificateChain]
    def __init__(self, chains: _Optional[_Iterable[_Union[CertificateChain, _Mapping]]] = ...) -> None: ...

class CertificateChain(_message.Message):
    __slots__ = ("certificates",)
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    certificates: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, certificates: _Optional[_Iterable[str]] = ...) -> None: ...

class GetConfigurationRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Configuration(_message.Message):
    __slots__ = ("issuers",)
    ISSUERS_FIELD_NUMBER: _ClassVar[int]
    issuers: _containers.RepeatedCompositeFieldContainer[OIDCIssuer]
    def __init__(self, issuers: _Optional[_Iterable[_Union[OIDCIssuer, _Mapping]]] = ...) -> None: ...

class OIDCIssuer(_message.Message):
    __slots__ = ("issuer_url", "wildcard_issuer_url", "audience", "challenge_claim", "spiffe_trust_domain", "issuer_type", "subject_domain", "skip_email_verification")
    ISSUER_URL_FIELD_NUMBER: _ClassVar[int]
    WILDCARD_ISSUER_URL_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    CHALLENGE_CLAIM_FIELD_NUMBER: _ClassVar[int]
    SPIFFE_TRUST_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    ISSUER_TYPE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    SKIP_EMAIL_VERIFICATION_FIELD_NUMBER: _ClassVar[int]
    issuer_url: str
    wildcard_issuer_url: str
    audience: str
    challenge_claim: str
    spiffe_trust_domain: str
    issuer_type: str
    subject_domain: str
    skip_email_verification: bool
    def __init__(self, issuer_url: _Optional[str] = ..., wildcard_issuer_url: _Optional[str] = ..., audience: _Optional[str] = ..., challenge_claim: _Optional[str] = ..., spiffe_trust_domain: _Optional[str] = ..., issuer_type: _Optional[str] = ..., subject_domain: _Optional[str] = ..., skip_email_verification: _Optional[bool] = ...) -> None: ...
