from google.protobuf import empty_pb2 as _empty_pb2
from touchplate.protobuf import google_api_pb2 as _google_api_pb2
from touchplate.protobuf import intoto_pb2 as _intoto_pb2
from touchplate.protobuf import sigstore_common_pb2 as _sigstore_common_pb2
from touchplate.protobuf import sigstore_rekor_v1_pb2 as _sigstore_rekor_v1_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateEntryRequest(_message.Message):
    __slots__ = ("hashed_rekord_request_v002", "dsse_request_v002")
    HASHED_REKORD_REQUEST_V002_FIELD_NUMBER: _ClassVar[int]
    DSSE_REQUEST_V002_FIELD_NUMBER: _ClassVar[int]
    hashed_rekord_request_v002: HashedRekordRequestV002
    dsse_request_v002: DSSERequestV002
    def __init__(self, hashed_rekord_request_v002: _Optional[_Union[HashedRekordRequestV002, _Mapping]] = ..., dsse_request_v002: _Optional[_Union[DSSERequestV002, _Mapping]] = ...) -> None: ...

class TileRequest(_message.Message):
    __slots__ = ("L", "N")
    L_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    L: int
    N: str
    def __init__(self, L: _Optional[int] = ..., N: _Optional[str] = ...) -> None: ...

class EntryBundleRequest(_message.Message):
    __slots__ = ("N",)
    N_FIELD_NUMBER: _ClassVar[int]
    N: str
    def __init__(self, N: _Optional[str] = ...) -> None: ...

class HashedRekordRequestV002(_message.Message):
    __slots__ = ("digest", "signature")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    signature: Signature
    def __init__(self, digest: _Optional[bytes] = ..., signature: _Optional[_Union[Signature, _Mapping]] = ...) -> None: ...

class Signature(_message.Message):
    __slots__ = ("content", "verifier")
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    verifier: Verifier
    def __init__(self, content: _Optional[bytes] = ..., verifier: _Optional[_Union[Verifier, _Mapping]] = ...) -> None: ...

class Verifier(_message.Message):
    __slots__ = ("public_key", "x509_certificate", "key_details")
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    X509_CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    KEY_DETAILS_FIELD_NUMBER: _ClassVar[int]
    public_key: PublicKey
    x509_certificate: _sigstore_common_pb2.X509Certificate
    key_details: _sigstore_common_pb2.PublicKeyDetails
    def __init__(self, public_key: _Optional[_Union[PublicKey, _Mapping]] = ..., x509_certificate: _Optional[_Union[_sigstore_common_pb2.X509Certificate, _Mapping]] = ..., key_details: _Optional[_Union[_sigstore_common_pb2.PublicKeyDetails, str]] = ...) -> None: ...

class PublicKey(_message.Message):
    __slots__ = ("raw_bytes",)
    RAW_BYTES_FIELD_NUMBER: _ClassVar[int]
    raw_bytes: bytes
    def __init__(self, raw_bytes: _Optional[bytes] = ...) -> None: ...

class DSSERequestV002(_message.Message):
    __slots__ = ("envelope", "verifiers")
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    VERIFIERS_FIELD_NUMBER: _ClassVar[int]
    envelope: _intoto_pb2.Envelope
    verifiers: _containers.RepeatedCompositeFieldContainer[Verifier]
    def __init__(self, envelope: _Optional[_Union[_intoto_pb2.Envelope, _Mapping]] = ..., verifiers: _Optional[_Iterable[_Union[Verifier, _Mapping]]] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("kind", "api_version", "spec")
    KIND_FIELD_NUMBER: _ClassVar[int]
    API_VERSION_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    kind: str
    api_version: str
    spec: Spec
    def __init__(self, kind: _Optional[str] = ..., api_version: _Optional[str] = ..., spec: _Optional[_Union[Spec, _Mapping]] = ...) -> None: ...

class Spec(_message.Message):
    __slots__ = ("hashed_rekord_v002", "dsse_v002")
    HASHED_REKORD_V002_FIELD_NUMBER: _ClassVar[int]
    DSSE_V002_FIELD_NUMBER: _ClassVar[int]
    hashed_rekord_v002: HashedRekordLogEntryV002
    dsse_v002: DSSELogEntryV002
    def __init__(self, hashed_rekord_v002: _Optional[_Union[HashedRekordLogEntryV002, _Mapping]] = ..., dsse_v002: _Optional[_Union[DSSELogEntryV002, _Mapping]] = ...) -> None: ...

class HashedRekordLogEntryV002(_message.Message):
    __slots__ = ("data", "signature")
    DATA_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    data: _sigstore_common_pb2.HashOutput
    signature: Signature
    def __init__(self, data: _Optional[_Union[_sigstore_common_pb2.HashOutput, _Mapping]] = ..., signature: _Optional[_Union[Signature, _Mapping]] = ...) -> None: ...

class DSSELogEntryV002(_message.Message):
    __slots__ = ("payloadHash", "signatures")
    PAYLOADHASH_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    payloadHash: _sigstore_common_pb2.HashOutput
    signatures: _containers.RepeatedCompositeFieldContainer[Signature]
    def __init__(self, payloadHash: _Optional[_Union[_sigstore_common_pb2.HashOutput, _Mapping]] = ..., signatures: _Optional[_Iterable[_Union[Signature, _Mapping]]] = ...) -> None: ...
