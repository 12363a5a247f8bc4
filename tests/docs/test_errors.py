"""docs/reference/errors.md explains each error code, and no other."""

from tests.docs.pages import DOCS, rows_of
from touchplate.errors import CODES


def test_every_code() -> None:
    """Each code has one row with the meaning that the code has, and what to do about it."""
    rows = [row for row in rows_of(DOCS / "reference" / "errors.md") if len(row) == 3]

    assert {code.strip("`"): meaning for code, meaning, _ in rows} == CODES
    assert len(rows) == len(CODES)
    assert [code for code, _, advice in rows if not advice] == []
