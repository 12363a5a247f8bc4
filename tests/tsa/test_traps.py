"""The traps of a timestamp authority, by number: each is one test that only that mistake fails."""

import asyncio
import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from tests.tsa.test_stamp import (
    NOW,
    example_authority,
    own_authority,
    request,
)
from touchplate.errors import SettingsError
from touchplate.formats import der
from touchplate.formats.certificate import TIME_STAMPING, parse_certificate
from touchplate.formats.timestamp_request import TimestampRequest
from touchplate.server.settings import TsaSettings
from touchplate.transport.asgi import Request, Response
from touchplate.tsa import Stamping, StampSettings
from touchplate.tsa.routes import answer, routes

QUERY, JSON = "application/timestamp-query", "application/json"
SIGNED_DATA = "1.2.840.113549.1.7.2"


class Opened:
    """A response taken apart by position, as the JavaScript client does."""

    def __init__(self, response: bytes) -> None:
        """Walk down to the signer."""
        outer = der.Reader(response)
        whole = outer.enter()
        outer.finish()
        status = whole.enter()
        self.status = status.integer()
        status.finish()
        token = whole.enter()
        assert token.oid() == SIGNED_DATA
        data = token.enter(0xA0).enter()
        assert data.integer() == 3
        self.digest_algorithms = data.enter(der.SET).raw()
        content = data.enter()
        content.oid()
        self.info_bytes = content.enter(0xA0).octets()
        certificates = data.enter_optional(0xA0)
        self.certificates = [] if certificates is None else [certificates.raw()]
        self.has_certificates = certificates is not None
        signer = data.enter(der.SET).enter()
        data.finish()
        assert signer.integer() == 1
        self.sid_tag = signer.peek()
        self.sid = signer.enter()
        self.digest_algorithm = signer.raw()
        self.attributes_raw = signer.raw(0xA0)
        self.signature_algorithm = signer.raw()
        self.signature = signer.octets()
        signer.finish()
        inner = der.Reader(self.attributes_raw).enter(0xA0)
        self.attributes = []
        while not inner.done():
            self.attributes.append(inner.raw())
        info = der.Reader(self.info_bytes).enter()
        self.version = info.integer()
        self.policy = info.oid()
        self.imprint = info.raw()
        self.serial = info.integer()
        self.time = info.read(der.GENERALIZED_TIME)
        self.accuracy = info.raw(der.SEQUENCE)
        self.has_ordering = info.peek() == der.BOOLEAN
        self.nonce = info.raw(der.INTEGER) if info.peek() == der.INTEGER else None
        self.tsa = info.raw(0xA0)
        info.finish()


def stamped(kind: str = "ecdsa-p256", asked: TimestampRequest | None = None) -> Opened:
    """Open the response of a new authority."""
    return Opened(own_authority(kind)[0].stamp(asked or request(wants_certificates=True)))


def signature_covers_a_set() -> None:
    """Trap 1: what is signed has the tag SET; the message digest is that of TSTInfo's octets."""
    authority, _ = own_authority()
    found = Opened(authority.stamp(request()))
    key = load_der_public_key(authority.signer.public_key.spki)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signed = b"\x31" + found.attributes_raw[1:]
    key.verify(found.signature, signed, ec.ECDSA(hashes.SHA256()))
    assert hashlib.sha256(found.info_bytes).digest() in found.attributes[2]


def attributes_are_sorted() -> None:
    """Trap 2: the attributes are in the order of their encodings, with every kind of key."""
    for kind in ("ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048"):
        for name in ("sha256", "sha384", "sha512"):
            attributes = stamped(kind, request(name)).attributes
            assert attributes == sorted(attributes)
            assert len(attributes) == 4


def one_critical_purpose() -> None:
    """Trap 3: time stamping is the only purpose, critical, and the leaf is no authority."""
    _, (leaf, _) = own_authority()
    found = x509.load_der_x509_certificate(leaf)
    purposes = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert purposes.critical
    assert [each.dotted_string for each in purposes.value] == [TIME_STAMPING]
    assert bytes.fromhex("0603551d250101ff040c300a06082b06010505070308") in leaf
    with pytest.raises(x509.ExtensionNotFound):
        found.extensions.get_extension_for_class(x509.BasicConstraints)


def whole_seconds() -> None:
    """Trap 4: genTime has seconds, a Z and no fraction; signingTime is a UTCTime."""
    assert NOW.microsecond
    found = stamped()
    assert re.fullmatch(rb"\d{14}Z", found.time)
    assert b"\x17\x0d" + found.time[2:] in found.attributes[1]


def defaults_are_omitted() -> None:
    """Trap 5: no ordering when it is false, and version 1."""
    found = stamped()
    assert (found.version, found.has_ordering) == (1, False)
    assert found.accuracy == bytes.fromhex("3003020101")


