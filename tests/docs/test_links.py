"""Links between pages lead somewhere, and every page is found from the README."""

from pathlib import Path

import pytest

from tests.docs.pages import PAGES, REPOSITORY, anchors_of, links_of, name_of


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_resolve(page: Path) -> None:
    """A link inside the repository names a file that is there, and a heading of it."""
    broken = []
    for link in links_of(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        known = target.is_file() or (target.is_dir() and not anchor)
        if not known or (anchor and anchor not in anchors_of(target)):
            broken.append(link)

    assert broken == []


def test_pages_are_reached() -> None:
    """From the README one can walk to every page."""
    seen: set[Path] = set()
    waiting = [REPOSITORY / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in seen and page.suffix == ".md" and page.is_file():
            seen.add(page)
            waiting += [(page.parent / link.partition("#")[0]).resolve() for link in links_of(page)]

    assert [name_of(page) for page in PAGES if page not in seen] == []
