"""Every code block of the documentation runs (tests/docs/pages.py tells how a page is read)."""

import shutil
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, RUN, SHOWN, Block, blocks_of, commands_of, missing_from, name_of
from tests.docs.session import Session
from tests.servers import hsm

RUNNING = [page for page in PAGES if any(block.language in RUN for block in blocks_of(page))]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_languages(page: Path) -> None:
    """A block is either run or of a language that cannot be."""
    strange = {block.line: block.language for block in blocks_of(page)}
    strange = {line: name for line, name in strange.items() if name not in SHOWN | RUN}

    assert strange == {}


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNING, ids=name_of)
def test_blocks_run(page: Path, tmp_path: Path) -> None:
    """What the page says happens, happens, in the order of the page."""
    if "$ curl " in page.read_text("utf-8") and shutil.which("curl") is None:
        pytest.skip("the page uses curl, which is not installed")
    if "$ softhsm2-util " in page.read_text("utf-8") and (reason := hsm.why_not()) is not None:
        pytest.skip(reason)
    with Session(tmp_path / "page") as session:
        for block in blocks_of(page):
            if block.language in RUN:
                session.run(block)


def test_commands() -> None:
    """A console block is read as commands, what they print and how they end."""
    block = Block("console", "$ a \\\n  b\none\n…\n[exit 3]\n$ serve &\nready\n$ c", 1)

    actual = [(c.text, c.expected, c.status, c.background) for c in commands_of(block)]

    assert actual == [
        ("a \\\n  b", ("one",), 3, False),
        ("serve", ("ready",), 0, True),
        ("c", (), 0, False),
    ]


@pytest.mark.parametrize(
    ("expected", "missing"),
    [(("one", "t…o"), None), (("two", "one"), "one"), (("wo",), "wo"), (("thr…",), "thr…")],
)
def test_expected_lines(expected: tuple[str, ...], missing: str | None) -> None:
    """Lines must be there whole and in order; an ellipsis stands for anything."""
    assert missing_from("one\nx\ntwo\n", expected) == missing


def test_session(tmp_path: Path) -> None:
    """Commands share variables and folder, python blocks share names, and what runs is ended."""
    with Session(tmp_path / "page") as session:
        session.run(Block("console", "$ export A=1; mkdir x; cd x\n$ echo $A $PWD\n1 …/page/x", 1))
        session.run(Block("console", "$ sh -c 'echo up; sleep 60' &\nup\n$ false\n[exit 1]", 1))
        session.run(Block("python", "value = 1", 1))
        session.run(Block("python", "assert value == 1", 1))
        with pytest.raises(AssertionError, match="not seen"):
            session.run(Block("console", "$ echo a\nb", 1))
        with pytest.raises(AssertionError, match="ZeroDivisionError"):
            session.run(Block("python", "1 / 0", 1))
