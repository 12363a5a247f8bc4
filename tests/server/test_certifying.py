"""The authority of a deployment: the operator's own chain, others beside it, forms, and gRPC."""

import asyncio
import base64
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from touchplate.ca import create_chain
from touchplate.ca.routes import routes
from touchplate.clients.request import certificate_request_pem
from touchplate.errors import SettingsError, TouchplateError, UnavailableError
from touchplate.formats.certificate import parse_certificate
from touchplate.keys.signer import Signer, generate
from touchplate.keystore.remote import RemoteSigner
from touchplate.server import vault as names
from touchplate.server.config import parse_settings
from touchplate.server.settings import CaSettings, ServeSettings
from touchplate.testing import World
from touchplate.testing.world import EMAIL, START
from touchplate.transport.asgi import Request, Response
from touchplate.verify import Artifact, identity, verify


def chain_pem(issuing: Signer, name: str = "operator", root: Signer | None = None) -> str:
    """Make a chain for a key, as PEM."""
    chain = create_chain(
        root or generate("ecdsa-p384"),
        issuing,
        organization="example.org",
        common_name=name,
        now=START,
    )
    return "".join(parse_certificate(der).pem() for der in chain)


def ask(world: World, **settings: Any) -> tuple[int, dict[str, str], bytes]:
    """Ask for a certificate, with a CSR."""
    del settings
    request = base64.b64encode(certificate_request_pem(generate()).encode()).decode()
    response = world.transport.request(
        "POST",
        f"{world.url}/api/v2/signingCert",
        body=json.dumps({"certificateSigningRequest": request}).encode(),
        headers=(("Authorization", f"Bearer {world.token()}"),),
        max_bytes=100_000,
    )
    return response.status, dict(response.headers), response.body


def get(world: World, path: str) -> bytes:
    """Read a page."""
    return world.transport.request("GET", world.url + path, max_bytes=100_000).body


class WithKey(World):
    """A world whose CA key is known before its chain."""

    def __init__(self, tmp_path: Path, pem: str | None = None, others: str | None = None) -> None:
        with World() as first:
            vault = first._vault
            self.known = vault.key(names.CA, "ecdsa-p256")
        chain = tmp_path / "chain.pem"
        chain.write_text(chain_pem(self.known) if pem is None else pem)
        beside = tmp_path / "others.pem"
        if others is not None:
            beside.write_text(others)
        ca = CaSettings(chain=chain, others=None if others is None else beside)
        self.kept = vault
        super().__init__(settings=replace(ServeSettings(), ca=ca))

    def _build(self) -> Any:
        self._vault = self.kept
        return super()._build()


def test_operators_chain(tmp_path: Path) -> None:
    """An instance issues under the operator's chain, and its bundles verify."""
    with WithKey(tmp_path) as world:
        bundle = world.sign(b"artifact")
        verify(
            bundle,
            Artifact.from_bytes(b"artifact"),
            identity(EMAIL, world.issuer),
            world.trusted_root,
        )
        names_of = [
            x509.load_pem_x509_certificate(pem.encode()).subject.rfc4514_string()
            for pem in json.loads(get(world, "/api/v2/trustBundle"))["chains"][0]["certificates"]
        ]
        assert names_of == [
            "CN=operator-intermediate,O=example.org",
            "CN=operator,O=example.org",
        ]
        world.check()


@pytest.mark.parametrize(
    ("pem", "code"),
    [("", "SETTINGS_INVALID"), ("x", "SETTINGS_INVALID"), (None, "KEY_NOT_FOUND")],
)
def test_not_a_chain(tmp_path: Path, pem: str | None, code: str) -> None:
    """A file that is none, or the chain of another key, stops the start."""
    with pytest.raises(SettingsError) as caught:
        WithKey(tmp_path, chain_pem(generate()) if pem is None else pem)
    assert caught.value.code == code


def test_no_file(tmp_path: Path) -> None:
    """A file that is not there stops the start."""
    settings = replace(ServeSettings(), ca=CaSettings(chain=tmp_path / "none.pem"))
    with pytest.raises(SettingsError) as caught:
        World(settings=settings)
    assert caught.value.code == "FILE_UNREADABLE"


def test_others(tmp_path: Path) -> None:
    """Other chains are in the bundle, the trusted root (while they are valid), and the CT log."""
    former, foreign = generate(), generate()
    others = chain_pem(former, "former") + chain_pem(foreign, "foreign")
    with WithKey(tmp_path, others=others) as world:
        chains = json.loads(get(world, "/api/v2/trustBundle"))["chains"]
        text = get(world, "/api/v1/rootCert").decode()
        authorities = world.trusted_root.certificate_authorities

        assert len(chains) == len(authorities) == 3
        assert chains[1]["certificates"][0] in others
        assert len(x509.load_pem_x509_certificates(text.encode())) == 6
        assert text.count("-----END CERTIFICATE-----\n\n-----BEGIN CERTIFICATE-----") == 5
        assert authorities[0].valid_until is None
        for each in authorities[1:]:
            assert each.valid_until == START - timedelta(minutes=5) + timedelta(days=1826)
        assert len(json.loads(get(world, "/ct/v1/get-roots"))["certificates"]) == 3


