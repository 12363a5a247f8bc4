"""Limits on clients: the rate itself, who is counted, and what each API says."""

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import TouchplateError
from touchplate.keys.signer import generate
from touchplate.server.app import MAX_HELD_BYTES
from touchplate.server.identities import submitter_of
from touchplate.server.limits import ClientTable, Limits, client_of
from touchplate.server.rate import Rate, parse_rate
from touchplate.server.settings import LimitSettings, ServeSettings
from touchplate.testing import World
from touchplate.transport.asgi import TooOftenError
from touchplate.transport.http import Response

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("off", None),
        ("100/s", Rate(100, 1, 100)),
        ("100/s burst 500", Rate(100, 1, 500)),
        ("10/min", Rate(10, 60, 1)),
        ("600/min", Rate(600, 60, 10)),
        ("1/h burst 3", Rate(1, 3600, 3)),
    ],
)
def test_rate(text: str, expected: Rate | None) -> None:
    """A rate is a count, a unit and a burst."""
    assert parse_rate(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "on",
        "100",
        "0/s",
        "1/d",
        "1.5/s",
        "1/s burst 0",
        "1/s burst",
        " 1/s",
        "1/s\n",
        "\u0661/s",
    ],
)
def test_no_rate(text: str) -> None:
    """Anything else is none."""
    with pytest.raises(ValueError, match="not allowed"):
        parse_rate(text)


class Table:
    """A table with a clock that stands still."""

    def __init__(self, max_clients: int = 1024) -> None:
        self.now = 1000 * SECOND
        self.table = ClientTable(lambda: self.now, max_clients)

    def passes(self, rate: Rate, client: str, name: str = "address") -> bool:
        """Say whether a request passes."""
        try:
            self.table.take(name, rate, client)
        except TooOftenError:
            return False
        return True


def test_burst_then_rate() -> None:
    """All of the burst passes at once, then as many as the rate gives."""
    table, rate = Table(), Rate(10, 1, 50)
    assert [table.passes(rate, "a") for _ in range(60)] == [True] * 50 + [False] * 10
    table.now += SECOND
    assert [table.passes(rate, "a") for _ in range(12)] == [True] * 10 + [False] * 2
    table.now += 1000 * SECOND
    assert sum(table.passes(rate, "a") for _ in range(60)) == 50


@given(
    st.integers(1, 20),
    st.sampled_from([1, 60]),
    st.integers(1, 30),
    st.lists(st.integers(0, 3 * SECOND), max_size=200),
)
def test_never_more_than_allowed(count: int, seconds: int, burst: int, pauses: list[int]) -> None:
    """In any span of time no more than the burst and what the rate gives passes, and no less."""
    table, rate = Table(), Rate(count, seconds, burst)
    passed: list[int] = []
    for pause in pauses:
        table.now += pause
        if table.passes(rate, "a"):
            passed.append(table.now)
            for earlier, at in enumerate(passed):
                span = table.now - at
                assert len(passed) - earlier <= burst + span // rate.interval_ns
        else:
            assert len(passed) >= burst


def test_what_is_told() -> None:
    """An answer says what is left; a refusal when to come again, and then it passes."""
    table, rate = Table(), Rate(1, 60, 3)
    first = table.table.take("address", rate, "a")
    assert first.headers() == (
        ("ratelimit-policy", '"address";q=3;w=180'),
        ("ratelimit", '"address";r=2;t=60'),
    )
    table.table.take("address", rate, "a")
    assert table.table.take("address", rate, "a").left == 0
    table.now += 10 * SECOND
    with pytest.raises(TooOftenError) as caught:
        table.table.take("address", rate, "a")
    assert dict(caught.value.headers) == {
        "retry-after": "50",
        "ratelimit-policy": '"address";q=3;w=180',
        "ratelimit": '"address";r=0;t=170',
    }
    table.now += 49 * SECOND
    assert not table.passes(rate, "a")
    table.now += SECOND
    assert table.passes(rate, "a")


def test_clients_and_limits_are_apart() -> None:
    """One client's requests cost no other, and one limit's no other limit."""
    table, rate = Table(), Rate(1, 3600, 1)
    assert all(table.passes(rate, f"client {number}") for number in range(100))
    assert table.passes(rate, "client 1", "reads")
    assert not table.passes(rate, "client 1")


