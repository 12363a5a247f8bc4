from google.protobuf import empty_pb2 as _empty_pb2
from touchplate.protobuf import google_api_pb2 as _google_api_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateSigningCertificateRequest(_message.Message):
    __slots__ = ("publicKey", "signedEmailAddress", "certificateSigningRequest")
    PUBLICKEY_FIELD_NUMBER: _ClassVar[int]
    SIGNEDEMAILADDRESS_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATESIGNINGREQUEST_FIELD_NUMBER: _ClassVar[int]
    publicKey: PublicKey
    signedEmailAddress: bytes
    certificateSigningRequest: bytes
    def __init__(self, publicKey: _Optional[_Union[PublicKey, _Mapping]] = ..., signedEmailAddress: _Optional[bytes] = ..., certificateSigningRequest: _Optional[bytes] = ...) -> None: ...

class PublicKey(_message.Message):
    __slots__ = ("algorithm", "content")
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    algorithm: str
    content: bytes
    def __init__(self, algorithm: _Optional[str] = ..., content: _Optional[bytes] = ...) -> None: ...
