"""Keys of issuers elsewhere: when they are fetched, how long they are kept, who waits."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from tests.oidc.hostile import DISCOVERY, RemoteIssuer, Server
from tests.oidc.place import EMAIL, NOW, Fixed, Place, ignore, settle, wait_for
from touchplate.errors import MalformedError, RefusedError, UnavailableError
from touchplate.keys.signer import generate
from touchplate.oidc import Authenticator, Issuer
from touchplate.oidc.discovery import MAX_FETCHES, MAX_PATTERN_ISSUERS, Discovery, FetchTimes
from touchplate.transport.http import Response


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_retries_are_rare(place: Place) -> None:
    """An issuer that fails is asked again after one second, two, four … thirty at most."""
    place.server.json(DISCOVERY, {}, 500)
    token = place.mint()
    for _ in range(120):
        with pytest.raises(UnavailableError):
            place.authenticate(token)
        place.now += 1
    assert place.server.count(DISCOVERY) <= 9


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
