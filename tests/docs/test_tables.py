"""Pages that list a table of the code list all of it, and nothing else."""

import re

from tests.docs.pages import DOCS, rows_of
from touchplate.entries.kinds import KINDS
from touchplate.entries.proposed import KNOWN_KINDS
from touchplate.formats.authentication import FACTORS
from touchplate.formats.extensions import EXTENSIONS
from touchplate.keys.algorithms import ALGORITHMS

REFERENCE = DOCS / "reference"

# Environment variables and algorithms: their names are written like codes.
OTHER_NAMES = (
    "AWS_",
    "TOUCHPLATE_",
    "SIGSTORE_",
    "NO_COLOR",
    "SSL_",
    "XDG_",
    "PKIX_",
    "PKCS",
    "ML_",
    "SHA",
)


def test_extensions() -> None:
    """Each certificate extension has its row, with its number and meaning."""
    rows = rows_of(REFERENCE / "formats" / "certificate-extensions.md")

    assert [(row[0], row[1], row[3]) for row in rows] == [
        (f"`{each.name}`", str(each.number), each.meaning) for each in EXTENSIONS
    ]


def test_factors() -> None:
    """Each method that counts for a factor has its row, with its class."""
    rows = rows_of(REFERENCE / "formats" / "second-factor.md")

    assert [tuple(row) for row in rows] == [
        ("`amr`", "class"),
        *((f"`{name}`", kind) for name, kind in FACTORS.items()),
    ]


def test_algorithms() -> None:
    """Each algorithm has its row, with its number, key, and whether it is deprecated."""
    rows = rows_of(REFERENCE / "formats" / "algorithms.md")

    assert [(row[0], row[1], row[2], row[5]) for row in rows] == [
        (f"`{each.name}`", str(each.number), each.key_kind, "deprecated" * each.deprecated)
        for each in ALGORITHMS
    ]


def test_entries() -> None:
    """Each kind of log entry has its row."""
    rows = rows_of(REFERENCE / "entries" / "README.md")

    assert {(row[0].strip("`"), row[1]) for row in rows} == set(KINDS)


def test_entry_pages() -> None:
    """Each kind that a log has taken at some time has its page."""
    pages = {path.stem for path in (REFERENCE / "entries").glob("*.md")}

    assert pages - {"README"} == KNOWN_KINDS


def test_codes_are_known() -> None:
    """An error code that a page mentions exists."""
    known = (REFERENCE / "errors.md").read_text("utf-8")
    named = {
        code
        for page in DOCS.rglob("*.md")
        for code in re.findall(r"`([A-Z]{2,}(?:_[A-Z]+)+)`", page.read_text("utf-8"))
        if not code.startswith(OTHER_NAMES)
    }

    assert {code for code in named if f"| `{code}` |" not in known} == set()
