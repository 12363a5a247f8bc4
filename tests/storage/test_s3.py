from collections.abc import Callable, Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from tests.servers.fixtures import S3_ENVIRON
from tests.servers.proxy import UNAVAILABLE, Proxy
from tests.servers.s3 import BUCKET, REGION, S3Server, s3_uri
from touchplate.errors import RefusedError, SettingsError, UnavailableError
from touchplate.storage.s3 import S3Objects

pytestmark = pytest.mark.slow

SHORT = timedelta(seconds=3)
NO_BUCKET = (
    b"HTTP/1.1 404 Not Found\r\ncontent-length: 40\r\nconnection: close\r\n\r\n"
    b"<Error><Code>NoSuchBucket</Code></Error>"
)
SECRET = S3_ENVIRON["AWS_SECRET_ACCESS_KEY"]


@pytest.fixture
def endpoint(new_s3: Callable[[], str]) -> str:
    """Give where the server answers."""
    return new_s3().partition("endpoint=")[2].partition("&")[0]


@pytest.fixture
def proxy(endpoint: str) -> Iterator[Proxy]:
    """Give a proxy before the server."""
    port = urlsplit(endpoint).port
    assert port is not None
    with Proxy(port) as proxy:
        yield proxy


@pytest.fixture
def objects(proxy: Proxy) -> S3Objects:
    """Give an empty store behind the proxy, with little patience."""
    return S3Objects(s3_uri(proxy.endpoint), S3_ENVIRON, max_wait=SHORT)


def test_prefixes(new_s3: Callable[[], str]) -> None:
    """Stores below different prefixes have nothing in common."""
    one, other = S3Objects(new_s3(), S3_ENVIRON), S3Objects(new_s3(), S3_ENVIRON)
    one.put("a/b", b"one")

    assert other.get("a/b") is None
    other.put("a/b", b"two")
    assert one.get("a/b") == b"one"


def test_whole_bucket(endpoint: str) -> None:
    """A URI may name the bucket itself."""
    uri = f"s3://{BUCKET}?endpoint={endpoint}&region={REGION}"
    S3Objects(uri, S3_ENVIRON).replace("top", b"one")

    assert S3Objects(uri, S3_ENVIRON).get("top") == b"one"


def test_defaults(endpoint: str) -> None:
    """Endpoint and region may come with the credentials."""
    environ = {**S3_ENVIRON, "AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION}

    assert S3Objects(f"s3://{BUCKET}/defaults", environ).get("a") is None


def test_environment(new_s3: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What the process's own environment says counts for nothing: what is handed in does."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "another")

    assert S3Objects(new_s3(), S3_ENVIRON).get("a") is None


def test_no_bucket(endpoint: str) -> None:
    """A bucket that is not there is no empty one."""
    with pytest.raises(UnavailableError) as refused:
        S3Objects(f"s3://no-such-bucket/a?endpoint={endpoint}&region={REGION}", S3_ENVIRON)
    assert "NoSuchBucket" in str(refused.value)


def test_bucket_gone(objects: S3Objects, proxy: Proxy) -> None:
    """A bucket that goes away later takes its objects for nobody as never written."""
    objects.put("a", b"one")
    proxy.answer(b"GET ", NO_BUCKET)

    with pytest.raises(UnavailableError):
        objects.get("a")


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"])
def test_wrong_credentials(new_s3: Callable[[], str], name: str) -> None:
    """Credentials that are refused are not told to anyone."""
    with pytest.raises(UnavailableError) as refused:
        S3Objects(new_s3(), {**S3_ENVIRON, name: "hunter2"})
    assert refused.value.code == "STORAGE_UNAVAILABLE"
    for secret in ("hunter2", SECRET):
        assert secret not in f"{refused.value} {refused.value.__cause__!r}"


def test_certificate_file() -> None:
    """A file of certificates that cannot be read is the operator's to mend."""
    with pytest.raises(SettingsError) as refused:
        S3Objects("s3://bucket/a?endpoint=https://127.0.0.1:1&ca=/no/such/file", S3_ENVIRON)
    assert refused.value.code == "FILE_UNREADABLE"


def test_large(objects: S3Objects, new_s3: Callable[[], str]) -> None:
    """The largest entry bundle, 16 MiB, is one object, and created on a condition too."""
    objects = S3Objects(new_s3(), S3_ENVIRON)
    data = bytes(range(256)) * 65_537
    objects.put("large", data)
    objects.put("large", data)

    assert objects.get("large") == data
    with pytest.raises(RefusedError):
        objects.put("large", data[:-1])


def test_errors_of_the_server(objects: S3Objects, proxy: Proxy) -> None:
    """A store that answers 503 is tried again, then fails the call; later all is well."""
    objects.put("there", b"one")
    proxy.answer(b"", UNAVAILABLE)
    calls: tuple[Callable[[], object], ...] = (
        lambda: objects.put("a", b"one"),
        lambda: objects.put_all({"a": b"one", "b": b"two"}),
        lambda: objects.replace("a", b"one"),
        lambda: objects.get("there"),
    )
    for call in calls:
        before = proxy.hits
        with pytest.raises(UnavailableError) as failed:
            call()
        assert failed.value.code == "STORAGE_UNAVAILABLE"
        assert SECRET not in str(failed.value)
        assert proxy.hits - before > 1
    proxy.heal()

    assert objects.get("a") is None
    objects.put_all({"a": b"one", "b": b"two"})
    assert [objects.get(key) for key in ("a", "b", "there")] == [b"one", b"two", b"one"]


def test_silent_server(objects: S3Objects, proxy: Proxy) -> None:
    """A store that says nothing fails the call after a while."""
    proxy.silence()
    with pytest.raises(UnavailableError):
        objects.get("a")
    with pytest.raises(UnavailableError):
        objects.put("a", b"one")
    proxy.heal()

    objects.put("a", b"one")
    assert objects.get("a") == b"one"


def test_passing_fault(objects: S3Objects, proxy: Proxy) -> None:
    """One connection that is cut is not noticed."""
    objects.put("a", b"one")
    proxy.cut_all()

    assert objects.get("a") == b"one"


def test_answer_lost(objects: S3Objects, proxy: Proxy) -> None:
    """An object that was created without our hearing of it is found to be ours."""
    proxy.cut_answer_to(b"PUT ")
    try:
        objects.put("a", b"one")
    except UnavailableError:
        objects.put("a", b"one")

    assert proxy.hits == 1
    assert objects.get("a") == b"one"


def test_restarted_server(own_s3: S3Server) -> None:
    """While the server is away calls fail; when it is back they do not, and nothing is lost."""
    objects = S3Objects(own_s3.uri(), S3_ENVIRON)
    objects.put("a", b"one")
    own_s3.end()
    with pytest.raises(UnavailableError):
        objects.get("a")
    own_s3.begin()

    assert objects.get("a") == b"one"
    objects.put("b", b"two")
