"""The JSON that the service takes and gives, as JSON Schema 2020-12.

What is taken is described as clients should write it; what else is understood (other spellings of
names, null for absent) is said in the reference of each API.
"""

from collections.abc import Mapping
from typing import Any, Final

from touchplate.entries.signer_key import FORMATS
from touchplate.server.openapi.describe import Schema, ref
from touchplate.tlog.search import HASH_PATTERN, KEY_FORMATS, MAX_SUBJECT, OPERATORS

ENTRY_ID: Final = "^[0-9a-f]{80}$"
ANY_ID: Final = "^([0-9a-fA-F]{64}|[0-9a-fA-F]{80})$"
_HEX32: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_BASE64: Final = {"type": "string", "contentEncoding": "base64"}
_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 0, "format": "int64"}
# protobuf JSON: 64 bits as a string.
_COUNT64: Final = {"type": "string", "pattern": "^[0-9]{1,19}$"}
_SHA256: Final = {
    "type": "object",
    "required": ["algorithm", "value"],
    "properties": {"algorithm": {"const": "sha256"}, "value": _HEX32},
}


def _object(required: str = "", **properties: Schema) -> dict[str, Any]:
    """Describe an object; `required` names members, `*` all of them."""
    names = list(properties) if required == "*" else required.split()
    made: dict[str, Any] = {"type": "object", "properties": properties}
    return {**made, "required": names} if names else made


def _array(items: Schema, **limits: int) -> dict[str, Any]:
    return {"type": "array", "items": items, **limits}


def _proposed(kind: str, versions: list[str], spec: Schema) -> dict[str, Any]:
    version = {"type": "string", "enum": versions}
    return _object("*", kind={"const": kind}, apiVersion=version, spec=spec)


_PEM_KEY: Final = _object("content", content=_BASE64)

_V1_REQUESTS: Final = {
    "HashedRekordV001": _proposed(
        "hashedrekord",
        ["0.0.1"],
        _object(
            "*",
            signature=_object("*", content=_BASE64, publicKey=_PEM_KEY),
            data=_object(
                "*",
                hash=_object(
                    "*",
                    algorithm={"enum": ["sha256", "sha384", "sha512"]},
                    value={"type": "string", "pattern": "^[0-9a-fA-F]{64,128}$"},
                ),
            ),
        ),
    ),
    "DsseV001": _proposed(
        "dsse",
        ["0.0.1"],
        _object(
            "*",
            proposedContent=_object(
                "*", envelope=_TEXT, verifiers=_array(_BASE64, minItems=1, maxItems=10)
            ),
        ),
    ),
    "IntotoV002": _proposed(
        "intoto",
        ["0.0.2"],
        _object(
            "*",
            content=_object(
                "*",
                envelope=_object(
                    "*",
                    payload=_BASE64,
                    payloadType=_TEXT,
                    signatures=_array(
                        _object("sig publicKey", keyid=_TEXT, sig=_BASE64, publicKey=_BASE64),
                        minItems=1,
                        maxItems=10,
                    ),
                ),
                hash=_SHA256,
            ),
        ),
    ),
    "IntotoV001": _proposed(
        "intoto",
        ["0.0.1"],
        _object("*", content=_object("*", envelope=_TEXT), publicKey=_BASE64),
    ),
    "RekordV001": _proposed(
        "rekord",
        ["0.0.1"],
        _object(
            "*",
            signature=_object(
                "*", format={"enum": list(FORMATS)}, content=_BASE64, publicKey=_PEM_KEY
            ),
            data=_object("content", content=_BASE64, hash=_SHA256),
        ),
    ),
}

