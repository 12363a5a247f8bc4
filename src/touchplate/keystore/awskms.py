"""Private keys in AWS KMS.

    awskms:///1234abcd-12ab-34cd-56ef-1234567890ab          a key id, alias/NAME or an ARN
    awskms://kms.example.org/alias/ca?region=eu-central-1   another endpoint, over TLS

boto3 is called itself: the common signer library sets no limit in time, takes no digest, and says
no to a region. Credentials are those of the environment that is handed in, else what boto3 finds
(a role of the machine or container).
"""

import ipaddress
import re
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from touchplate.errors import (
    RefusedError,
    SettingsError,
    TouchplateError,
    UnavailableError,
    VerificationError,
)
from touchplate.keys.public import PublicKey, load_public_key
from touchplate.keys.signer import Signer
from touchplate.keystore.calls import RETRY_AFTER, SECONDS, Calls
from touchplate.keystore.remote import RemoteSigner
from touchplate.keystore.secrets import Secrets
from touchplate.keystore.uris import shown_key_uri

THREADS: Final = 32
# Two attempts, each with its time to connect and to answer, fit into calls.SECONDS.
ATTEMPTS: Final = 2
CONNECT_SECONDS: Final = 1.0
READ_SECONDS: Final = 1.3

# Kind of our key: what AWS calls its signatures.
_ALGORITHMS: Final = {
    "ecdsa-p256": "ECDSA_SHA_256",
    "ecdsa-p384": "ECDSA_SHA_384",
    "ecdsa-p521": "ECDSA_SHA_512",
    "rsa-2048": "RSASSA_PKCS1_V1_5_SHA_256",
    "rsa-3072": "RSASSA_PKCS1_V1_5_SHA_256",
    "rsa-4096": "RSASSA_PKCS1_V1_5_SHA_256",
}
_KEY: Final = re.compile(r"[A-Za-z0-9:/_+=,.@-]{1,2048}")
_DENIED: Final = frozenset({"AccessDeniedException", "AccessDenied", "NotAuthorized"})
_CREDENTIALS: Final = frozenset(
    {
        "UnrecognizedClientException",
        "InvalidSignatureException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "ExpiredTokenException",
        "ExpiredToken",
        "SignatureDoesNotMatch",
    }
)


@dataclass(frozen=True, slots=True)
class AwsUri:
    """One key: where, and what it is called there."""

    key: str
    endpoint: str | None
    region: str | None


def parse_aws_uri(uri: str) -> AwsUri:
    """Read the URI (SETTINGS_INVALID). A loopback endpoint is spoken to without TLS."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
        query = dict(
            parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        )
    except ValueError as error:
        raise _bad(uri) from error
    key = unquote(parts.path).removeprefix("/")
    if (
        parts.scheme != "awskms"
        or parts.fragment
        or "@" in parts.netloc
        or not _KEY.fullmatch(key)
        or not set(query) <= {"region"}
    ):
        raise _bad(uri)
    endpoint = None
    if host:
        shown = f"[{host}]" if ":" in host else host
        scheme = "http" if _is_loopback(host) else "https"
        endpoint = f"{scheme}://{shown}" + (f":{port}" if port else "")
    region = query.get("region")
    if region is None and key.startswith("arn:"):
        region = key.split(":")[3] if key.count(":") >= 5 else None  # arn:aws:kms:REGION:…
    return AwsUri(key, endpoint, region)


class AwsKeys:
    """Keys under `awskms:` URIs; they are made elsewhere."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._calls = Calls("AWS KMS", threads=THREADS, seconds=seconds)

    def load(self, uri: str, secrets: Secrets) -> Signer:
        """Fetch the public key; needs kms:GetPublicKey now, and kms:Sign later."""
        place = parse_aws_uri(uri)
        client = _Client(place, secrets)
        public = self._calls.run(client.public_key)
        return RemoteSigner(
            f"AWS KMS key {place.key!r}",
            public,
            lambda digest: self._calls.run(lambda: client.sign(digest, public.kind)),
        )

    def create(self, uri: str, kind: str, secrets: Secrets) -> Signer:  # noqa: ARG002  none is made
        """Refuse, and say how: who signs with keys there need not be allowed to make them."""
        spec = {"ecdsa-p256": "ECC_NIST_P256", "ecdsa-p384": "ECC_NIST_P384"}.get(kind, "…")
        raise SettingsError(
            "SETTINGS_INVALID",
            f"{shown_key_uri(uri)[:200]}: keys in AWS KMS are made there, not from here",
            hint=f"aws kms create-key --key-usage SIGN_VERIFY --key-spec {spec}",
        )


