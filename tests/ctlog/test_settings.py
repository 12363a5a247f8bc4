"""What the operator says about the certificate log, in the log and in a deployment."""

import json
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.ctlog.places import NOW, Place, new_authority
from touchplate.ctlog import AcceptedRoots, CtlogSettings
from touchplate.ctlog.routes import routes
from touchplate.errors import RefusedError, SettingsError
from touchplate.formats import ct
from touchplate.server.certificate_log import accepted_roots
from touchplate.server.settings import CtSettings, ServeSettings
from touchplate.testing import World

END = NOW.replace(microsecond=0) + timedelta(seconds=600)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("start", "limit", "is_taken"),
    [
        (None, None, True),
        (END, None, True),
        (END + SECOND, None, False),
        (None, END + SECOND, True),
        (None, END, False),
        (END, END + SECOND, True),
        (END - 2 * SECOND, END - SECOND, False),
    ],
)
def test_range(
    place: Place, start: datetime | None, limit: datetime | None, is_taken: bool
) -> None:
    """Leaves end at the start or after it, and before the limit."""
    settings = CtlogSettings(not_after_start=start, not_after_limit=limit)
    roots = AcceptedRoots([place.authority.chain[-1].der], settings)
    chain = place.precertificate().chain
    if is_taken:
        roots.check(chain, precertificate=True)
    else:
        with pytest.raises(RefusedError, match="chain failed to verify: certificate NotAfter"):
            roots.check(chain, precertificate=True)


def test_closed_to_others(place: Place) -> None:
    """A log for our own authority only has no submissions, and still logs what that issues."""
    place.log.settings = replace(place.log.settings, is_open=False)

    closed = routes(lambda _: place.log, settings=place.log.settings)
    assert not any(route.method == "POST" for route in closed)
    assert place.log.submit_own(place.precertificate().chain).result(10)


def test_own_in_a_deployment() -> None:
    """With submissions = "own" strangers find no add-chain, and certificates are issued."""
    with World(settings=ServeSettings(ct=CtSettings(submissions="own"))) as world:
        for name in ("add-chain", "add-pre-chain"):
            body = ct.encode_add_chain((b"x",))
            response = world.transport.request("POST", f"{world.url}/ct/v1/{name}", body=body)
            assert response.status == 404
            assert response.body.startswith(b"Not Found\n")
        world.sign(b"artifact")
        assert world.deployment.ct.checkpoint().size == 1
        world.check()


def test_more_roots(tmp_path: Path) -> None:
    """Roots of a file are accepted beside our own, each once."""
    other = new_authority().chain[-1]
    file = tmp_path / "roots.pem"
    file.write_text(other.pem() * 2)
    with World(settings=ServeSettings(ct=CtSettings(roots=file))) as world:
        answer = world.transport.request("GET", f"{world.url}/ct/v1/get-roots").body
    listed = [b64decode(each) for each in json.loads(answer)["certificates"]]

    assert len(listed) == 2
    assert listed[1] == other.der


@pytest.mark.parametrize("content", [None, "nothing", "-----BEGIN CERTIFICATE-----\nMAA=\n"])
def test_bad_roots(tmp_path: Path, content: str | None) -> None:
    """A file that is not there, or holds something else, stops the start."""
    file = tmp_path / "roots.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SettingsError):
        accepted_roots([], file)


def test_empty_range() -> None:
    """A range that nothing is in is refused."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(SettingsError):
        CtSettings(not_after_start=at, not_after_limit=at)
