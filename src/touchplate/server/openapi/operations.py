"""Every operation of the service, one row each; docs/reference/api.md has the same in prose.

Names are upstream's where it has one.
"""

from typing import Final

from touchplate.server.openapi.describe import (
    BYTES,
    JSON,
    TEXT,
    Answer,
    Operation,
    Parameter,
    json_of,
    ref,
)
from touchplate.server.openapi.schemas import ANY_ID

_PEM: Final = "application/x-pem-file"
_PEM_CHAIN: Final = "application/pem-certificate-chain"
_QUERY: Final = "application/timestamp-query"
_REPLY: Final = "application/timestamp-reply"
_NOTE: Final = Answer({TEXT: {"type": "string"}}, description="A signed note.")
_FILE: Final = Answer({BYTES: {}})
_MISSING: Final = Answer({TEXT: {"type": "string"}})
_NOTHING: Final = Answer(description="There is no such entry; no body.")

_INDEX: Final = {"type": "integer", "minimum": 0, "format": "int64"}
_SIZE: Final = {**_INDEX, "minimum": 1}
_NUMBER: Final = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
_STRING: Final = {"type": "string"}
_TREE: Final = Parameter("treeID", {"type": "string", "pattern": "^[0-9]+$"}, "The active tree's.")
_CREATED: Final = {"ETag": "The entry's id, without quotes.", "Location": "Its path."}
_ENTRIES: Final = "/api/v1/log/entries"
_UUID: Final = Parameter("uuid", {"type": "string", "pattern": ANY_ID}, where="path")
_TOKEN: Final = Parameter("Authorization", _STRING, "Bearer and an identity token.", "header")
_PROPOSED: Final = {JSON: ref("ProposedEntry")}

_LOG_V1: Final = (
    Operation(
        *("POST", _ENTRIES, "createLogEntry", "Enter something in the log."),
        {
            201: json_of("LogEntry", **_CREATED),
            409: json_of("V1Error", Location="Path of the equal entry."),
        },
        body=_PROPOSED,
    ),
    Operation(
        *("GET", _ENTRIES, "getLogEntryByIndex", "The entry with an index over all trees."),
        {200: json_of("LogEntry"), 404: _NOTHING},
        (Parameter("logIndex", _INDEX, required=True),),
    ),
    Operation(
        *("GET", f"{_ENTRIES}/{{uuid}}", "getLogEntryByUUID", "The entry with an identifier."),
        {200: json_of("LogEntry"), 404: _NOTHING},
        (_UUID,),
    ),
    *(
        Operation(
            *("POST", path, name, "Up to ten entries by index, identifier or content."),
            {200: json_of("LogEntries")},
            body={JSON: ref("LogQuery")},
        )
        for path, name in (
            (f"{_ENTRIES}/retrieve", "searchLogQuery"),
            (f"{_ENTRIES}/retrieve/", "searchLogQuerySlash"),
        )
    ),
    Operation(
        *("GET", "/api/v1/log", "getLogInfo", "Sizes, roots and checkpoints of all trees."),
        {200: json_of("LogInfo")},
    ),
    Operation(
        *("GET", "/api/v1/log/publicKey", "getPublicKey", "A tree's key."),
        {200: Answer({_PEM: {}})},
        (_TREE,),
    ),
    Operation(
        *("GET", "/api/v1/log/proof", "getLogProof", "A consistency proof between two sizes."),
        {200: json_of("ConsistencyProof")},
        (Parameter("firstSize", _SIZE), Parameter("lastSize", _SIZE, required=True), _TREE),
    ),
    Operation(
        *("POST", "/api/v1/index/retrieve", "searchIndex", "Names of entries."),
        {200: json_of("EntryIds")},
        body={JSON: ref("IndexQuery")},
    ),
)

