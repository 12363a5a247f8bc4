"""Keys of issuers elsewhere: from well-behaved, absent and hostile ones."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from threading import Event
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.oidc.hostile import DISCOVERY, RemoteIssuer, Server, serving
from touchplate.errors import MalformedError, RefusedError, TouchplateError, UnavailableError
from touchplate.keys.signer import generate
from touchplate.oidc import Authenticator, Issuer, OwnIssuer, base64url
from touchplate.oidc.discovery import (
    CLUSTER,
    MAX_FETCHES,
    MAX_PATTERN_ISSUERS,
    ClusterAccess,
    Discovery,
    FetchTimes,
)
from touchplate.oidc.identity import Identity
from touchplate.oidc.jwk import MAX_JWKS, encode_jwk
from touchplate.transport.http import Response, TransportSettings, is_public


def ignore(_: str) -> None:
    """Take a report."""


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EMAIL = "dev@example.com"


@dataclass
class Place:
    """A server, an issuer on it, and who believes it; `now` is moved by the test."""

    server: Server
    issuer: RemoteIssuer
    times: FetchTimes = field(default_factory=FetchTimes)
    now: float = 1000.0
    reports: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.discovery = Discovery(lambda: self.now, self.reports.append, times=self.times)
        self.believe(Issuer(self.issuer.url))

    def believe(self, *issuers: Issuer) -> None:
        """Put these into the table."""
        self.discovery.adopt(issuers)
        self.table = Authenticator(issuers, discover=self.discovery.keys_of)

    def mint(self) -> str:
        """Give a good token."""
        return self.issuer.own.mint(EMAIL, NOW)

    def authenticate(self, token: str | None = None) -> Identity:
        """Prove a token."""
        return self.table.authenticate(token or self.mint(), NOW)

    def fetched(self) -> int:
        """Give how often the key set was asked for."""
        return self.server.count("/jwks")


@pytest.fixture
def server() -> Iterator[Server]:
    """Serve, and nothing but that."""
    with serving() as found:
        yield found


@pytest.fixture
def place(server: Server) -> Place:
    """Give a well-behaved issuer and who believes it."""
    issuer = RemoteIssuer(server)
    issuer.publish()
    return Place(server, issuer)


def test_remote_token(place: Place) -> None:
    """A token is proven with keys that discovery leads to; they are fetched once."""
    for _ in range(3):
        assert place.authenticate().san.value == EMAIL
    assert place.server.asked == [DISCOVERY, "/jwks"]


def test_at_once(place: Place) -> None:
    """Many tokens that come at once wait for one fetch."""
    token = place.mint()
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(place.authenticate, [token] * 32))
    assert {each.san.value for each in found} == {EMAIL}
    assert place.fetched() == 1


def test_rotation(place: Place) -> None:
    """A key id that is not known fetches the keys again, once in ten seconds at most."""
    place.authenticate()
    place.issuer.signer = generate()
    place.issuer.publish()
    token = place.mint()
    with pytest.raises(RefusedError):
        place.authenticate(token)  # they are less than ten seconds old
    place.now += 10

    assert place.authenticate(token).san.value == EMAIL
    assert place.fetched() == 2


def test_garbage_key_ids(place: Place) -> None:
    """Tokens that name keys which nobody has cannot hammer the issuer."""
    place.authenticate()
    for _ in range(50):
        other = RemoteIssuer(place.server)  # another key, and so another key id
        with pytest.raises(RefusedError):
            place.authenticate(other.own.mint(EMAIL, NOW))
        place.now += 1
    assert place.fetched() <= 6
    assert place.authenticate().san.value == EMAIL


def test_removed_key(place: Place) -> None:
    """A key that the issuer has withdrawn proves nothing once the keys are old."""
    token = place.mint()
    place.authenticate(token)
    place.issuer.signer = generate()
    place.issuer.publish()
    place.now += 601
    with pytest.raises(RefusedError):
        place.authenticate(token)


def test_issuer_down(place: Place) -> None:
    """Old keys are used while the issuer is away, to an hour; then its tokens are unavailable."""
    token = place.mint()
    place.authenticate(token)
    place.server.json("/jwks", {}, 503)
    for age in (700, 1500, 3500):
        place.now = 1000.0 + age
        assert place.authenticate(token).san.value == EMAIL
        settle()
    place.now = 1000.0 + 3601
    with pytest.raises(UnavailableError) as caught:
        place.authenticate(token)
    assert caught.value.retry_after is not None
    place.issuer.publish()
    place.now += 31

    assert place.authenticate(token).san.value == EMAIL  # it recovers by itself
    assert "answers 503" in place.reports[0]


def settle() -> None:
    """Wait until no fetch is under way."""
    for thread in threading.enumerate():
        if thread.name == "issuer keys":
            thread.join(10)


def test_retries_are_rare(place: Place) -> None:
    """An issuer that fails is asked again after one second, two, four … thirty at most."""
    place.server.json(DISCOVERY, {}, 500)
    token = place.mint()
    for _ in range(120):
        with pytest.raises(UnavailableError):
            place.authenticate(token)
        place.now += 1
    assert place.server.count(DISCOVERY) <= 9


@pytest.mark.parametrize("path", [DISCOVERY, "/jwks"])
def test_hanging_issuer(server: Server, path: str) -> None:
    """An issuer that hangs fails its tokens at the deadline, and delays no other issuer's."""
    slow, good = RemoteIssuer(server), RemoteIssuer(server, "/good")
    slow.publish()
    good.publish()
    server.answers[path] = lambda _: wait_for(server.ended)
    discovery = Discovery(time.monotonic, ignore, times=FetchTimes(deadline=0.5))
    rows = [Issuer(slow.url), Issuer(good.url)]
    discovery.adopt(rows)
    table = Authenticator(rows, discover=discovery.keys_of)

    with ThreadPoolExecutor(8) as pool:
        began = time.monotonic()
        late = [pool.submit(table.authenticate, slow.own.mint(EMAIL, NOW), NOW) for _ in range(6)]
        assert table.authenticate(good.own.mint(EMAIL, NOW), NOW).issuer == good.url
        assert time.monotonic() - began < 0.4
        for each in late:
            with pytest.raises(UnavailableError):
                each.result()
        assert time.monotonic() - began < 2
    assert server.count(path) == 1


