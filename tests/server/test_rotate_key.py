"""Keys of the authorities and the certificate log, exchanged: before, during and after."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from touchplate.ca import SigningRequest
from touchplate.errors import TouchplateError, UnavailableError, VerificationError
from touchplate.formats import ct
from touchplate.formats.bundle import Bundle
from touchplate.formats.certificate import parse_certificate
from touchplate.formats.certificate_builder import find_broken_link
from touchplate.formats.trusted_root import (
    CertificateAuthority,
    TransparencyLog,
    TrustedRoot,
    encode_trusted_root,
    parse_trusted_root,
)
from touchplate.keys.signer import generate
from touchplate.server.app import App
from touchplate.server.build import Deployment
from touchplate.server.settings import CaSettings, ServeSettings
from touchplate.server.succession import ROLES
from touchplate.sign import Signer, connect
from touchplate.testing import InProcessTransport, World
from touchplate.testing.world import EMAIL
from touchplate.verify import Artifact, identity, verify

HOUR = timedelta(hours=1)
MEMBERS = {"ca": "certificate_authorities", "tsa": "timestamp_authorities", "ct": "ctlogs"}
# What is said of a bundle for which the role's one member is missing or was not valid.
CODES = {
    "ca": {"CA_NOT_VALID_AT_TIME", "CERT_CHAIN"},
    "tsa": {"TIMESTAMP_INVALID"},
    "ct": {"SCT_INVALID"},
}


@pytest.fixture
def world() -> Iterator[World]:
    """Give a deployment; its logs are proven at the end."""
    with World() as made:
        yield made
        made.check()


Member = CertificateAuthority | TransparencyLog


def members(root: TrustedRoot, role: str) -> tuple[Member, ...]:
    """Give what a trusted root names for a role."""
    found: tuple[Member, ...] = getattr(root, MEMBERS[role])
    return found


def only(root: TrustedRoot, role: str, *kept: Member) -> TrustedRoot:
    """Give a trusted root that names these for a role, and no others."""
    changed: dict[str, Any] = {MEMBERS[role]: kept}
    return root._replace(**changed)


def check(world: World, bundle: Bundle, artifact: bytes, root: TrustedRoot | None = None) -> None:
    """Verify a bundle."""
    policy = identity(EMAIL, world.issuer)
    verify(bundle, Artifact.from_bytes(artifact), policy, root or world.trusted_root)


def refused(world: World, bundle: Bundle, artifact: bytes, root: TrustedRoot) -> str:
    """Give the code with which a bundle is refused."""
    with pytest.raises(VerificationError) as caught:
        check(world, bundle, artifact, root)
    return caught.value.code


def made_by(world: World, bundle: Bundle, artifact: bytes, role: str) -> int:
    """Give the place of the one member of a role with which a bundle verifies."""
    root = world.trusted_root
    found = []
    for place, member in enumerate(members(root, role)):
        try:
            check(world, bundle, artifact, only(root, role, member))
            found.append(place)
        except VerificationError as error:
            assert error.code in CODES[role]  # noqa: PT017  either is an outcome
    (place,) = found
    return place


@contextmanager
def beside(world: World) -> Iterator[tuple[Deployment, InProcessTransport]]:
    """Open the deployment once more, as another worker or host does, and answer with it."""
    with closing(world._build()) as other:
        transport = InProcessTransport({world.url: App(other.routes, world._executor)})
        with closing(transport):
            yield other, transport


def sign_by(world: World, transport: InProcessTransport, artifact: bytes) -> Bundle:
    """Sign through another worker, with the trust of now."""
    services = connect(world.signing_config, world.trusted_root, transport, world.clock())
    signer = Signer(services, world.token(), world.clock)
    return signer.sign(Artifact.from_bytes(artifact)).bundle


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_before_during_and_after(world: World, role: str) -> None:
    """The old key signs until its time, the new one from then on; all bundles verify for ever."""
    stale = world.trusted_root
    before = world.sign(b"before")
    world.clock.advance(HOUR)
    world.rotate_key(role, timedelta(days=7))
    during_root = world.trusted_root
    old, new = members(during_root, role)
    assert new.valid_from <= world.clock()
    assert new.valid_until is None
    assert old.valid_until is not None
    assert old.valid_until > world.clock() + timedelta(days=7)

    world.clock.advance(timedelta(days=3))
    during = world.sign(b"during")
    world.clock.advance(timedelta(days=4))
    after = world.sign(b"after")

    # Nothing was published at the change itself: clients knew it all before.
    assert encode_trusted_root(world.trusted_root) == encode_trusted_root(during_root)
    for bundle, artifact, place in ((before, b"before", 0), (during, b"during", 0)):
        check(world, bundle, artifact)
        check(world, bundle, artifact, stale)
        assert made_by(world, bundle, artifact, role) == place
    check(world, after, b"after")
    assert made_by(world, after, b"after", role) == 1
    assert refused(world, after, b"after", stale) in CODES[role]


@pytest.mark.parametrize("role", ROLES)
def test_at_once(world: World, role: str) -> None:
    """Without overlap the new key signs the very next thing, and clients that ask know it."""
    before = world.sign(b"before")
    world.rotate_key(role)
    after = world.sign(b"after")
    assert [made_by(world, before, b"before", role), made_by(world, after, b"after", role)] == [
        0,
        1,
    ]


@pytest.mark.parametrize("role", ROLES)
def test_outside_of_the_window_is_refused(world: World, role: str) -> None:
    """What is dated outside of its key's window is not believed, although the key signed it."""
    before = world.sign(b"before")
    world.clock.advance(2 * HOUR)
    world.rotate_key(role)
    after = world.sign(b"after")
    root = world.trusted_root
    old, new = members(root, role)
    ended = old._replace(valid_until=world.clock() - HOUR - HOUR - HOUR)
    late = new._replace(valid_from=world.clock() + HOUR)
    assert refused(world, before, b"before", only(root, role, ended, new)) in CODES[role]
    assert refused(world, after, b"after", only(root, role, old, late)) in CODES[role]
    check(world, before, b"before", only(root, role, old, late))
    check(world, after, b"after", only(root, role, ended, new))


