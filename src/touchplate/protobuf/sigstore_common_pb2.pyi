from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HashAlgorithm(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HASH_ALGORITHM_UNSPECIFIED: _ClassVar[HashAlgorithm]
    SHA2_256: _ClassVar[HashAlgorithm]
    SHA2_384: _ClassVar[HashAlgorithm]
    SHA2_512: _ClassVar[HashAlgorithm]
    SHA3_256: _ClassVar[HashAlgorithm]
    SHA3_384: _ClassVar[HashAlgorithm]

class PublicKeyDetails(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PUBLIC_KEY_DETAILS_UNSPECIFIED: _ClassVar[PublicKeyDetails]
    PKCS1_RSA_PKCS1V5: _ClassVar[PublicKeyDetails]
    PKCS1_RSA_PSS: _ClassVar[PublicKeyDetails]
    PKIX_RSA_PKCS1V5: _ClassVar[PublicKeyDetails]
    PKIX_RSA_PSS: _ClassVar[PublicKeyDetails]
    PKIX_ECDSA_P256_SHA_256: _ClassVar[PublicKeyDetails]
    PKIX_ECDSA_P256_HMAC_SHA_256: _ClassVar[PublicKeyDetails]
    PKIX_ED25519: _ClassVar[PublicKeyDetails]
    PKIX_ED25519_PH: _ClassVar[PublicKeyDetails]
    PKIX_RSA_PKCS1V15_2048_SHA256: _ClassVar[PublicKeyDetails]
    PKIX_RSA_PKCS1V15_3072_SHA256: _ClassVar[PublicKeyDetails]
    PKIX_RSA_PKCS1V15_4096_SHA256: _ClassVar[PublicKeyDetails]
    PKIX_ECDSA_P384_SHA_384: _ClassVar[PublicKeyDetails]
    PKIX_ECDSA_P521_SHA_512: _ClassVar[PublicKeyDetails]
    LMS_SHA256: _ClassVar[PublicKeyDetails]
    LMOTS_SHA256: _ClassVar[PublicKeyDetails]
    PKIX_RSA_PSS_2048_SHA256: _ClassVar[PublicKeyDetails]
    PKIX_RSA_PSS_3072_SHA256: _ClassVar[PublicKeyDetails]
    PKIX_RSA_PSS_4096_SHA256: _ClassVar[PublicKeyDetails]
    PKIX_ECDSA_P384_SHA_256: _ClassVar[PublicKeyDetails]
    PKIX_ECDSA_P521_SHA_256: _ClassVar[PublicKeyDetails]
    ML_DSA_65: _ClassVar[PublicKeyDetails]
    ML_DSA_87: _ClassVar[PublicKeyDetails]
    ML_DSA_44: _ClassVar[PublicKeyDetails]
HASH_ALGORITHM_UNSPECIFIED: HashAlgorithm
SHA2_256: HashAlgorithm
SHA2_384: HashAlgorithm
SHA2_512: HashAlgorithm
SHA3_256: HashAlgorithm
SHA3_384: HashAlgorithm
PUBLIC_KEY_DETAILS_UNSPECIFIED: PublicKeyDetails
PKCS1_RSA_PKCS1V5: PublicKeyDetails
PKCS1_RSA_PSS: PublicKeyDetails
PKIX_RSA_PKCS1V5: PublicKeyDetails
PKIX_RSA_PSS: PublicKeyDetails
PKIX_ECDSA_P256_SHA_256: PublicKeyDetails
PKIX_ECDSA_P256_HMAC_SHA_256: PublicKeyDetails
PKIX_ED25519: PublicKeyDetails
PKIX_ED25519_PH: PublicKeyDetails
PKIX_RSA_PKCS1V15_2048_SHA256: PublicKeyDetails
PKIX_RSA_PKCS1V15_3072_SHA256: PublicKeyDetails
PKIX_RSA_PKCS1V15_4096_SHA256: PublicKeyDetails
PKIX_ECDSA_P384_SHA_384: PublicKeyDetails
PKIX_ECDSA_P521_SHA_512: PublicKeyDetails
LMS_SHA256: PublicKeyDetails
LMOTS_SHA256: PublicKeyDetails
PKIX_RSA_PSS_2048_SHA256: PublicKeyDetails
PKIX_RSA_PSS_3072_SHA256: PublicKeyDetails
PKIX_RSA_PSS_4096_SHA256: PublicKeyDetails
PKIX_ECDSA_P384_SHA_256: PublicKeyDetails
PKIX_ECDSA_P521_SHA_256: PublicKeyDetails
ML_DSA_65: PublicKeyDetails
ML_DSA_87: PublicKeyDetails
ML_DSA_44: PublicKeyDetails

class HashOutput(_message.Message):
    __slots__ = ("algorithm", "digest")
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    algorithm: HashAlgorithm
    digest: bytes
    def __init__(self, algorithm: _Optional[_Union[HashAlgorithm, str]] = ..., digest: _Optional[bytes] = ...) -> None: ...

class LogId(_message.Message):
    __slots__ = ("key_id",)
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    key_id: bytes
    def __init__(self, key_id: _Optional[bytes] = ...) -> None: ...

class X509Certificate(_message.Message):
    __slots__ = ("raw_bytes",)
    RAW_BYTES_FIELD_NUMBER: _ClassVar[int]
    raw_bytes: bytes
    def __init__(self, raw_bytes: _Optional[bytes] = ...) -> None: ...