def test_deadline_of_its_own(place: Place) -> None:
    """Who waits is let go at the deadline, also if the transport does not keep it."""
    ended = Event()

    class Stuck(Fixed):
        def request(self, method: str, url: str, **given: Any) -> Response:
            ended.wait(20)
            return super().request(method, url, **given)

    discovery = Discovery(
        time.monotonic, ignore, times=FetchTimes(deadline=0.3), open_transport=lambda _: Stuck({})
    )
    table = Authenticator([Issuer(place.issuer.url)], discover=discovery.keys_of)
    token = place.mint()
    try:
        fetching = table.prepare(token).fetching
        assert fetching is not None
        assert fetching.result(2) is None
        assert table.prepare(token).fetching is None  # nothing more to wait for
        began = time.monotonic()
        with pytest.raises(UnavailableError):
            table.authenticate(token, NOW)
        assert time.monotonic() - began < 0.2
    finally:
        ended.set()
        settle()


def wait_for(event: Event) -> None:
    """Hang until the test ends."""
    event.wait(20)


def test_prepared(place: Place) -> None:
    """An event loop is told what to wait for, and that nothing is to be waited for afterwards."""
    token = place.mint()
    fetching = place.table.prepare(token).fetching
    assert fetching is not None
    assert fetching.result(5) is None
    assert place.table.prepare(token).fetching is None
    assert place.authenticate(token).san.value == EMAIL


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", "." * 1_000_000])
def test_prepare_malformed(place: Place, token: str) -> None:
    """What is no token is not waited for, and nothing is fetched for it."""
    assert place.table.prepare(token).fetching is None
    with pytest.raises(MalformedError):
        place.table.authenticate(token, NOW)
    assert place.server.asked == []


def test_cve_2025_66506_dots(place: Place) -> None:
    """A token with a million dots is refused without being taken apart."""
    began = time.perf_counter()
    with pytest.raises(MalformedError):
        place.authenticate(place.mint() + "." * 1_000_000)
    assert time.perf_counter() - began < 0.5


def test_unknown_issuer(place: Place) -> None:
    """Nothing is fetched for an issuer that is not in the table."""
    stranger = RemoteIssuer(place.server, "/stranger")
    stranger.publish()
    with pytest.raises(RefusedError):
        place.authenticate(stranger.own.mint(EMAIL, NOW))
    assert place.server.asked == []


