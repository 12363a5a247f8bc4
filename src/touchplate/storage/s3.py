"""The object store in a bucket of S3, or of what speaks like it, through obstore.

    s3://bucket/prefix?endpoint=https://s3.example.org&region=eu-central-1&ca=/etc/ca.pem

An object is created by a conditional write (`If-None-Match: *`), so that of several hosts one wins;
a store that ignores the condition must not be used. Credentials are no part of the URI: they come
under the names of the AWS tools, and none of them leaves this module in a message.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from touchplate.errors import SettingsError, UnavailableError
from touchplate.storage.objects import check_key, differs

if TYPE_CHECKING:
    from obstore.store import BackoffConfig, ClientConfig, RetryConfig, S3Config, S3Credential

_MAX_AT_ONCE: Final = 16  # requests that `put_all` has under way
_MAX_TEXT: Final = 300  # characters of the store's own words in a message

_CONNECT: Final = timedelta(seconds=3)
_BACKOFF: "Final[BackoffConfig]" = {
    "init_backoff": timedelta(milliseconds=100),
    "max_backoff": timedelta(seconds=1),
    "base": 2,
}

_SECRETS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
# Of a role: obstore fetches credentials with these when there is no key.
_ROLE: Final = (
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
)
_OPTIONS: Final = ("endpoint", "region", "ca")


class S3Objects:
    """The object store below the URI's prefix. The bucket must be there.

    `environ` holds credentials and defaults: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
    AWS_SESSION_TOKEN, the variables of web identities and of containers, AWS_REGION and
    AWS_ENDPOINT_URL. Without any, the machine's own role is asked for. A request takes at most
    `max_wait`, and is tried again up to three times within that.

    Raises SettingsError SETTINGS_INVALID for a URI that cannot be right, and STORAGE_UNAVAILABLE.
    """

    def __init__(
        self,
        uri: str,
        environ: Mapping[str, str],
        *,
        max_wait: timedelta = timedelta(seconds=10),
    ) -> None:
        parts = urlsplit(uri)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        unknown = sorted(set(options) - set(_OPTIONS))
        if parts.scheme != "s3" or not parts.hostname or parts.netloc != parts.hostname or unknown:
            raise SettingsError(
                "SETTINGS_INVALID",
                "this is no URI of an S3 bucket",
                expected=f"s3://bucket/prefix, with options among {', '.join(_OPTIONS)}",
                found=", ".join(unknown) or parts.scheme,
                hint="credentials go into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            )
        self._prefix = unquote(parts.path).strip("/")
        if self._prefix:
            _check_prefix(self._prefix)
        self._secrets = tuple(environ[name] for name in _SECRETS if environ.get(name))
        self._name = f"s3://{parts.hostname}/{self._prefix}"
        self._store = self._open(parts.hostname, options, environ, max_wait)
        with self._translated("the bucket"):
            # A bucket that is not there would look like one without objects.
            self._store.list_with_delimiter(self._prefix or None)

    def put(self, key: str, data: bytes) -> None:
        """Create the object, or find the same bytes there."""
        path = self._path(key)
        with self._translated(key):
            try:
                self._store.put(path, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                # Also after a first try of ours that was answered with an error.
                if self._read(path) != data:
                    raise differs(key) from None

    def put_all(self, objects: Mapping[str, bytes]) -> None:
        """Create the objects, or find the same bytes there; several at once."""
        for key in objects:
            check_key(key)
        if len(objects) <= 1:
            for key, data in objects.items():
                self.put(key, data)
            return
        with ThreadPoolExecutor(min(_MAX_AT_ONCE, len(objects)), "put") as pool:
            for done in [pool.submit(self.put, key, data) for key, data in objects.items()]:
                done.result()

    def replace(self, key: str, data: bytes) -> None:
        """Create the object or put other bytes in its place."""
        path = self._path(key)
        with self._translated(key):
            self._store.put(path, data, mode="overwrite", use_multipart=False)

    def get(self, key: str) -> bytes | None:
        """Give the object's bytes, or None."""
        path = self._path(key)
        with self._translated(key):
            return self._read(path)

    def _read(self, path: str) -> bytes | None:
        try:
            return bytes(self._store.get(path).bytes())
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise
            return None

    def _path(self, key: str) -> str:
        check_key(key)
        return f"{self._prefix}/{key}" if self._prefix else key

    def _open(
        self,
        bucket: str,
        options: Mapping[str, str],
        environ: Mapping[str, str],
        max_wait: timedelta,
    ) -> S3Store:
        endpoint = (
            options.get("endpoint")
            or environ.get("AWS_ENDPOINT_URL_S3")
            or environ.get("AWS_ENDPOINT_URL")
        )
        region = (
            options.get("region")
            or environ.get("AWS_REGION")
            or environ.get("AWS_DEFAULT_REGION")
            or "us-east-1"
        )
        # Those of the process's environment, which obstore reads too, give way to these.
        given = {name.lower(): environ[name] for name in _ROLE if environ.get(name)}
        config = cast("S3Config", {**given, "region": region, "conditional_put": "etag"})
        client: ClientConfig = {"connect_timeout": _CONNECT, "timeout": max_wait}
        if endpoint:
            config["endpoint"] = config["aws_endpoint_url_s3"] = endpoint
            # Only where the operator wrote so: a signature protects the request, not its data.
            client["allow_http"] = urlsplit(endpoint).scheme == "http"
        if "ca" in options:
            client["root_certificate"] = _read_file(options["ca"])
        retry: RetryConfig = {"max_retries": 3, "retry_timeout": max_wait, "backoff": _BACKOFF}
        try:
            return S3Store(
                bucket,
                config=config,
                client_options=client,
                retry_config=retry,
                credential_provider=_fixed_credentials(environ),
            )
        except (BaseError, ValueError, TypeError) as error:
            raise SettingsError(
                "SETTINGS_INVALID", f"{self._name} cannot be opened: {self._words(error)}"
            ) from None

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            # Not `from error`: its text holds the request, and a trace would print it.
            raise UnavailableError(
                "STORAGE_UNAVAILABLE",
                f"the object store {self._name} failed at {what}: {self._words(error)}",
            ) from None

    def _words(self, error: Exception) -> str:
        """Give the beginning of what the store said, without our credentials in it."""
        text = str(error).partition("\n\nDebug source")[0]
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return " ".join(text.split())[:_MAX_TEXT]


def _fixed_credentials(environ: Mapping[str, str]) -> "Callable[[], S3Credential] | None":
    """Give the key that was handed in, if there is one: all of it, or the machine's own role."""
    access_key_id = environ.get("AWS_ACCESS_KEY_ID")
    secret_access_key = environ.get("AWS_SECRET_ACCESS_KEY")
    if not access_key_id or not secret_access_key:
        return None
    credential: S3Credential = {
        "access_key_id": access_key_id,
        "secret_access_key": secret_access_key,
        "token": environ.get("AWS_SESSION_TOKEN") or None,
        "expires_at": None,
    }
    return lambda: credential


def _check_prefix(prefix: str) -> None:
    try:
        check_key(prefix)
    except AssertionError as error:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"an S3 prefix has names of ASCII letters, digits, '.', '_' and '-': {prefix!r}",
        ) from error


def _read_file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SettingsError("FILE_UNREADABLE", f"{path}: {error.strerror}") from error