@pytest.mark.parametrize("role", ["ca", "tsa"])
def test_a_process_that_does_not_follow(world: World, role: str) -> None:
    """A process that never heard of a rotation signs with the old key: believed for minutes only.

    Those are what it takes every process to follow; later nobody believes the old key.
    """
    with beside(world) as (_, transport):
        world.rotate_key(role)
        world.clock.advance(timedelta(seconds=10))
        assert made_by(world, sign_by(world, transport, b"1"), b"1", role) == 0
        world.clock.advance(timedelta(minutes=16))
        with pytest.raises(TouchplateError) as caught:
            sign_by(world, transport, b"2")
        assert caught.value.code in CODES[role] | {"TIMESTAMP_INVALID"}


def test_a_frozen_certificate_log_is_left(world: World) -> None:
    """A process that has not heard of the rotation finds its log frozen and goes to the next one.

    No request is refused for it, and what it logs is in the new log.
    """
    with beside(world) as (other, transport):
        assert made_by(world, sign_by(world, transport, b"1"), b"1", "ct") == 0
        world.rotate_key("ct")
        assert other.authorities.lines["ct"].newest.number == 1
        assert made_by(world, sign_by(world, transport, b"2"), b"2", "ct") == 1
        assert other.authorities.lines["ct"].newest.number == 2
        assert other.ct.checkpoint().size == 1