def test_trailing_slash(place: Place) -> None:
    """An issuer with a slash at its end is another one, whose document says so too."""
    slash = RemoteIssuer(place.server, "/")
    place.server.json(DISCOVERY, place.issuer.document())
    place.believe(Issuer(slash.url))
    with pytest.raises(RefusedError, match="cannot be had"):
        place.authenticate(slash.own.mint(EMAIL, NOW))
    with pytest.raises(RefusedError, match="not known"):
        place.authenticate()

    place.server.json(DISCOVERY, {**slash.document(), "jwks_uri": f"{place.server.url}/jwks"})
    place.server.octets("/jwks", slash.own.jwks())
    place.now += 60
    assert place.authenticate(slash.own.mint(EMAIL, NOW)).issuer == slash.url


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://idp.example.com"},
        {"issuer": None},
        {"issuer": ["x"]},
        {"jwks_uri": None},
        {"jwks_uri": 5},
        {"jwks_uri": "http://idp.example.com/jwks"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://user@idp.example.com/jwks"},
        {"jwks_uri": "/jwks"},
        {"jwks_uri": "http://169.254.169.254/latest"},
        {"jwks_uri": "https://10.0.0.1/jwks"},
        {"jwks_uri": "https://[::ffff:10.0.0.1]/jwks"},
        {"jwks_uri": "https://[fe80::1]/jwks"},
        {"jwks_uri": "https://0.0.0.0/jwks"},
    ],
)
def test_bad_document(place: Place, changes: dict[str, Any]) -> None:
    """A discovery document of somebody else, or that leads to where it must not, is refused."""
    place.issuer.publish(**changes)
    with pytest.raises(RefusedError) as caught:
        place.authenticate()
    assert caught.value.code == "TOKEN_REFUSED"
    assert place.fetched() == 0


@pytest.mark.parametrize("path", [DISCOVERY, "/jwks"])
def test_cve_2026_49478_redirect(place: Place, path: str) -> None:
    """A redirect to another host is not followed: not for discovery, and not for the keys."""
    with serving() as other:
        thief = RemoteIssuer(other)
        other.json(DISCOVERY, {**thief.document(), "issuer": place.issuer.url})
        other.octets("/jwks", thief.own.jwks())
        place.server.octets(path, b"", 302, {"Location": other.url + path})
        with pytest.raises(RefusedError):
            place.authenticate(OwnIssuer(place.issuer.url, thief.signer).mint(EMAIL, NOW))
        with pytest.raises(RefusedError):
            place.authenticate()
        assert other.asked == []


def test_redirect_at_home(place: Place) -> None:
    """A redirect inside the same origin is followed, three times at most."""
    place.server.octets("/jwks", b"", 302, {"Location": "/keys"})
    place.server.octets("/keys", place.issuer.own.jwks())
    assert place.authenticate().san.value == EMAIL
    place.server.octets("/jwks", b"", 302, {"Location": "/jwks"})
    place.believe()
    place.believe(Issuer(place.issuer.url))
    with pytest.raises(RefusedError):
        place.authenticate()


def drip(handler: BaseHTTPRequestHandler, ended: Event) -> None:
    """Send one octet at a time."""
    handler.send_response(200)
    handler.end_headers()
    while not ended.wait(0.05):
        handler.wfile.write(b" ")
        handler.wfile.flush()


def drip_head(handler: BaseHTTPRequestHandler, ended: Event) -> None:
    """Send the head one octet at a time."""
    while not ended.wait(0.05):
        handler.wfile.write(b"H")
        handler.wfile.flush()


def flood(handler: BaseHTTPRequestHandler, ended: Event) -> None:
    """Send without end."""
    handler.send_response(200)
    handler.end_headers()
    while not ended.is_set():
        handler.wfile.write(b" " * 65536)


@pytest.mark.parametrize("path", [DISCOVERY, "/jwks"])
@pytest.mark.parametrize("way", [drip, drip_head, flood])
def test_endless_body(server: Server, path: str, way: Any) -> None:
    """A body that is slow, or without end, ends at the deadline or the limit."""
    issuer = RemoteIssuer(server)
    issuer.publish()
    server.answers[path] = lambda handler: way(handler, server.ended)
    discovery = Discovery(time.monotonic, ignore, times=FetchTimes(deadline=0.4))
    began = time.monotonic()
    with pytest.raises((UnavailableError, RefusedError)):
        Authenticator([Issuer(issuer.url)], discover=discovery.keys_of).authenticate(
            issuer.own.mint(EMAIL, NOW), NOW
        )
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": 5}',
        b"{" * 1000,
        b"\xff",
        b'{"keys": [], "keys": []}',
        b" " * (MAX_JWKS + 1),
        b"<html>",
    ],
)
def test_malformed_keys(place: Place, body: bytes) -> None:
    """A key set of another form proves nothing."""
    place.server.octets("/jwks", body)
    with pytest.raises(RefusedError):
        place.authenticate()