_LOG_V2: Final = (
    Operation(
        *("POST", "/api/v2/log/entries", "createEntry", "Enter something in the log."),
        {
            201: json_of("TransparencyLogEntry"),
            405: Answer({TEXT: _STRING}, description="The log is frozen."),
            409: json_of("GrpcError"),
        },
        body={JSON: ref("CreateEntryRequest")},
    ),
    *(
        operation
        for prefix, name in (
            ("", ""),
            ("/api/v2", "V2"),
            ("/shards/{tree}", "OfShard"),
        )
        for operation in (
            Operation(
                *("GET", f"{prefix}/checkpoint", f"getCheckpoint{name}", "A tree's checkpoint."),
                {200: _NOTE, 404: _MISSING},
            ),
            Operation(
                *("GET", f"{prefix}/tile/{{path...}}", f"getTile{name}", "A tile or its entries."),
                {200: _FILE, 404: _MISSING},
            ),
        )
    ),
    Operation(
        *("GET", "/vkeys", "getVerifierKeys", "The log's keys as C2SP verifier keys."),
        {200: Answer({TEXT: _STRING})},
    ),
)

_REPEATED: Final = tuple(
    Parameter(name, _STRING, text, repeated=True)
    for name, text in (
        ("digest", "algorithm:hex, or hex alone."),
        ("identity", "A subject alternative name."),
        ("issuer", "Who vouched for the identity."),
        ("key", "Hex SHA-256 of a key or certificate."),
        ("extension", "A certificate extension, NAME=VALUE."),
        ("kind", "A kind of entry."),
    )
)
_SEARCH: Final = (
    Operation(
        *("GET", "/api/search", "search", "Entries that meet all conditions, a page at a time."),
        {200: json_of("SearchPage")},
        (
            *_REPEATED,
            Parameter("since", _STRING, "An RFC 3339 time or date."),
            Parameter("until", _STRING, "An RFC 3339 time or date."),
            Parameter("order", {"type": "string", "enum": ["newest", "oldest"]}),
            Parameter("limit", {"type": "integer", "minimum": 1, "maximum": 100}),
            Parameter("cursor", _STRING, "`next` of the page before."),
            Parameter("proofs", {"type": "string", "enum": ["true", "false"]}),
        ),
    ),
)

_CERTIFICATES: Final = (
    Operation(
        *("POST", "/api/v2/signingCert", "createSigningCertificate", "A certificate."),
        {200: json_of("SigningCert")},
        (_TOKEN,),
        {JSON: ref("SigningCertRequestV2")},
    ),
    Operation(
        *("POST", "/api/v1/signingCert", "signingCert", "The same, first version."),
        {201: Answer({_PEM_CHAIN: {}})},
        (_TOKEN,),
        {JSON: ref("SigningCertRequestV1")},
    ),
    Operation(
        *("GET", "/api/v2/trustBundle", "getTrustBundle", "The authority's chains."),
        {200: json_of("TrustBundle")},
    ),
    Operation(
        *("GET", "/api/v2/configuration", "getConfiguration", "Issuers whose tokens are taken."),
        {200: json_of("Configuration")},
    ),
    Operation(
        *("GET", "/api/v1/rootCert", "rootCert", "The authority's chain."),
        {200: Answer({_PEM_CHAIN: {}})},
    ),
)

_CT: Final = (
    *(
        Operation(
            *("POST", f"/ct/v1/{path}", name, "A promise to log a chain."),
            {200: json_of("SignedCertificateTimestamp")},
            body={JSON: ref("AddChain")},
        )
        for path, name in (("add-chain", "addChain"), ("add-pre-chain", "addPreChain"))
    ),
    Operation(
        *("GET", "/ct/v1/get-roots", "getRoots", "Roots that are accepted."),
        {200: json_of("Roots")},
    ),
    Operation(
        *("GET", "/ct/v1/get-sth", "getTreeHead", "The signed tree head."),
        {200: json_of("SignedTreeHead")},
    ),
    Operation(
        *("GET", "/ct/v1/get-sth-consistency", "getConsistency", "A consistency proof."),
        {200: json_of("CtConsistency")},
        (Parameter("first", _NUMBER, required=True), Parameter("second", _NUMBER, required=True)),
    ),
    Operation(
        *("GET", "/ct/v1/get-proof-by-hash", "getProofByHash", "An inclusion proof."),
        {200: json_of("CtInclusion")},
        (
            Parameter("hash", {"type": "string", "minLength": 44, "maxLength": 44}, required=True),
            Parameter("tree_size", {**_NUMBER, "minimum": 1}, required=True),
        ),
    ),
    Operation(
        *("GET", "/ct/v1/get-entries", "getEntries", "Entries."),
        {200: json_of("CtEntries")},
        (Parameter("start", _NUMBER, required=True), Parameter("end", _NUMBER, required=True)),
    ),
    Operation(
        *("GET", "/ct/v1/get-entry-and-proof", "getEntryAndProof", "An entry with its proof."),
        {200: json_of("CtEntry")},
        (
            Parameter("leaf_index", _NUMBER, required=True),
            Parameter("tree_size", _NUMBER, required=True),
        ),
    ),
    Operation(
        *("GET", "/ct/checkpoint", "getCtCheckpoint", "The certificate log's checkpoint."),
        {200: _NOTE},
    ),
    Operation(
        *("GET", "/ct/tile/{level}/{rest...}", "getCtTile", "A tile or its entries."),
        {200: _FILE},
    ),
    Operation(
        *("GET", "/ct/issuer/{fingerprint}", "getIssuer", "An issuer's certificate."),
        {200: Answer({"application/pkix-cert": {}})},
    ),
)

