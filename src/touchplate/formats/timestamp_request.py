"""Timestamp requests (RFC 3161 §2.4.1): DER, and the JSON of Sigstore's timestamp authority.

Whether what is asked for is allowed is the authority's to say; here is only what it says. The
response is in `timestamp_builder.py` (made) and `timestamp.py` (read).
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from touchplate.errors import MalformedError
from touchplate.formats import der
from touchplate.formats.base64text import parse_base64
from touchplate.formats.jsontext import parse_json

CODE: Final = "TIMESTAMP_MALFORMED"
UNKNOWN_HASH: Final = "ALGORITHM_REFUSED"
MAX_REQUEST: Final = 64 * 1024
MAX_JSON: Final = 1024
MAX_DIGEST: Final = 64
MAX_NONCE: Final = 1024  # bytes
MAX_OID_COMPONENTS: Final = 128

SHA1: Final = "sha1"
HASHES: Final[Mapping[str, str]] = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
    "1.3.14.3.2.26": SHA1,
}
HASH_OIDS: Final[Mapping[str, str]] = {name: oid for oid, name in HASHES.items()}

_SHORT: Final = 0x80  # contents below this have one octet of length
_CERTIFICATES: Final = b"\x01\x01\xff"


def _usual_start(hash_name: str, size: int) -> bytes:
    """Give what stands before the digest in the requests that clients make."""
    algorithm = der.sequence(der.oid(HASH_OIDS[hash_name]), der.null())
    imprint = der.sequence(algorithm, der.octet_string(bytes(size)))
    return der.integer(1) + imprint[:-size]


# Start of the content: name of the hash, and its size. All of them have one length.
_USUAL: Final = {
    _usual_start(name, size): (name, size)
    for name, size in (("sha256", 32), ("sha384", 48), ("sha512", 64))
}
_USUAL_SIZE: Final = len(_usual_start("sha256", 32))


class TimestampRequest(NamedTuple):
    """What somebody wants a time for. Nothing of it has been allowed yet."""

    # `sha256`, `sha384`, `sha512`, or `sha1`, which is read so that it can be refused by name.
    hash_name: str
    digest: bytes
    policy: str | None = None
    nonce: int | None = None
    wants_certificates: bool = False
    # The whole [0] element, None if there is none.
    extensions: bytes | None = None


def parse_timestamp_request(data: bytes) -> TimestampRequest:
    """Read a TimeStampReq, at most 64 KiB; nothing may follow it (TIMESTAMP_MALFORMED).

    A hash that is not known is ALGORITHM_REFUSED.
    """
    return _parse_usual(data) or _parse_any(data)


def _parse_usual(data: bytes) -> TimestampRequest | None:
    """Read a request as clients make it, at a third of the cost; None: it may be another one.

    Without policy and extensions, of version 1, shorter than 130 bytes, NULL parameters. What it
    gives is what `_parse_any` gives.
    """
    size = len(data) - 2
    if not _USUAL_SIZE < size < _SHORT or data[0] != der.SEQUENCE or data[1] != size:
        return None
    known = _USUAL.get(data[2 : 2 + _USUAL_SIZE])
    if known is None:
        return None
    hash_name, width = known
    at = 2 + _USUAL_SIZE + width
    digest, rest = data[2 + _USUAL_SIZE : at], data[at:]
    if len(digest) != width:
        return None
    nonce = None
    if len(rest) > 2 and rest[0] == der.INTEGER:
        end = 2 + rest[1]
        content = rest[2:end]
        if rest[1] >= _SHORT or len(content) != rest[1] or not content:
            return None
        if len(content) > 1 and (content[0], content[1] >> 7) in ((0, 0), (0xFF, 1)):
            return None  # not in the fewest octets
        nonce, rest = int.from_bytes(content, "big", signed=True), rest[end:]
    if rest and rest != _CERTIFICATES:
        return None
    return TimestampRequest(hash_name, digest, None, nonce, rest == _CERTIFICATES)


def _parse_any(data: bytes) -> TimestampRequest:
    if len(data) > MAX_REQUEST:
        raise MalformedError(CODE, f"timestamp request: more than {MAX_REQUEST} bytes")
    outer = der.Reader(data, what="timestamp request", code=CODE)
    reader = outer.enter()
    outer.finish()
    reader.integer()  # the version; authorities never looked at it
    imprint = reader.enter()
    hash_name = _read_hash(imprint.enter())
    digest = imprint.read(der.OCTET_STRING)
    imprint.finish()
    policy = reader.oid() if reader.peek() == der.OID else None
    nonce = _read_nonce(reader) if reader.peek() == der.INTEGER else None
    wants = reader.boolean() if reader.peek() == der.BOOLEAN else False
    extensions = reader.raw() if reader.peek() == der.context(0) else None
    reader.finish()
    return TimestampRequest(hash_name, digest, policy, nonce, wants, extensions)


def _read_hash(algorithm: der.Reader) -> str:
    """Read an AlgorithmIdentifier whose parameters are NULL or absent."""
    oid = algorithm.oid()
    if not algorithm.done() and algorithm.raw() != der.null():
        raise algorithm.error("the hash algorithm has parameters")
    algorithm.finish()
    if oid not in HASHES:
        raise MalformedError(UNKNOWN_HASH, f"timestamp request: hash algorithm {oid} is not known")
    return HASHES[oid]


def _read_nonce(reader: der.Reader) -> int:
    nonce = reader.integer()
    if nonce.bit_length() > 8 * MAX_NONCE:
        raise reader.error(f"the nonce has more than {MAX_NONCE} bytes")
    return nonce


def encode_timestamp_request(request: TimestampRequest) -> bytes:
    """Give a TimeStampReq of version 1."""
    algorithm = der.sequence(der.oid(HASH_OIDS[request.hash_name]), der.null())
    return der.sequence(
        der.integer(1),
        der.sequence(algorithm, der.octet_string(request.digest)),
        b"" if request.policy is None else der.oid(request.policy),
        b"" if request.nonce is None else der.integer(request.nonce),
        der.boolean(value=True) if request.wants_certificates else b"",
        request.extensions or b"",
    )


def parse_json_request(data: bytes) -> TimestampRequest:
    """Read the JSON form, at most 1024 bytes.

    Raises LIMIT_EXCEEDED, TIMESTAMP_MALFORMED or ALGORITHM_REFUSED.
    The nonce is a JSON integer of any size. The policy is given as it stands: see `is_oid`.
    """
    if len(data) > MAX_JSON:
        raise MalformedError("LIMIT_EXCEEDED", f"timestamp request: more than {MAX_JSON} bytes")
    value = parse_json(data, what="timestamp request", max_bytes=MAX_JSON, error=CODE)
    digest, hash_name = value.get("artifactHash"), value.get("hashAlgorithm")
    nonce, wants = value.get("nonce"), value.get("certificates")
    policy = value.get("tsaPolicyOID")
    if not isinstance(digest, str) or not isinstance(hash_name, str):
        raise MalformedError(CODE, "timestamp request: artifactHash and hashAlgorithm are texts")
    if hash_name.lower() not in HASH_OIDS:
        raise MalformedError(UNKNOWN_HASH, f"timestamp request: hash {hash_name[:20]!r}")
    if isinstance(nonce, bool) or not isinstance(nonce, int | None):
        raise MalformedError(CODE, "timestamp request: nonce is no integer")
    if not isinstance(wants, bool | None) or not isinstance(policy, str | None):
        raise MalformedError(CODE, "timestamp request: certificates or tsaPolicyOID")
    try:
        raw = parse_base64(digest)
    except ValueError as error:
        raise MalformedError(CODE, "timestamp request: artifactHash is not base64") from error
    return TimestampRequest(hash_name.lower(), raw, policy or None, nonce, bool(wants))


def is_oid(text: str) -> bool:
    """Say whether the text is an object identifier of at most 128 components."""
    parts = text.split(".", MAX_OID_COMPONENTS)
    if not 2 <= len(parts) <= MAX_OID_COMPONENTS:
        return False
    for part in parts:
        if not (part.isascii() and part.isdigit()) or part != str(int(part[:40])):
            return False
    # X.660: the first arc is 0, 1 or 2, and below 0 and 1 there are 40.
    first, second = int(parts[0]), int(parts[1])
    return first == 2 or (first < 2 and second < 40)