def null_parameters() -> None:
    """Trap 6: NULL in the imprint also if the request had none; none in the algorithms of CMS."""
    absent = bytes.fromhex("3038020101302f300b0609608648016503040201") + b"\x04\x20" + bytes(32)
    absent = b"\x30" + bytes((len(absent) - 2,)) + absent[2:]
    authority, _ = own_authority()
    response = answer(authority, Request("POST", "", headers={"content-type": QUERY}, body=absent))
    found = Opened(response.body)
    assert bytes.fromhex("300d06096086480165030402010500") in found.imprint
    for algorithm in (
        found.digest_algorithms,
        found.digest_algorithm,
        found.signature_algorithm,
    ):
        reader = der.Reader(algorithm).enter()
        reader.oid()
        reader.finish()


def nonces_of_any_size() -> None:
    """Trap 7: a nonce comes back as it was, whatever its size and sign, also through JSON."""
    authority, _ = own_authority()
    for nonce in (0, -1, 127, 128, -128, -129, 2**53 + 1, 2**64 - 1, 2**159, -(2**200), 2**2000):
        expected = der.integer(nonce)
        assert Opened(authority.stamp(request(nonce=nonce))).nonce == expected
        fields = {"artifactHash": b64encode(bytes(32)).decode(), "hashAlgorithm": "sha256"}
        body = json.dumps(fields | {"nonce": nonce}).encode()
        if len(body) > 1024:
            continue
        asked = Request("POST", "", headers={"content-type": JSON}, body=body)
        assert Opened(answer(authority, asked).body).nonce == expected


def no_certificates_unless_asked() -> None:
    """Trap 8: without certReq there are none; the chain that is published begins with the leaf."""
    authority, chain = own_authority()
    assert not Opened(authority.stamp(request())).has_certificates
    assert Opened(authority.stamp(request(wants_certificates=True))).certificates == [chain[0]]
    assert authority.chain[0].der == chain[0]


def issuer_and_serial() -> None:
    """Trap 9: the signer is named by issuer and serial number, not by key identifier."""
    authority, chain = own_authority()
    found = Opened(authority.stamp(request()))
    leaf = parse_certificate(chain[0])
    assert found.sid_tag == der.SEQUENCE
    assert found.sid.raw() == leaf.issuer_der
    assert found.sid.integer() == leaf.serial


def signing_certificate_v2() -> None:
    """Trap 10: no algorithm for SHA-256, else with NULL; the whole leaf; [4] explicit."""
    authority, chain = own_authority()
    leaf = parse_certificate(chain[0])
    for name, oid in (("sha256", None), ("sha384", "2"), ("sha512", "3")):
        found = Opened(authority.stamp(request(name)))
        attribute = der.Reader(found.attributes[3]).enter()
        assert attribute.oid() == "1.2.840.113549.1.9.16.2.47"
        named = attribute.enter(der.SET).enter().enter().enter()
        if oid is not None:
            algorithm = named.enter()
            assert algorithm.oid() == f"2.16.840.1.101.3.4.2.{oid}"
            algorithm.null()
            algorithm.finish()
        assert named.octets() == hashlib.new(name, chain[0]).digest()
        issuer_serial = named.enter()
        named.finish()
        assert issuer_serial.enter().enter(0xA4).raw() == leaf.issuer_der
        assert issuer_serial.integer() == leaf.serial


def errors_are_of_http() -> None:
    """Trap 11: a status with code and message; 422 says 602; success is 200."""
    authority, _ = own_authority()
    asked = Request("POST", "", headers={"content-type": QUERY}, body=b"")
    assert json.loads(answer(authority, asked).body)["code"] == 602
    refused = answer(authority, asked._replace(body=b"0"))
    assert set(json.loads(refused.body)) == {"code", "message"}


def json_gets_der() -> None:
    """Trap 12: a JSON request gets DER, with parameters of its media type; look-alikes nothing."""
    authority, _ = own_authority()
    body = json.dumps({"artifactHash": b64encode(bytes(32)).decode(), "hashAlgorithm": "sha256"})
    for kind, status in (
        ("application/json;charset=utf-8", 200),
        ("application/json-seq", 415),
        ("application/timestamp-query2", 415),
    ):
        asked = Request("POST", "", headers={"content-type": kind}, body=body.encode())
        assert answer(authority, asked).status == status


def whole_response() -> None:
    """Trap 13: the answer is the TimeStampResp with its status, not the bare token."""
    assert stamped().status == 0


def serial_numbers() -> None:
    """Trap 14: serial numbers are positive, of at most 160 bits, and do not repeat or follow."""
    authority, _ = own_authority()
    found = [Opened(authority.stamp(request())).serial for _ in range(200)]
    assert len(set(found)) == 200
    assert all(0 < serial < 2**159 for serial in found)
    assert len({serial >> 150 for serial in found}) > 50


def signature_algorithms() -> None:
    """Trap 15: the algorithm is that of the signature, with the hash of the attributes."""
    for kind, oid in (("ecdsa-p256", 2), ("ecdsa-p384", 3), ("ecdsa-p521", 4)):
        found = stamped(kind)
        assert der.Reader(found.signature_algorithm).enter().oid() == f"1.2.840.10045.4.3.{oid}"