def test_compressed_keys(place: Place) -> None:
    """Nothing is unpacked: what nobody asked for cannot be a bomb."""
    place.server.octets("/jwks", b"x", headers={"Content-Encoding": "gzip"})
    with pytest.raises(RefusedError):
        place.authenticate()


def test_ten_thousand_keys(place: Place) -> None:
    """A key set with more keys than are tried is refused, also if the right one is in it."""
    own = json.loads(place.issuer.own.jwks())["keys"][0]
    place.issuer.publish({"keys": [own] + [{"kty": "x"}] * 9_999})
    with pytest.raises(RefusedError):
        place.authenticate()


def test_duplicate_key_id(place: Place) -> None:
    """Of several keys with one id each is tried, and nothing else."""
    token = place.mint()
    mine = json.loads(place.issuer.own.jwks())["keys"][0]
    others = [json.loads(RemoteIssuer(place.server).own.jwks())["keys"][0] for _ in range(2)]
    place.issuer.publish({"keys": [{**each, "kid": mine["kid"]} for each in others] + [mine]})
    assert place.authenticate(token).san.value == EMAIL
    place.issuer.publish({"keys": [{**each, "kid": mine["kid"]} for each in others]})
    place.now += 700
    with pytest.raises(RefusedError):
        place.authenticate(token)


RSA = rsa.generate_private_key(65537, 2048)


def rsa_jwk(**changes: str) -> dict[str, str]:
    """Publish the RSA key."""
    numbers = RSA.public_key().public_numbers()
    n = base64url.encode(numbers.n.to_bytes(256, "big"))
    return {"kty": "RSA", "kid": "r", "n": n, "e": "AQAB", **changes}


EC_KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
EC_JWK = {name: value for name, value in encode_jwk("r", "ES256", EC_KEY).items() if name != "alg"}


def compact(header: dict[str, object], issuer: str, sign: Any) -> str:
    """Make a token whose signature `sign` makes."""
    claims = {
        "iss": issuer,
        "aud": "sigstore",
        "sub": "x",
        "exp": int(NOW.timestamp()) + 60,
        "email": EMAIL,
        "email_verified": True,
    }
    message = ".".join(base64url.encode(json.dumps(part).encode()) for part in (header, claims))
    return f"{message}.{base64url.encode(sign(message.encode()))}"


def by_rsa(message: bytes) -> bytes:
    """Sign as RS256 does."""
    return RSA.sign(message, padding.PKCS1v15(), hashes.SHA256())


def by_hmac_with_public_key(message: bytes) -> bytes:
    """Sign with the public key as if it were a secret."""
    key = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    made = hmac.HMAC(key, hashes.SHA256())
    made.update(message)
    return made.finalize()


def test_default_algorithm(place: Place) -> None:
    """An issuer that does not say what it signs with signs with RS256."""
    token = compact({"alg": "RS256", "kid": "r"}, place.issuer.url, by_rsa)
    for listed in (None, [], ["none", "HS256"], "RS256"):
        place.issuer.publish({"keys": [rsa_jwk()]}, id_token_signing_alg_values_supported=listed)
        place.now += 700
        assert place.authenticate(token).san.value == EMAIL