class _Client:
    """One key through boto3, whose client many threads may use; made anew after a fork."""

    def __init__(self, place: AwsUri, secrets: Secrets) -> None:
        self._place = place
        self._secrets = secrets
        self._lock = Lock()
        self._client: Any = None

    def public_key(self) -> PublicKey:
        answer = self._call("GetPublicKey", "get_public_key")
        try:
            public = load_public_key(bytes(answer["PublicKey"]))
        except (VerificationError, KeyError) as error:
            raise self._unusable("its public key cannot be read") from error
        if _ALGORITHMS.get(public.kind) not in answer.get("SigningAlgorithms", ()):
            raise self._unusable(f"a {public.kind} key, with usage {answer.get('KeyUsage')}")
        return public

    def sign(self, digest: bytes, kind: str) -> bytes:
        answer = self._call(
            "Sign",
            "sign",
            Message=digest,
            MessageType="DIGEST",
            SigningAlgorithm=_ALGORITHMS[kind],
        )
        return bytes(answer["Signature"])

    def _call(self, permission: str, name: str, **given: object) -> dict[str, Any]:
        client = self._opened()
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: dict[str, Any] = getattr(client, name)(KeyId=self._place.key, **given)
        except ClientError as error:
            raise self._translate(error.response, permission) from error
        except BotoCoreError as error:
            raise _without_answer(error) from error
        return answer

    def _opened(self) -> Any:  # noqa: ANN401 - boto3 has no types
        with self._lock:
            if self._client is None:
                self._client = _open(self._place, self._secrets)
            return self._client

    def _translate(self, answer: dict[str, Any], permission: str) -> TouchplateError:
        """Say what AWS said; its own text is for the log of AWS."""
        key = f"AWS KMS key {self._place.key!r}"
        code = str(answer["Error"].get("Code"))
        if code in _CREDENTIALS:
            return RefusedError("SERVICE_REFUSED", f"AWS does not accept the credentials ({code})")
        # What stands before the service, a proxy or an endpoint's policy, has words of its own.
        if code in _DENIED or answer["ResponseMetadata"].get("HTTPStatusCode") == 403:
            return RefusedError(
                "SERVICE_REFUSED",
                f"{key}: we lack the permission kms:{permission}",
                hint=f"allow kms:{permission} on the key for the role that these credentials have",
            )
        if code == "NotFoundException":
            return SettingsError("KEY_NOT_FOUND", f"there is no {key}", hint="and in this region?")
        if code in ("InvalidKeyUsageException", "UnsupportedOperationException"):
            return self._unusable(code)
        return UnavailableError(
            "SERVICE_UNAVAILABLE", f"{key}: AWS answers {code[:60]}", retry_after=RETRY_AFTER
        )

    def _unusable(self, reason: str) -> SettingsError:
        return SettingsError(
            "KEY_NOT_FOUND",
            f"AWS KMS key {self._place.key!r} cannot be used: {reason}",
            expected="a SIGN_VERIFY key, " + ", ".join(_ALGORITHMS),
        )


def _open(place: AwsUri, secrets: Secrets) -> Any:  # noqa: ANN401 - boto3 has no types
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    given = {name.lower(): value for name in names if (value := secrets.find(name))}
    region = place.region or secrets.find("AWS_REGION") or secrets.find("AWS_DEFAULT_REGION")
    try:
        # A session of our own: the default one is shared by the whole process, and not safe to be.
        return boto3.Session(**given, region_name=region).client(
            "kms",
            endpoint_url=place.endpoint or secrets.find("AWS_ENDPOINT_URL_KMS"),
            config=Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
                max_pool_connections=THREADS,
            ),
        )
    except (BotoCoreError, ValueError) as error:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"no client for AWS KMS can be made ({type(error).__name__})",
            hint="the URI may end in ?region=…; else AWS_REGION says it",
        ) from error


def _without_answer(error: Exception) -> TouchplateError:
    from botocore.exceptions import (
        CredentialRetrievalError,
        NoCredentialsError,
        PartialCredentialsError,
    )

    name = type(error).__name__
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return SettingsError("SETTINGS_INVALID", f"there are no credentials for AWS KMS ({name})")
    if isinstance(error, CredentialRetrievalError):
        return UnavailableError("SERVICE_UNAVAILABLE", f"AWS gives no credentials now ({name})")
    return UnavailableError(
        "SERVICE_UNAVAILABLE", f"AWS KMS does not answer ({name})", retry_after=RETRY_AFTER
    )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bad(uri: str) -> SettingsError:
    return SettingsError(
        "SETTINGS_INVALID",
        f"key URI {shown_key_uri(uri)[:200]!r}",
        expected="awskms:///KEY or awskms://HOST/KEY, and perhaps ?region=…; "
        "KEY is an id, alias/NAME or an ARN",
    )
