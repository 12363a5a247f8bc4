"""Storage URIs as they are shown."""

import pytest

from touchplate.server.uris import is_secret, shown


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("memory:", "memory:"),
        ("file:///srv/a%20b", "file:///srv/a%20b"),
        ("postgresql://me:hunter2@db:5432/x", "postgresql://me:…@db:5432/x"),
        ("postgresql://me@db/x?host=/run/pg", "postgresql://me@db/x?host=/run/pg"),
        ("postgresql://db/x?user=me&password=hunter2", "postgresql://db/x?user=me&password=…"),
        ("s3://b/p?region=eu&secret_access_key=hunter2", "s3://b/p?region=eu&secret_access_key=…"),
        ("postgresql://me:hun@ter2@db/x", "postgresql://me:…@db/x"),
        ("s3://[hunter2", "s3:…"),
    ],
)
def test_shown(uri: str, expected: str) -> None:
    """All is shown but what is secret."""
    assert shown(uri) == expected
    assert is_secret(uri) == ("…" in expected)


def test_nothing() -> None:
    """No URI holds no secret."""
    assert not is_secret(None)