@pytest.mark.parametrize(
    ("algorithm", "listed", "jwk", "sign"),
    [
        ("none", ["none", "RS256"], rsa_jwk(), lambda _: b""),
        ("None", ["None", "RS256"], rsa_jwk(), lambda _: b""),
        ("HS256", ["HS256", "RS256"], rsa_jwk(), by_hmac_with_public_key),
        ("HS256", ["HS256"], rsa_jwk(alg="HS256"), by_hmac_with_public_key),
        ("RS256", ["ES256"], rsa_jwk(), by_rsa),
        ("RS256", ["RS256"], rsa_jwk(alg="PS256"), by_rsa),
        ("RS256", ["RS256"], rsa_jwk(alg="RS512"), by_rsa),
        ("RS256", ["RS256"], rsa_jwk(use="enc"), by_rsa),
        ("PS256", ["RS256", "PS256"], rsa_jwk(), by_rsa),
        ("ES256", ["RS256", "ES256"], rsa_jwk(), by_rsa),
        ("RS384", ["RS256"], rsa_jwk(), by_rsa),
        ("RS256", ["RS256"], EC_JWK, by_rsa),
    ],
)
def test_key_confusion(
    place: Place, algorithm: str, listed: list[str], jwk: Any, sign: Any
) -> None:
    """The issuer chooses algorithms, and the key's kind must fit; a token chooses nothing."""
    place.issuer.publish({"keys": [jwk]}, id_token_signing_alg_values_supported=listed)
    with pytest.raises(RefusedError):
        place.authenticate(compact({"alg": algorithm, "kid": "r"}, place.issuer.url, sign))


def test_google_without_scheme() -> None:
    """Google's tokens may leave out the scheme, where the table has that name."""
    google, now = "https://accounts.google.com", 1000.0
    issuer = RemoteIssuer(Server(1))
    own = OwnIssuer(google, issuer.signer)
    answers = {f"{google}{DISCOVERY}": own.discovery(), f"{google}/jwks": own.jwks()}
    discovery = Discovery(lambda: now, ignore, open_transport=lambda _: Fixed(answers))
    short = OwnIssuer("accounts.google.com", issuer.signer).mint(EMAIL, NOW)
    rows = [Issuer(google), Issuer(google, key="accounts.google.com")]
    table = Authenticator(rows, discover=discovery.keys_of)

    assert table.authenticate(own.mint(EMAIL, NOW), NOW).issuer == google
    assert table.authenticate(short, NOW).issuer == "accounts.google.com"
    with pytest.raises(RefusedError):
        Authenticator(rows[:1], discover=discovery.keys_of).authenticate(short, NOW)


@dataclass
class Fixed:
    """A transport with answers by URL, that remembers what was sent."""

    answers: dict[str, bytes]
    sent: list[tuple[str, tuple[tuple[str, str], ...]]] = field(default_factory=list)

    def request(self, method: str, url: str, **given: Any) -> Response:
        """Answer."""
        self.sent.append((url, given["headers"]))
        body = self.answers.get(url)
        return Response(404, (), b"") if body is None else Response(200, (), body)


def test_kubernetes_token_stays_home() -> None:
    """The pod's token goes to the cluster's issuer, and to no other host or kind of issuer."""
    issuer = RemoteIssuer(Server(1))
    own = OwnIssuer(CLUSTER, issuer.signer)
    document = {**json.loads(own.discovery()), "jwks_uri": "https://10.0.0.1/openid/v1/jwks"}
    fixed = Fixed(
        {f"{CLUSTER}{DISCOVERY}": json.dumps(document).encode(), document["jwks_uri"]: own.jwks()}
    )
    asked: list[TransportSettings] = []

    def opened(settings: TransportSettings) -> Fixed:
        asked.append(settings)
        return fixed

    discovery = Discovery(
        lambda: 0.0,
        ignore,
        cluster=lambda: ClusterAccess("PEM", "secret"),
        open_transport=opened,
    )
    row = Issuer(CLUSTER, type="kubernetes")
    other = Issuer("https://other.example.com", type="kubernetes")
    mail = Issuer("https://mail.example.com")
    discovery.adopt([row, other, mail])
    discovery.fetch(row)
    for each in (mail, Issuer("https://m.example.com", type="kubernetes", pattern="https://*")):
        with pytest.raises(TouchplateError):
            discovery.fetch(each)

    bearer = [url for url, headers in fixed.sent if "Authorization" in dict(headers)]
    assert bearer == [f"{CLUSTER}{DISCOVERY}"]
    assert asked[0] == TransportSettings(more_authorities="\nPEM")
    assert asked[1] == TransportSettings(public_only=True)


