"""Read the documentation: its pages, their links, headings, tables and code blocks.

The convention for code blocks, held by test_blocks.py:

- `text` and `json` blocks are shown, not run. Every other block must be `console` or `python`.
- `console`: a line `$ command` is run by bash; one that ends in a backslash goes on in the next.
  The lines below it must occur in what the command prints, in that order; `…` stands for anything.
  A last line `[exit 1]` says that the command ends with that status, else it is 0.
  A command that ends in ` &` is left running, and the page goes on when its lines have appeared.
- `python`: run in the page's own interpreter; names stay for the next block of the page.
- `<!-- setup` … `-->` holds console lines that are run at that place and not shown.

A page is one session: an empty folder, a home of its own, the environment's programs. In all of its
text the port 7878 stands for a free one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
DOCS: Final = REPOSITORY / "docs"
PAGES: Final = (REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md")))

SHOWN: Final = frozenset({"text", "json"})
RUN: Final = frozenset({"console", "python"})


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block, or a hidden set-up block, and the line it starts at."""

    language: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Command:
    """One console command: what must be seen, how it ends, whether it is left running."""

    text: str
    expected: tuple[str, ...]
    status: int
    background: bool


def name_of(page: Path) -> str:
    """Give the page's path inside the repository, for messages and test names."""
    return page.relative_to(REPOSITORY).as_posix()


def blocks_of(page: Path) -> Iterator[Block]:
    """Give the page's blocks in order; hidden set-up blocks come as `console`."""
    language: str | None = None
    start = 0
    lines: list[str] = []
    for number, line in enumerate(page.read_text("utf-8").splitlines(), start=1):
        if language is None:
            if line.startswith("```"):
                language, start, lines = line.removeprefix("```").strip(), number, []
            elif line == "<!-- setup":
                language, start, lines = "console", number, []
        elif line in ("```", "-->"):
            yield Block(language, "\n".join(lines), start)
            language = None
        else:
            lines.append(line)
    assert language is None, f"{name_of(page)}:{start}: this block does not end"


def commands_of(block: Block) -> Iterator[Command]:
    """Give the commands of a console block."""
    text: str | None = None
    expected: list[str] = []
    goes_on = False
    for line in [*block.text.splitlines(), "$ "]:
        if goes_on and text is not None:
            text += "\n" + line
            goes_on = line.endswith("\\")
        elif line.startswith("$ "):
            if text is not None:
                yield _command(text, expected)
            text, expected = line.removeprefix("$ "), []
            goes_on = line.endswith("\\")
        else:
            assert text is not None, f"line {block.line}: output without a command: {line}"
            expected.append(line)


def _command(text: str, lines: list[str]) -> Command:
    status = 0
    if lines and (ending := re.fullmatch(r"\[exit (\d+)\]", lines[-1])):
        status = int(ending[1])
        lines = lines[:-1]
    background = text.endswith(" &")
    seen = tuple(line for line in lines if line.strip() not in ("", "…"))
    return Command(text.removesuffix(" &"), seen, status, background)


def missing_from(output: str, expected: tuple[str, ...]) -> str | None:
    """Give the first expected line that does not occur, in order, in the output; None if all do."""
    lines = iter(output.splitlines())
    for wanted in expected:
        pattern = re.compile(".*".join(map(re.escape, wanted.rstrip().split("…"))))
        if not any(pattern.fullmatch(line.rstrip()) for line in lines):
            return wanted
    return None


def links_of(page: Path) -> Iterator[str]:
    """Give the targets of the page's links that point into this repository."""
    inside = False
    for line in page.read_text("utf-8").splitlines():
        if line.startswith("```"):
            inside = not inside
        if not inside:
            prose = re.sub(r"`[^`]*`", "", line)
            for target in re.findall(r"\]\(([^)\s]+)\)", prose):
                if "://" not in target and not target.startswith("mailto:"):
                    yield target


def anchors_of(page: Path) -> frozenset[str]:
    """Give the anchors of the page's headings, as forges make them."""
    headings = re.findall(r"^#+ +(.+?) *$", page.read_text("utf-8"), flags=re.MULTILINE)
    return frozenset(
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings
    )


def rows_of(page: Path) -> Iterator[tuple[str, ...]]:
    """Give the cells of each table row whose first cell starts as code."""
    for line in page.read_text("utf-8").splitlines():
        if line.startswith("| `"):
            cells = re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))
            yield tuple(cell.strip() for cell in cells)
