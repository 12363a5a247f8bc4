"""Issuers elsewhere that lie, lead astray, or never end: what they can do is bounded."""

import json
import time
from http.server import BaseHTTPRequestHandler
from threading import Event
from typing import Any

import pytest

from tests.oidc.hostile import DISCOVERY, RemoteIssuer, Server, serving
from tests.oidc.place import EMAIL, NOW, Fixed, Place, ignore
from touchplate.errors import RefusedError, TouchplateError, UnavailableError
from touchplate.oidc import Authenticator, Issuer, OwnIssuer
from touchplate.oidc.discovery import CLUSTER, ClusterAccess, Discovery, FetchTimes
from touchplate.oidc.jwk import MAX_JWKS
from touchplate.transport.http import Response, TransportSettings, is_public


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
