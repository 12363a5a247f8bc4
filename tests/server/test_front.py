"""The root of the service, as programs and people see it."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from touchplate.testing import World
from touchplate.transport.http import Response

CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Give a service."""
    with World() as made:
        yield made


def ask(world: World, accept: str | None) -> Response:
    """Ask for the root."""
    headers = () if accept is None else (("Accept", accept),)
    response = world.transport.request("GET", world.url + "/", headers=headers)
    assert response.status == 200
    assert response.header("vary") == "Accept"
    return response


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "text/plain"),
        ("*/*", "text/plain"),
        ("", "text/plain"),
        (CHROMIUM, "text/html"),
        ("application/json", "application/json"),
        ("Application/JSON; charset=utf-8", "application/json"),
        ("application/json, text/html;q=0.9", "application/json"),
        ("application/json;q=0.1, text/html;q=0.2", "text/html"),
        ("text/html;q=0", "text/plain"),
        ("text/html;q=2;q=x,,;;", "text/html"),
        ("image/png", "text/plain"),
        ("image/png," * 1000 + "text/html", "text/plain"),
    ],
)
def test_form(world: World, accept: str | None, media_type: str) -> None:
    """Each client gets the form that it asks for; one that asks for nothing known gets text."""
    found = ask(world, accept).header("content-type") or ""

    assert found.partition(";")[0] == media_type


@pytest.mark.parametrize("accept", ["text/plain", "text/html", "application/json"])
def test_how_to_trust(world: World, accept: str) -> None:
    """Every form has the command; none has the fingerprint, which must come by another way."""
    text = ask(world, accept).body.decode()

    assert f"touchplate trust add {world.url} --fingerprint SHA256" in text
    assert not re.search(r"[0-9a-f]{64}", text)


def test_places(world: World) -> None:
    """What it points at is there, and the same in every form."""
    members = json.loads(ask(world, "application/json").body)
    urls = list(members["places"].values())

    for url in urls:
        assert world.transport.request("GET", url).status == 200, url
    text = ask(world, None).body.decode()
    page = Page(ask(world, "text/html").body.decode())
    paths = [url.removeprefix(world.url) for url in urls]
    assert re.findall(r"^(/\S+)  ", text, flags=re.MULTILINE) == paths
    assert page.links == paths


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.style = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        """Note the style."""
        if self.tags and self.tags[-1] == "style" and not self.style:
            self.style = data


def test_page_is_inert(world: World) -> None:
    """The page has no script and nothing from elsewhere, and its policy allows its style only."""
    response = ask(world, CHROMIUM)
    page = Page(response.body.decode())

    assert not {"script", "form", "iframe", "img", "link", "object", "base"} & set(page.tags)
    assert page.attributes <= {"lang", "charset", "name", "content", "href"}
    policy = dict(
        each.strip().split(" ", 1)
        for each in (response.header("content-security-policy") or "").split(";")
    )
    hashed = b64encode(sha256(page.style.encode()).digest()).decode()
    assert policy == {
        "default-src": "'none'",
        "style-src": f"'sha256-{hashed}'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert response.header("x-content-type-options") == "nosniff"