_V1: Final = {
    **_V1_REQUESTS,
    "ProposedEntry": {"oneOf": [ref(name) for name in _V1_REQUESTS]},
    "LogEntry": {
        "type": "object",
        "description": "One member, named by the entry's id: its tree's id and its leaf hash.",
        "propertyNames": {"pattern": ENTRY_ID},
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": _object(
            "body integratedTime logID logIndex verification",
            attestation=_object("*", data=_BASE64),
            body=_BASE64,
            integratedTime=_COUNT,
            logID=_HEX32,
            logIndex=_COUNT,
            verification=_object(
                "*",
                inclusionProof=_object(
                    "*",
                    checkpoint=_TEXT,
                    hashes=_array(_HEX32),
                    logIndex=_COUNT,
                    rootHash=_HEX32,
                    treeSize={**_COUNT, "minimum": 1},
                ),
                signedEntryTimestamp=_BASE64,
            ),
        ),
    },
    "LogEntries": _array(ref("LogEntry")),
    "LogQuery": _object(
        entryUUIDs=_array({"type": "string", "pattern": ANY_ID}, minItems=1, maxItems=10),
        logIndexes=_array(_COUNT, minItems=1, maxItems=10),
        entries=_array(ref("ProposedEntry"), minItems=1, maxItems=10),
    ),
    "Shard": _object(
        "*", rootHash=_HEX32, signedTreeHead=_TEXT, treeID={"type": "string"}, treeSize=_COUNT
    ),
    "LogInfo": {
        "allOf": [
            ref("Shard"),
            _object("*", inactiveShards=_array(ref("Shard"))),
        ]
    },
    "ConsistencyProof": _object("*", hashes=_array(_HEX32), rootHash=_HEX32),
    "IndexQuery": _object(
        hash={"type": "string", "pattern": HASH_PATTERN},
        email={"type": "string", "format": "email"},
        subject={"type": "string", "minLength": 1, "maxLength": MAX_SUBJECT},
        publicKey=_object("format", format={"enum": list(KEY_FORMATS)}, content=_BASE64),
        operator={"enum": list(OPERATORS)},
    ),
    "EntryIds": _array({"type": "string", "pattern": ENTRY_ID}),
}

_RAW: Final = _object("*", rawBytes=_BASE64)
_VERIFIER: Final = {
    **_object("keyDetails", keyDetails=_TEXT, publicKey=_RAW, x509Certificate=_RAW),
    "oneOf": [{"required": ["publicKey"]}, {"required": ["x509Certificate"]}],
}
_V2: Final = {
    "CreateEntryRequest": {
        "oneOf": [
            _object(
                "*",
                hashedRekordRequestV002=_object(
                    "*",
                    digest=_BASE64,
                    signature=_object("*", content=_BASE64, verifier=_VERIFIER),
                ),
            ),
            _object(
                "*",
                dsseRequestV002=_object(
                    "*",
                    envelope=_object(
                        "*",
                        payload=_BASE64,
                        payloadType=_TEXT,
                        signatures=_array(_object("sig", sig=_BASE64, keyid=_TEXT), minItems=1),
                    ),
                    verifiers=_array(_VERIFIER, minItems=1),
                ),
            ),
        ]
    },
    "TransparencyLogEntry": _object(
        "logIndex logId kindVersion inclusionProof canonicalizedBody",
        logIndex=_COUNT64,
        logId=_object("*", keyId=_BASE64),
        kindVersion=_object("*", kind=_TEXT, version=_TEXT),
        integratedTime=_COUNT64,
        inclusionPromise={"type": "null"},
        inclusionProof=_object(
            "*",
            logIndex=_COUNT64,
            rootHash=_BASE64,
            treeSize=_COUNT64,
            hashes=_array(_BASE64),
            checkpoint=_object("*", envelope=_TEXT),
        ),
        canonicalizedBody=_BASE64,
    ),
}