def test_bounded() -> None:
    """Any number of clients fit; those that are pushed out begin anew."""
    table, rate = Table(64), Rate(1, 3600, 1)
    assert all(table.passes(rate, f"client {number}") for number in range(10_000))
    assert len(table.table._words) == 64 * 2


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("", ""),
    ],
)
def test_client_of(address: str, expected: str) -> None:
    """An IPv6 client has a whole /64."""
    assert client_of(address) == expected


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "198.51.100.1, 192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "198.51.100.1, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
        ("10.0.0.1", "198.51.100.1,,10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3,10.0.0.2", "10.0.0.3"),
        ("::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("192.0.2.9", "198.51.100.1", "192.0.2.9"),
    ],
)
def test_proxies(peer: str, forwarded: str, expected: str) -> None:
    """Only proxies of ours are believed, and only about whom they heard from themselves."""
    limits = Limits(LimitSettings(proxies=(ip_network("10.0.0.0/8"),)))
    assert limits.address_of(peer, forwarded) == expected
    assert Limits().address_of(peer, forwarded) == peer


POSTS = ("/api/v1/log/entries", "/api/v2/log/entries", "/api/v2/signingCert", "/ct/v1/add-chain")


def world(**limits: Any) -> World:
    """Give a deployment with limits."""
    return World(settings=ServeSettings(limits=LimitSettings(**limits)))


def post(world: World, path: str, body: bytes = b"{}", forwarded: str = "") -> Response:
    """Send a request."""
    given = (("content-type", "application/json"), ("x-forwarded-for", forwarded))
    return world.transport.request("POST", world.url + path, body=body, headers=given)


@pytest.mark.parametrize(
    ("path", "check"),
    [
        ("/api/v1/log/entries", lambda body: json.loads(body)["code"] == 429),
        ("/api/v1/timestamp", lambda body: json.loads(body)["code"] == 429),
        ("/api/v2/log/entries", lambda body: json.loads(body)["code"] == 8),
        ("/api/v2/signingCert", lambda body: json.loads(body)["code"] == 8),
        ("/ct/v1/add-chain", lambda body: body.startswith(b"Too Many Requests\n")),
    ],
)
def test_each_api(path: str, check: Callable[[bytes], bool]) -> None:
    """Every API says 429 in its own form, with when to come again; then the request passes."""
    with world(address=Rate(1, 60, 2)) as limited:
        for _ in range(2):
            response = post(limited, path)
            assert response.status < 429
            assert response.header("ratelimit-policy") == '"address";q=2;w=120'
        response = post(limited, path)
        assert response.status == 429
        assert check(response.body)
        assert response.header("retry-after") == "60"
        limited.clock.advance(timedelta(seconds=60))
        assert post(limited, path).status < 429


def test_reads_and_health() -> None:
    """Reading has a limit of its own, and health has none."""
    with world(address=Rate(1, 60, 1), reads=Rate(1, 60, 1)) as limited:

        def get(path: str) -> Response:
            return limited.transport.request("GET", limited.url + path)

        assert get("/checkpoint").status == 200
        assert get("/checkpoint").status == 429
        assert post(limited, "/api/v2/log/entries").status == 400
        for _ in range(5):
            for path in ("/healthz", "/readyz", "/ping", "/metrics"):
                assert get(path).status == 200


def test_forwarded_clients() -> None:
    """Behind a proxy each client has its own share, and nobody gains by making addresses up."""
    with world(address=Rate(1, 60, 1), proxies=(ip_network("127.0.0.1"),)) as limited:
        path = POSTS[1]
        for client in ("192.0.2.1", "192.0.2.2"):
            for made_up in ("", "198.51.100.1, "):
                response = post(limited, path, forwarded=made_up + client)
                assert response.status == (429 if made_up else 400)


def test_off() -> None:
    """Without limits nothing is counted, and no header is sent."""
    with World() as free:
        for _ in range(5):
            response = post(free, POSTS[1])
            assert (response.status, response.header("ratelimit")) == (400, None)


def test_too_many_at_once() -> None:
    """Above the number of requests under way more are turned away in each API's form."""
    with world(max_active=1) as limited:
        limited.app._active = 1
        for path in (*POSTS, "/api/v1/timestamp"):
            response = post(limited, path)
            assert (response.status, response.header("retry-after")) == (503, "1")
        assert limited.transport.request("GET", limited.url + "/healthz").status == 200
        limited.app._active = 0
        assert post(limited, POSTS[1]).status == 400


def test_too_much_at_once() -> None:
    """What clients have sent of bodies that are under way is bounded, all of them together."""
    with world() as limited:
        large = b" " * 10_000
        for path in POSTS:
            limited.app._held = MAX_HELD_BYTES - len(large)
            assert post(limited, path, large).status not in {200, 201, 503}
            limited.app._held += 1
            response = post(limited, path, large)
            assert (response.status, response.header("retry-after")) == (503, "1")
            assert limited.app._held == MAX_HELD_BYTES - len(large) + 1