@pytest.mark.parametrize("sct", ["embedded", "detached"])
def test_frozen_log_without_the_loop(sct: str) -> None:
    """Whoever submits from a thread goes to the next log as well."""
    settings = ServeSettings(ca=CaSettings(sct=sct))  # type: ignore[arg-type]
    with World(settings=settings) as world, beside(world) as (other, _):
        world.rotate_key("ct")
        key = generate("ecdsa-p256")
        request = SigningRequest(
            world.token(), b"", key.public_key.pem().encode(), key.sign(EMAIL.encode())
        )
        for size in (1, 2):
            issued = other.certifying.issuance.issue(request)
            assert (issued.sct is None) == (sct == "embedded")
            assert other.ct.checkpoint().size == size
        assert other.authorities.lines["ct"].newest.number == 2
        old = other.authorities.find_ct(1)
        assert old is not None
        assert old.log.checkpoint().size == 0


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_other_processes_follow(world: World, role: str) -> None:
    """Other processes take a rotation up when they look, and change at the decided moment."""
    with beside(world) as (other, transport):
        world.rotate_key(role, HOUR)
        assert other.follow()
        assert not other.follow()
        assert made_by(world, sign_by(world, transport, b"1"), b"1", role) == 0
        world.clock.advance(HOUR)
        assert made_by(world, sign_by(world, transport, b"2"), b"2", role) == 1
        assert encode_trusted_root(other.trusted_root) == encode_trusted_root(world.trusted_root)


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_restart(world: World, role: str) -> None:
    """A start at any time of a rotation goes on where it is."""
    before = world.sign(b"before")
    world.rotate_key(role, HOUR)
    world.restart()
    during = world.sign(b"during")
    world.clock.advance(HOUR)
    world.restart()
    after = world.sign(b"after")
    world.restart()
    places = [
        made_by(world, bundle, artifact, role)
        for bundle, artifact in ((before, b"before"), (during, b"during"), (after, b"after"))
    ]
    assert places == [0, 0, 1]
    root = world.deployment.publication.published().trusted_root
    assert len(members(root, role)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_again_and_again(world: World, role: str) -> None:
    """Any number of rotations; one that another takes the place of in time is never named."""
    bundles = [world.sign(b"0")]
    for number in (1, 2):
        world.clock.advance(HOUR)
        world.rotate_key(role)
        bundles.append(world.sign(f"{number}".encode()))
    world.rotate_key(role, timedelta(days=7))
    assert len(members(world.trusted_root, role)) == 4
    world.clock.advance(HOUR)
    world.rotate_key(role)
    bundles.append(world.sign(b"3"))
    world.clock.advance(timedelta(days=30))
    assert len(members(world.trusted_root, role)) == 4
    for place, bundle in enumerate(bundles):
        assert made_by(world, bundle, f"{place}".encode(), role) == place


def test_all_roles_at_once(world: World) -> None:
    """Rotations of all roles overlap, and old bundles verify after all of them."""
    bundles = [world.sign(b"0")]
    for number, role in enumerate(ROLES, 1):
        world.rotate_key(role, timedelta(minutes=30))
        world.clock.advance(timedelta(minutes=10))
        bundles.append(world.sign(f"{number}".encode()))
    world.rotate()
    world.clock.advance(HOUR)
    bundles.append(world.sign(b"4"))
    world.restart()
    for number, bundle in enumerate(bundles):
        check(world, bundle, f"{number}".encode())
    for role in ROLES:
        assert made_by(world, bundles[-1], b"4", role) == 1


@pytest.mark.parametrize("role", ["ca", "tsa"])
def test_chains(world: World, role: str) -> None:
    """The next certificate is under the same root and another name; or under a new root."""
    world.rotate_key(role)
    old, new = members(world.trusted_root, role)
    assert isinstance(old, CertificateAuthority)
    assert isinstance(new, CertificateAuthority)
    assert new.chain[-1] == old.chain[-1]
    assert new.chain[0].subject_der != old.chain[0].subject_der
    assert new.chain[0].not_after <= new.chain[-1].not_after
    world.rotate_key(role, new_root=True)
    newest = members(world.trusted_root, role)[-1]
    assert isinstance(newest, CertificateAuthority)
    assert newest.chain[-1] != old.chain[-1]
    assert newest.chain[-1].subject_der != old.chain[-1].subject_der
    bundle = world.sign(b"1")
    assert made_by(world, bundle, b"1", role) == 2
    # The next one is under the new root.
    world.rotate_key(role)
    last = members(world.trusted_root, role)[-1]
    assert isinstance(last, CertificateAuthority)
    assert last.chain[-1] == newest.chain[-1]
    check(world, world.sign(b"2"), b"2")


@pytest.mark.parametrize("role", ["ca", "tsa"])
def test_a_root_near_its_end(world: World, role: str) -> None:
    """Nothing is issued that outlives its root, and a root that ends soon is refused."""
    world.clock.advance(timedelta(days=3000))
    world.rotate_key(role)
    newest = members(world.trusted_root, role)[-1]
    assert isinstance(newest, CertificateAuthority)
    assert newest.chain[0].not_after <= newest.chain[-1].not_after
    world.clock.advance(timedelta(days=640))
    with pytest.raises(TouchplateError, match="a new root is needed"):
        world.rotate_key(role)
    world.rotate_key(role, new_root=True)


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_clients_are_told_first(world: World, role: str) -> None:
    """A process that cannot tell clients of the new key does not use it.

    Nor does it use the old one beyond its time: until clients are told it refuses.
    """
    with beside(world) as (other, transport):
        told = other.authorities.publish
        for publish in (lambda: False, _fail):
            other.authorities.publish = publish
            world.rotate_key(role, HOUR)
            with suppress(UnavailableError):
                other.follow()
            number = len(other.authorities.lines[role].tenures) - 1
            assert made_by(world, sign_by(world, transport, b"1"), b"1", role) == number - 1
            world.clock.advance(HOUR)
            with suppress(UnavailableError):
                other.follow()
            with pytest.raises(UnavailableError):
                other.health.checks[role]()
            with pytest.raises(TouchplateError):
                sign_by(world, transport, b"2")
            check(world, world.sign(b"3"), b"3")
            other.authorities.publish = told
            other.follow()
            assert made_by(world, sign_by(world, transport, b"4"), b"4", role) == number


def _fail() -> bool:
    raise UnavailableError("STORAGE_UNAVAILABLE", "the store is away")


def test_a_certificate_that_is_on_its_way(world: World) -> None:
    """Both signatures of a certificate are of one key, also if another one signs meanwhile."""
    key = generate("ecdsa-p256")
    request = SigningRequest(
        world.token(), b"", key.public_key.pem().encode(), key.sign(EMAIL.encode())
    )
    issuance = world.deployment.certifying.issuance
    draft = issuance.draft(request)
    world.rotate_key("ca")
    issued = draft.finish(issuance.submit(draft.chain).result(60))
    first, second = world.deployment.authorities.lines["ca"].tenures
    old = world.deployment.authorities.chain(first)
    assert issued.chain == tuple(each.der for each in old)
    leaf = parse_certificate(issued.leaf)
    assert find_broken_link((leaf, *old)) is None
    assert issuance.issue(request).chain[0] == second.certificates[0].der


def test_trust_bundle(world: World) -> None:
    """The chain that issues comes first; the one to come and those before follow."""

    def bundle() -> list[str]:
        response = world.transport.request("GET", f"{world.url}/api/v2/trustBundle")
        return [chain["certificates"][0] for chain in json.loads(response.body)["chains"]]

    (first,) = bundle()
    world.rotate_key("ca", HOUR, new_root=True)
    both = bundle()
    assert both[0] == first
    world.clock.advance(HOUR)
    assert bundle() == [both[1], first]
    roots = world.transport.request("GET", f"{world.url}/api/v1/rootCert").body
    assert roots.count(b"BEGIN CERTIFICATE") == 4
    # One that another took the place of before its time is not published.
    world.rotate_key("ca", HOUR)
    assert len(bundle()) == 3
    world.rotate_key("ca", timedelta(minutes=1))
    assert len(bundle()) == 3
    # Old chains stay in the roots that the certificate log takes.
    listed = json.loads(world.transport.request("GET", f"{world.url}/ct/v1/get-roots").body)
    assert len(listed["certificates"]) == 2


def test_certificate_chain_of_the_tsa(world: World) -> None:
    """The certificate chain that is served is of the key that signs."""

    def served() -> bytes:
        return world.transport.request("GET", f"{world.url}/api/v1/timestamp/certchain").body

    first = served()
    world.rotate_key("tsa", HOUR)
    assert served() == first
    world.clock.advance(HOUR)
    assert served() != first


@pytest.mark.slow
def test_old_certificate_log(world: World) -> None:
    """The frozen log is read at its old URLs, and takes nothing; the new one has its own."""
    world.sign(b"1")
    world.rotate_key("ct", HOUR)
    ask = world.transport.request
    empty = json.loads(ask("GET", f"{world.url}/ct-logs/2/ct/v1/get-sth").body)
    assert empty["tree_size"] == 0
    world.sign(b"2")
    world.clock.advance(HOUR)
    world.sign(b"3")
    world.deployment.follow()
    sizes = [
        json.loads(ask("GET", f"{world.url}{path}/v1/get-sth").body)["tree_size"]
        for path in ("/ct", "/ct-logs/2/ct")
    ]
    assert sizes == [2, 1]
    old = world.deployment.authorities.find_ct(1)
    assert old is not None
    assert old.log.is_frozen
    entries = json.loads(ask("GET", f"{world.url}/ct/v1/get-entries?start=0&end=1").body)
    assert len(entries["entries"]) == 2
    key = generate("ecdsa-p256")
    request = SigningRequest(
        world.token(), b"", key.public_key.pem().encode(), key.sign(EMAIL.encode())
    )
    body = ct.encode_add_chain(world.deployment.certifying.issuance.draft(request).chain)
    for path, status in (("/ct", 410), ("/ct-logs/2/ct", 200)):
        response = ask("POST", f"{world.url}{path}/v1/add-pre-chain", body=body)
        assert response.status == status
    for path in ("1", "3", "x", "02", "0", "2x"):
        assert ask("GET", f"{world.url}/ct-logs/{path}/ct/v1/get-sth").status == 404
    checkpoint = ask("GET", f"{world.url}/ct-logs/2/ct/checkpoint").body.decode()
    assert checkpoint.splitlines()[0] == "touchplate.test/ct-logs/2/ct"
    # Restarted, the frozen log is still there.
    world.restart()
    ask = world.transport.request
    assert json.loads(ask("GET", f"{world.url}/ct/v1/get-sth").body)["tree_size"] == 2
    assert json.loads(ask("GET", f"{world.url}/ct-logs/2/ct/v1/get-sth").body)["tree_size"] == 2


def test_health(world: World) -> None:
    """Metrics tell of each log and of the certificates that sign."""
    first = metrics(world)
    world.clock.advance(HOUR)
    world.rotate_key("ct")
    world.rotate_key("tsa", HOUR)
    second = metrics(world)
    assert 'touchplate_log_size{log="ct-2"}' in second
    name = 'touchplate_expires_at_seconds{name="tsa"}'
    assert second[name] == first[name]
    world.clock.advance(HOUR)
    assert metrics(world)[name] != first[name]


def metrics(world: World) -> dict[str, str]:
    """Give what /metrics says."""
    text = world.transport.request("GET", f"{world.url}/metrics").body.decode()
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")


def test_published_for_clients(world: World) -> None:
    """The trust repository has the new key before anything is signed with it."""
    world.rotate_key("tsa", HOUR)
    root = world.deployment.publication.published().trusted_root
    assert len(root.timestamp_authorities) == 2
    again = parse_trusted_root(encode_trusted_root(world.trusted_root))
    assert root.timestamp_authorities == again.timestamp_authorities
    assert world.deployment.publication.names_all()
    assert all(
        each.microsecond == 0 for each in _times(root) if each != datetime.max.replace(tzinfo=UTC)
    )


def _times(root: TrustedRoot) -> Iterator[datetime]:
    for role in ROLES:
        for member in members(root, role):
            yield member.valid_from
            yield member.valid_until or datetime.max.replace(tzinfo=UTC)