_CA: Final = {
    "SigningCertRequestV2": _object(
        credentials=_object(oidcIdentityToken=_TEXT),
        publicKeyRequest=_object(
            "*",
            publicKey=_object("content", content=_TEXT, algorithm=_TEXT),
            proofOfPossession=_BASE64,
        ),
        certificateSigningRequest=_BASE64,
    ),
    "SigningCertRequestV1": _object(
        publicKey=_object("content", content=_BASE64, algorithm=_TEXT),
        signedEmailAddress=_BASE64,
        certificateSigningRequest=_BASE64,
    ),
    "SigningCert": _object(
        "*",
        signedCertificateEmbeddedSct=_object("*", chain=_object("*", certificates=_array(_TEXT))),
    ),
    "TrustBundle": _object("*", chains=_array(_object("*", certificates=_array(_TEXT)))),
    "Configuration": _object(
        "*", issuers=_array(_object("issuerUrl audience", issuerUrl=_TEXT, audience=_TEXT))
    ),
}

_CT: Final = {
    "AddChain": _object("*", chain=_array(_BASE64, minItems=1, maxItems=10)),
    "SignedCertificateTimestamp": _object(
        "*",
        sct_version={"const": 0},
        id=_BASE64,
        timestamp=_COUNT,
        extensions=_BASE64,
        signature=_BASE64,
    ),
    "Roots": _object("*", certificates=_array(_BASE64)),
    "SignedTreeHead": _object(
        "*",
        tree_size=_COUNT,
        timestamp=_COUNT,
        sha256_root_hash=_BASE64,
        tree_head_signature=_BASE64,
    ),
    "CtConsistency": _object("*", consistency=_array(_BASE64)),
    "CtInclusion": _object("*", leaf_index=_COUNT, audit_path=_array(_BASE64)),
    "CtEntries": _object("*", entries=_array(_object("*", leaf_input=_BASE64, extra_data=_BASE64))),
    "CtEntry": _object("*", leaf_input=_BASE64, extra_data=_BASE64, audit_path=_array(_BASE64)),
}

_OTHERS: Final = {
    "TimestampRequest": _object(
        "artifactHash hashAlgorithm",
        artifactHash=_BASE64,
        hashAlgorithm={"enum": ["sha256", "sha384", "sha512"]},
        nonce={"type": "integer"},
        certificates={"type": "boolean"},
        tsaPolicyOID=_TEXT,
    ),
    "SearchPage": _object(
        "rows next index",
        rows=_array(
            _object(
                "entryId logIndex treeId treeIndex integratedTime kind version digests",
                entryId={"type": "string", "pattern": ENTRY_ID},
                logIndex=_COUNT,
                treeId=_TEXT,
                treeIndex=_COUNT,
                integratedTime=_TEXT,
                kind=_TEXT,
                version=_TEXT,
                digests=_array(_TEXT),
                identities=_array(_TEXT),
                issuers=_array(_TEXT),
                keys=_array(_TEXT),
                extensions=_array(_object("number value", number=_COUNT, name=_TEXT, value=_TEXT)),
                body=_BASE64,
                proof=_array(_HEX32),
            )
        ),
        checkpoint=_TEXT,
        next={"type": ["string", "null"]},
        index=_array(
            _object(
                "*", treeId=_TEXT, indexed=_COUNT, size=_COUNT, behindSeconds={"type": "number"}
            )
        ),
    ),
    "Discovery": _object("issuer jwks_uri", issuer=_TEXT, jwks_uri=_TEXT),
    "KeySet": _object("*", keys=_array({"type": "object"})),
    "AnyObject": {"type": "object"},
    "Status": _object("status", status={"enum": ["SERVING", "NOT_SERVING"]}),
}

_ERRORS: Final = {
    "V1Error": _object("*", code={"type": "integer"}, message=_TEXT),
    "GrpcError": _object(
        "*",
        code={"type": "integer", "minimum": 1, "maximum": 16},
        message=_TEXT,
        details=_array({}),
    ),
    "Problem": _object(
        "type title status detail",
        type=_TEXT,
        title=_TEXT,
        status={"type": "integer"},
        detail=_TEXT,
        code=_TEXT,
    ),
}

SCHEMAS: Final[Mapping[str, Schema]] = {**_V1, **_V2, **_CA, **_CT, **_OTHERS, **_ERRORS}