@pytest.mark.parametrize("form", ["embedded", "detached", "none"])
def test_forms(form: Any) -> None:
    """The promise is in the certificate, beside it, or nowhere; what is promised is logged."""
    with World(settings=replace(ServeSettings(), ca=CaSettings(sct=form))) as world:
        status, _, body = ask(world)
        size = world.deployment.ct.checkpoint().size
        world.check()

    found = json.loads(body)
    assert status == 200
    assert size == (0 if form == "none" else 1)
    kind = "signedCertificateEmbeddedSct" if form == "embedded" else "signedCertificateDetachedSct"
    assert list(found) == [kind]
    leaf = x509.load_pem_x509_certificate(found[kind]["chain"]["certificates"][0].encode())
    oids = [each.oid.dotted_string for each in leaf.extensions]
    assert ("1.3.6.1.4.1.11129.2.4.2" in oids) == (form == "embedded")
    assert "1.3.6.1.4.1.11129.2.4.3" not in oids
    if form == "detached":
        promise = json.loads(base64.b64decode(found[kind]["signedCertificateTimestamp"]))
        assert promise.keys() == {"sct_version", "id", "timestamp", "extensions", "signature"}
    if form == "none":
        assert found[kind]["signedCertificateTimestamp"] == ""


def test_settings_file(tmp_path: Path) -> None:
    """The table of the settings file, and what it refuses."""
    text = b'[ca]\nchain = "c.pem"\nothers = "o.pem"\nalgorithms = ["ed25519"]\nsct = "none"\n'
    found = parse_settings(text, tmp_path / "t.toml", tmp_path).ca

    assert found == CaSettings(
        tmp_path / "c.pem", tmp_path / "o.pem", frozenset({"ed25519"}), "none"
    )
    for wrong in (b"sct = 1", b'sct = "no"', b'algorithms = ["x"]', b"chain = 1"):
        with pytest.raises(TouchplateError) as caught:
            parse_settings(b"[ca]\n" + wrong, tmp_path / "t.toml", tmp_path)
        assert caught.value.code == "SETTINGS_INVALID"


@pytest.mark.parametrize("form", ["embedded", "detached", "none"])
def test_answered_directly(form: Any) -> None:
    """A request that is answered without ASGI has the same answer, and its token in the header."""
    with World(settings=replace(ServeSettings(), ca=CaSettings(sct=form))) as world:
        route = world.app.direct[(b"POST", b"/api/v2/signingCert")]
        request = base64.b64encode(certificate_request_pem(generate()).encode()).decode()
        body = json.dumps({"certificateSigningRequest": request}).encode()
        headers = [(b"authorization", f"Bearer {world.token()}".encode())]

        async def ask_directly(given: list[tuple[bytes, bytes]]) -> Response:
            future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
            world.app.call_direct(route, ("127.0.0.1", 1), given, body, future.set_result)
            async with asyncio.timeout(10):
                return await future

        assert asyncio.run(ask_directly(headers)).status == 200
        assert asyncio.run(ask_directly([])).status == 400
        world.check()


def test_key_elsewhere() -> None:
    """A key that is not in this process signs in a thread, and the loop goes on meanwhile."""

    class Elsewhere:
        """A key store that takes its time."""

        def __init__(self, signer: Signer) -> None:
            self.public_key, self.algorithm = signer.public_key, signer.algorithm
            self.inner = signer

        def sign(self, message: bytes) -> bytes:
            """Sign in another thread than the loop's."""
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
            return self.inner.sign(message)

    with World() as world:
        certifying = world.deployment.certifying
        authority = certifying.issuance.authority()
        slow = replace(authority, signer=Elsewhere(authority.signer))  # type: ignore[arg-type]  # enough of one
        issuance = replace(certifying.issuance, authority=lambda: slow)
        (route, *_) = routes(issuance, certifying.issuers)
        request = base64.b64encode(certificate_request_pem(generate()).encode()).decode()
        body = json.dumps({"certificateSigningRequest": request}).encode()
        headers = {"authorization": world.token()}
        asked = Request("POST", "/api/v2/signingCert", headers=headers, body=body)

        async def handle() -> Response:
            return await route.handler(asked)

        assert asyncio.run(handle()).status == 200
        world.check()


@pytest.mark.parametrize("is_away", [False, True])
def test_key_of_the_log_elsewhere(is_away: bool) -> None:
    """The promise is not signed in the loop either, where a key service would hold up everybody."""
    with World() as world:
        key = world._vault.key("ct", "ecdsa-p256")
        promises = 0

        def ask(message: bytes) -> bytes:
            nonlocal promises
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
            if not message.startswith(b"\0\1"):  # no tree head
                promises += 1
                if is_away:
                    raise UnavailableError("SERVICE_UNAVAILABLE", "the token is away")
            return key.sign(message)

        world._vault._signers["ct"] = RemoteSigner("there", key.public_key, ask, hashes_there=True)
        world.restart()
        request = base64.b64encode(certificate_request_pem(generate()).encode()).decode()
        body = json.dumps({"certificateSigningRequest": request}).encode()
        headers = (("authorization", world.token()), ("content-type", "application/json"))
        answer = world.transport.request(
            "POST", f"{world.url}/api/v2/signingCert", headers=headers, body=body
        )

        assert answer.status == (500 if is_away else 200)
        assert promises == 1