def one_clock_read() -> None:
    """Trap 16: genTime and signingTime are one look at the clock; outside of the leaf none is."""
    authority, chain = own_authority()
    asked: list[datetime] = []

    def now() -> datetime:
        asked.append(NOW)
        return NOW + timedelta(days=5000) * (len(asked) > 2)

    ticking = Stamping.load(authority.signer, chain, now)
    ticking.stamp(request())
    assert len(asked) == 2  # at the start, and once
    with pytest.raises(SettingsError):
        ticking.stamp(request())


def default_policy_is_accepted() -> None:
    """Trap 17: settings with another default policy have to accept it too."""
    with pytest.raises(SettingsError):
        TsaSettings(default_policy="1.2.3")
    settings = TsaSettings(default_policy="1.2.3", accepted_policies=("1.2.3",)).stamping
    authority, _ = own_authority(settings=settings)
    assert Opened(authority.stamp(request(policy="1.2.3"))).policy == "1.2.3"


TRAPS: Final[tuple[Callable[[], None], ...]] = (
    signature_covers_a_set,
    attributes_are_sorted,
    one_critical_purpose,
    whole_seconds,
    defaults_are_omitted,
    null_parameters,
    nonces_of_any_size,
    no_certificates_unless_asked,
    issuer_and_serial,
    signing_certificate_v2,
    errors_are_of_http,
    json_gets_der,
    whole_response,
    serial_numbers,
    signature_algorithms,
    one_clock_read,
    default_policy_is_accepted,
)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, len(TRAPS) + 1))
def test_trap(number: int) -> None:
    """Each trap is avoided; what it is stands in its function."""
    trap = TRAPS[number - 1]
    assert (trap.__doc__ or "").startswith(f"Trap {number}: ")
    trap()


FIELDS: Final = {"artifactHash": b64encode(bytes(32)).decode(), "hashAlgorithm": "sha256"}


@pytest.mark.parametrize(
    ("kind", "body", "rejection"),
    [
        (JSON, json.dumps(FIELDS | {"hashAlgorithm": "sha1"}), "3009300702010203020780"),
        (JSON, json.dumps(FIELDS | {"x": "x" * 2000}), "3009300702010203020520"),
        (QUERY, "nothing", "3009300702010203020204"),
        (JSON, json.dumps(FIELDS | {"tsaPolicyOID": "x"}), "3009300702010203020204"),
        (JSON, json.dumps(FIELDS | {"artifactHash": ""}), "3009300702010203020204"),
        (JSON, json.dumps(FIELDS | {"tsaPolicyOID": "1.2"}), "300a30080201020303000001"),
    ],
)
def test_rejections(kind: str, body: str, rejection: str) -> None:
    """Where the settings ask for it a fault is a rejection with its bit, and status 200."""
    authority, _ = own_authority(settings=StampSettings(rejections="rfc3161"))
    asked = Request("POST", "", headers={"content-type": kind}, body=body.encode())
    response = answer(authority, asked)

    assert (response.status, response.content_type) == (200, "application/timestamp-reply")
    assert response.body.hex() == rejection


def test_rejected_extension_and_hash() -> None:
    """The rejection of an extension, and of a hash that nobody here knows."""
    authority, _ = own_authority(settings=StampSettings(rejections="rfc3161"))
    imprint = der.sequence(der.sequence(der.oid("1.2.840.113549.2.5"), der.null()))
    for content, rejection in (
        (
            der.integer(1)
            + der.sequence(
                der.sequence(der.oid("2.16.840.1.101.3.4.2.1"), der.null()),
                der.octet_string(bytes(32)),
            )
            + b"\xa0\x00",
            "300b3009020102030407000080",
        ),
        (
            der.integer(1) + der.sequence(imprint[2:], der.octet_string(bytes(16))),
            "3009300702010203020780",
        ),
    ):
        asked = Request("POST", "", headers={"content-type": QUERY}, body=der.sequence(content))
        assert answer(authority, asked).body.hex() == rejection


def test_example_is_direct() -> None:
    """Headers as clients send them are answered directly, and the answer is the same."""
    authority = example_authority()
    route, _ = routes(lambda: authority)
    assert route.direct is not None
    assert route.direct_if is not None
    plain = [(b"host", b"x"), (b"content-type", QUERY.encode())]
    for more, is_plain in (
        ([], True),
        ([(b"accept", b"*/*")], True),
        ([(b"accept", b"application/timestamp-reply")], True),
        ([(b"accept", b"text/plain")], False),
        ([(b"accept", b"*/*"), (b"accept", b"text/plain")], False),
        ([(b"content-type", b"application/json")], False),
    ):
        assert route.direct_if([*plain, *more]) is is_plain
    assert not route.direct_if([(b"host", b"x")])
    for body in (b"", b"x", b"0" * 100):
        asked = Request("POST", "", headers={"content-type": QUERY}, body=body)

        async def ask(body: bytes = body, request: Request = asked) -> None:
            found: list[Response | Exception] = []
            assert route.direct is not None
            route.direct(body, found.append)
            await asyncio.sleep(0)  # it is answered at the end of its turn
            assert found == [await route.handler(request)]

        asyncio.run(ask())