@pytest.mark.slow
def test_identity_of_tokens() -> None:
    """Certificates are counted for the identity, and only once its token is verified."""
    with world(identity=Rate(1, 60, 1)) as limited:
        for email in ("a@example.com", "b@example.com"):
            for status in (200, 429):
                response = post(limited, "/api/v2/signingCert", signing_request(limited, email))
                assert response.status == status
                assert status == 200 or json.loads(response.body)["code"] == 8

        forged = signing_request(limited, "c@example.com").replace(b".", b".A")
        for _ in range(3):
            assert post(limited, "/api/v2/signingCert", forged).status == 400
        honest = signing_request(limited, "c@example.com")
        assert post(limited, "/api/v2/signingCert", honest).status == 200


def signing_request(limited: World, email: str) -> bytes:
    """Ask for a certificate."""
    signer = generate("ecdsa-p256")
    proof = signer.sign(email.encode())
    return json.dumps(
        {
            "credentials": {"oidcIdentityToken": limited.token(email)},
            "publicKeyRequest": {
                "publicKey": {"algorithm": "ECDSA", "content": signer.public_key.pem()},
                "proofOfPossession": b64encode(proof).decode(),
            },
        }
    ).encode()


@pytest.mark.parametrize("path", ["/api/v2/log/entries", "/api/v1/log/entries"])
def test_identity_of_keys(path: str) -> None:
    """Entries are counted for the key that signed them, whichever API they come by."""
    with world(identity=Rate(1, 60, 2)) as limited:
        for _ in range(2):
            signer = generate("ecdsa-p256")
            statuses = [post(limited, path, entry(path, signer, str(n))).status for n in range(3)]
            assert statuses == [201, 201, 429]
        assert limited.deployment.tlog.checkpoint().size == 4


def entry(path: str, signer: Any, artifact: str) -> bytes:
    """Make a request for a hashedrekord entry of either API."""
    digest, signature = sha256(artifact.encode()), signer.sign(artifact.encode())
    if "v1" in path:
        pem = signer.public_key.pem().encode()
        spec = {
            "data": {"hash": {"algorithm": "sha256", "value": digest.hexdigest()}},
            "signature": {
                "content": b64encode(signature).decode(),
                "publicKey": {"content": b64encode(pem).decode()},
            },
        }
        return json.dumps({"kind": "hashedrekord", "apiVersion": "0.0.1", "spec": spec}).encode()
    verifier = {
        "publicKey": {"rawBytes": b64encode(signer.public_key.spki).decode()},
        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
    }
    request = {
        "digest": b64encode(digest.digest()).decode(),
        "signature": {"content": b64encode(signature).decode(), "verifier": verifier},
    }
    return json.dumps({"hashedRekordRequestV002": request}).encode()


@pytest.mark.slow
@pytest.mark.parametrize("tlog_version", [1, 2])
def test_identity_of_certificates(tlog_version: int) -> None:
    """Names count that our authority vouched for; a stranger's certificate counts for its key."""
    with World() as one, World() as other:
        bodies = {
            (home, email): [
                home.sign(f"{number}".encode(), email, tlog_version=tlog_version).entries[0].body
                for number in range(2)
            ]
            for home in (one, other)
            for email in ("a@example.com", "b@example.com")
        }
        issuing = one.trusted_root.certificate_authorities[0].chain[0]
        names = {
            key: {submitter_of(body, [issuing]) for body in made} for key, made in bodies.items()
        }
        assert names[one, "a@example.com"] == {"names a@example.com"}
        assert names[one, "b@example.com"] == {"names b@example.com"}
        for email in ("a@example.com", "b@example.com"):
            assert len(names[other, email]) == 2
            assert all(name.startswith("key ") for name in names[other, email])


def test_garbage_has_a_submitter() -> None:
    """Whatever a body holds, it is somebody's."""
    with World() as one:
        issuing = one.trusted_root.certificate_authorities[0].chain[0]
        for body in (
            b"",
            b'{"x509Certificate":{"rawBytes":"AAAA"}}',
            b'{"x509Certificate":{"rawBytes":"A"}}',
            b'"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tAAAA"',
        ):
            try:
                assert submitter_of(body, [issuing]).startswith("key ")
            except TouchplateError:
                pytest.fail("a limit must not refuse what the log takes")
