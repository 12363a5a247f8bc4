"""AWS KMS for tests: moto's server on loopback. `why_not()` says why a test must be skipped.

    with KmsServer() as server:
        key = server.make_key("ECC_NIST_P256")
        load_signer(server.uri(key), secrets=…)   # credentials: server.environ

With `--enforced` rights are checked: `server.make_user(actions)` gives credentials that have these.
"""

import json
import secrets
import signal
import sys
import tempfile
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.servers.process import Program, free_ports, missing_program

_SERVER: Final = Path(__file__).with_name("moto_server.py")
REGION: Final = "eu-central-1"
ENVIRON: Final = {"AWS_ACCESS_KEY_ID": "AKTESTONLY", "AWS_SECRET_ACCESS_KEY": "loopback-only"}


def why_not() -> str | None:
    """Say why no KMS can be started here, or give None."""
    if find_spec("moto") is None or find_spec("flask") is None:
        return "no moto with its server in this environment"
    return missing_program("setpriv")


class KmsServer:
    """One server, whose keys live as long as its process. Use it in a `with`."""

    def __init__(self, *, enforced: bool = False) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="touchplate-kms-")
        (self.port,) = free_ports(1)
        self._enforced = enforced
        self.program: Program | None = None
        self.environ = dict(ENVIRON)

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.end()
        self._folder.cleanup()

    def begin(self) -> None:
        """Start it, without any key."""
        # Rights are checked after so many calls: those that make the user come before.
        environ = {"INITIAL_NO_AUTH_ACTION_COUNT": "4"} if self._enforced else {}
        self.program = Program(
            [sys.executable, str(_SERVER), "-H", "127.0.0.1", "-p", str(self.port)],
            Path(self._folder.name) / "log",
            environ=environ,
        )
        self.program.wait_until(self._is_up)

    def end(self) -> None:
        """Kill it."""
        if self.program is not None:
            self.program.signal_group(signal.SIGCONT)
            self.program.end(signal.SIGKILL)
            self.program = None

    def uri(self, key: str) -> str:
        """Give the URI of a key."""
        return f"awskms://127.0.0.1:{self.port}/{key}?region={REGION}"

    def client(self, service: str) -> Any:
        """Give boto3's client."""
        import boto3

        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name=REGION,
            aws_access_key_id=ENVIRON["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ENVIRON["AWS_SECRET_ACCESS_KEY"],
        )

    def make_key(self, spec: str, usage: str = "SIGN_VERIFY") -> str:
        """Make a key and give its id."""
        made = self.client("kms").create_key(KeyUsage=usage, KeySpec=spec)
        return str(made["KeyMetadata"]["KeyId"])

    def make_user(self, *actions: str) -> dict[str, str]:
        """Make a user that may do these things and nothing else; give its credentials."""
        iam, name = self.client("iam"), f"user-{secrets.token_hex(4)}"
        iam.create_user(UserName=name)
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }

    def _is_up(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/moto-api/", timeout=5):
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