def test_private_addresses() -> None:
    """Private addresses are for hosts that the operator names, and for this machine's own."""
    asked: dict[str, bool] = {}

    def opened(settings: TransportSettings) -> Fixed:
        return Asking(settings.public_only)

    class Asking(Fixed):
        def __init__(self, public_only: bool) -> None:
            super().__init__({})
            self.public_only = public_only

        def request(self, method: str, url: str, **given: Any) -> Response:
            asked[url.partition("/.")[0]] = self.public_only
            return super().request(method, url, **given)

    discovery = Discovery(
        lambda: 0.0, ignore, private_hosts=["idp.internal"], open_transport=opened
    )
    for url in ("https://idp.internal", "https://idp.example.com", "http://127.0.0.1:1"):
        with pytest.raises(TouchplateError):
            discovery.fetch(Issuer(url))
    assert asked == {
        "https://idp.internal": False,
        "https://idp.example.com": True,
        "http://127.0.0.1:1": False,
    }


def test_resolved_private(server: Server) -> None:
    """A name that resolves to this machine is refused before anything is sent to it."""
    discovery = Discovery(time.monotonic, ignore)
    settings, _ = discovery._access(Issuer("https://idp.example.com"), "https://localhost")
    with pytest.raises(RefusedError, match="not public"):
        discovery._transport(settings).request("GET", f"https://localhost:{server.port}/")
    assert server.asked == []


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1111", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("127.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104  not bound
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("ff02::1", False),
    ],
)
def test_is_public(address: str, expected: bool) -> None:
    """Addresses of networks that are not public are known in each form."""
    assert is_public(address) == expected


def test_pattern(place: Place) -> None:
    """An issuer that matches a pattern is one of its own, with keys of its own."""
    pattern = f"{place.server.url}/id/*"
    place.believe(Issuer(pattern, is_pattern=True))
    tokens = []
    for name in ("a", "b"):
        issuer = RemoteIssuer(place.server, f"/id/{name}")
        issuer.publish()
        tokens.append(issuer.own.mint(EMAIL, NOW))
    assert [place.authenticate(each).issuer for each in tokens] == [
        f"{place.server.url}/id/a",
        f"{place.server.url}/id/b",
    ]
    with pytest.raises(RefusedError, match="not known"):
        place.authenticate(RemoteIssuer(place.server, "/id/a/b").own.mint(EMAIL, NOW))


def test_pattern_cache() -> None:
    """Of issuers that match patterns the keys of a hundred are kept."""
    discovery = Discovery(lambda: 0.0, ignore)
    for number in range(3 * MAX_PATTERN_ISSUERS):
        discovery.keys_of(Issuer(f"https://{number}.example.com", pattern="https://*.example.com"))
    assert len(discovery._matched) == MAX_PATTERN_ISSUERS
    discovery.adopt([])
    assert not discovery._matched


def test_pattern_threads(server: Server) -> None:
    """Issuers of one pattern that all hang have a bounded number of fetches; a named one works."""
    good = RemoteIssuer(server, "/good")
    good.publish()
    discovery = Discovery(time.monotonic, ignore, times=FetchTimes(deadline=1.0))
    rows = [Issuer(f"{server.url}/id/*", is_pattern=True), Issuer(good.url)]
    table = Authenticator(rows, discover=discovery.keys_of)
    tokens = []
    for number in range(3 * MAX_FETCHES):
        issuer = RemoteIssuer(server, f"/id/{number}", good.signer)
        server.answers[f"{issuer.path}{DISCOVERY}"] = lambda _: wait_for(server.ended)
        tokens.append(issuer.own.mint(EMAIL, NOW))

    with ThreadPoolExecutor(len(tokens)) as pool:
        late = [pool.submit(table.authenticate, each, NOW) for each in tokens]
        assert table.authenticate(good.own.mint(EMAIL, NOW), NOW).issuer == good.url
        for each in late:
            with pytest.raises(UnavailableError):
                each.result()
    assert len([path for path in server.asked if path.startswith("/id/")]) <= MAX_FETCHES


def test_kept_over_reload(place: Place) -> None:
    """A table that is read again finds the keys that are there."""
    place.authenticate()
    place.believe(Issuer(place.issuer.url, audience="other"), Issuer("https://new.example.com"))
    place.believe(Issuer(place.issuer.url))
    place.authenticate()
    assert place.fetched() == 1


def test_one_table_from_beginning_to_end(place: Place) -> None:
    """A token that was read is held to the table that read it, whatever came into force since."""
    prepared = place.table.prepare(place.mint())
    assert prepared.fetching is not None
    prepared.fetching.result(60)
    other = Authenticator([Issuer("https://other.example.com")])

    assert other.authenticate(prepared.token, NOW).san.value == EMAIL
    with pytest.raises(RefusedError):
        other.authenticate(place.mint(), NOW)