# Certificate logs after a rotation, by their number.
_LATER_CT: Final = tuple(
    each._replace(
        pattern=f"/ct-logs/{{log}}{each.pattern}",
        name=f"{each.name}OfLog",
        summary=f"Of a later log: {each.summary[0].lower()}{each.summary[1:]}",
    )
    for each in _CT
)

_TIMESTAMPS: Final = (
    Operation(
        *("POST", "/api/v1/timestamp", "getTimestampResponse", "A timestamp (RFC 3161)."),
        {
            200: Answer({_REPLY: {}}),
            # What is wrong with the request is JSON under the reply's type, as upstream.
            400: Answer({_REPLY: {}, JSON: ref("V1Error")}),
            500: Answer({_REPLY: {}}),
            503: Answer({_REPLY: {}, JSON: ref("V1Error")}),
        },
        body={JSON: ref("TimestampRequest"), _QUERY: {"type": "string", "format": "binary"}},
    ),
    Operation(
        *("GET", "/api/v1/timestamp/certchain", "getTimestampCertChain", "The chain."),
        {200: Answer({_PEM_CHAIN: {}})},
    ),
)

_TRUST: Final = (
    Operation(
        *("GET", "/tuf/{name...}", "getTrustFile", "A file of the TUF repository."),
        {200: json_of("AnyObject"), 404: _MISSING},
    ),
    Operation(
        *("GET", "/trust_config.json", "getTrustConfig", "Trusted root and signing config."),
        {200: json_of("AnyObject")},
    ),
    Operation(
        *("GET", "/oidc/.well-known/openid-configuration", "getDiscovery", "The issuer."),
        {200: json_of("Discovery")},
    ),
    Operation(
        *("GET", "/oidc/jwks", "getKeySet", "The keys that sign tokens."),
        {200: Answer({"application/jwk-set+json": ref("KeySet")})},
    ),
)

_OPERATION: Final = (
    Operation(
        *("GET", "/", "getFront", "What this service is and where its parts are."),
        {200: Answer({TEXT: _STRING, "text/html": _STRING, JSON: ref("AnyObject")})},
    ),
    Operation(*("GET", "/healthz", "getHealth", "The process answers."), {200: json_of("Status")}),
    Operation(
        *("GET", "/ping", "ping", "The same, as upstream has it."), {200: Answer({TEXT: _STRING})}
    ),
    Operation(
        *("GET", "/readyz", "getReadiness", "It can take work."),
        {200: json_of("Status"), 503: json_of("Status")},
    ),
    Operation(
        *("GET", "/metrics", "getMetrics", "Counts, in the Prometheus text format."),
        {200: Answer({TEXT: _STRING})},
    ),
    *(
        Operation(*("GET", path, name, "This document."), {200: json_of("AnyObject")})
        for path, name in (("/openapi.json", "getDescription"), ("/swagger.json", "getSwagger"))
    ),
)

OPERATIONS: Final[tuple[Operation, ...]] = (
    *_LOG_V1,
    *_LOG_V2,
    *_SEARCH,
    *_CERTIFICATES,
    *_CT,
    *_LATER_CT,
    *_TIMESTAMPS,
    *_TRUST,
    *_OPERATION,
)
