from __future__ import annotations

import json
import socket
from hashlib import sha256, sha512
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from tests.verify.mint import ISSUER, Mint
from touchplate.cli.verdict import Outcome, print_text
from touchplate.errors import CODES
from touchplate.verify import identity

if TYPE_CHECKING:
    from tests.cli.conftest import Run, Served

ROOT = ("--trusted-root", "root.json")


def test_proven(run: Run, signed: Path, served: Served) -> None:
    """One line says who signed, who vouches and when; status 0."""
    result = run("verify", signed, *ROOT, *served.who)

    assert result.status == 0, result.err
    assert result.out.startswith(f"proven {signed}: signed by maker@example.com, vouched for by")
    assert result.err == ""


@pytest.mark.usefixtures("signed")
def test_digest(run: Run, served: Served) -> None:
    """A digest stands for the file; upper case is the same."""
    digest = sha256(b"release\n").hexdigest()
    bundle = ("--bundle", "a.txt.sigstore.json")
    for text in (f"sha256:{digest}", f"sha256:{digest.upper()}"):
        assert run("verify", text, *bundle, *ROOT, *served.who).status == 0


@pytest.mark.usefixtures("signed")
@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("sha256:" + "00" * 32, 1, "DIGEST_MISMATCH"),
        ("sha256:" + "00" * 31, 2, "DIGEST_MALFORMED"),
        ("sha256:" + "zz" * 32, 2, "DIGEST_MALFORMED"),
        ("sha512:" + sha512(b"release\n").hexdigest(), 1, "DIGEST_UNSUPPORTED"),
        ("sha256:", 2, "DIGEST_MALFORMED"),
        ("md5:" + "00" * 16, 2, "FILE_UNREADABLE"),
    ],
)
def test_bad_digest(run: Run, served: Served, text: str, status: int, code: str) -> None:
    """Another digest, one of the wrong length, and one that cannot decide are told apart."""
    result = run("verify", text, "--bundle", "a.txt.sigstore.json", *ROOT, *served.who)
    assert result.status == status
    assert code in result.err


def test_file_named_like_a_digest(run: Run, signed: Path, served: Served) -> None:
    """A file wins over a digest of the same spelling."""
    name = "sha256:" + "00" * 32
    (signed.parent / name).write_bytes(b"release\n")
    result = run("verify", name, "--bundle", "a.txt.sigstore.json", *ROOT, *served.who)
    assert result.status == 0


def test_changed_byte(run: Run, signed: Path, served: Served) -> None:
    """A failure names the check, both values and what to do; status 1."""
    signed.write_bytes(b"releasf\n")
    result = run("verify", signed, *ROOT, *served.who)

    assert result.status == 1
    assert result.out == ""
    for part in ("NOT PROVEN", "check:", "DIGEST_MISMATCH", "expected:", "found:", "do:"):
        assert part in result.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--identity", "other@example.com"), "IDENTITY_MISMATCH"),
        (("--identity", "MAKER@example.com"), "IDENTITY_MISMATCH"),
        (("--identity", "aker@example.com"), "IDENTITY_MISMATCH"),
        (("--identity-glob", "*@example.org"), "IDENTITY_MISMATCH"),
        (("--identity-glob", "example"), "IDENTITY_MISMATCH"),
        (("--issuer", "https://other.example.test"), "ISSUER_MISMATCH"),
        (("--extension", "issuer=https://other.example.test"), "ISSUER_MISMATCH"),
        (("--extension", "sourceRepositoryUri=x"), "EXTENSION_MISMATCH"),
        (("--require-mfa", ""), "SECOND_FACTOR_MISSING"),
        (("--predicate-type", "https://slsa.dev/provenance/v1"), "PREDICATE_MISMATCH"),
    ],
)
def test_every_option_counts(
    run: Run, signed: Path, served: Served, words: tuple[str, ...], code: str
) -> None:
    """CVE-2026-48815: no option is accepted and dropped; each can turn a verdict into a no."""
    options = dict(zip(served.who[::2], served.who[1::2], strict=True))
    if words[0] == "--identity-glob":
        del options["--identity"]
    options[words[0]] = words[1]
    flat = [word for pair in options.items() for word in pair if word]

    result = run("verify", signed, *ROOT, *flat)

    assert result.status == 1
    assert code in result.err


def test_glob_and_extension(run: Run, signed: Path, served: Served) -> None:
    """A pattern that matches the whole name, and the right value of an extension, prove."""
    issuer = served.world.issuer
    who = ("--identity-glob", "*@example.com", "--issuer", issuer)
    result = run("verify", signed, *ROOT, *who, "--extension", f"issuer={issuer}")
    assert result.status == 0, result.err


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--identity", "maker@example.com"),
        ("--issuer", "https://login.example.test"),
        ("--identity", "", "--issuer", ""),
        ("--identity-glob", "*"),
        ("--extension", "issuer=x"),
        ("--key", "key.pem", "--identity", "a", "--issuer", "b"),
        ("--key", "key.pem", "--require-mfa"),
        ("--require-mfa",),
        ("--identity", "a", "--issuer", "b", "--extension", "noequals"),
        ("--identity", "a", "--issuer", "b", "--bundle", "b.json", "second.txt"),
    ],
)
def test_nobody_expected(run: Run, signed: Path, words: tuple[str, ...]) -> None:
    """Without somebody to expect there is nothing to prove: usage, status 2."""
    result = run("verify", signed, *ROOT, *words)
    assert result.status == 2
    assert "USAGE" in result.err


def test_unknown_extension(run: Run, signed: Path, served: Served) -> None:
    """An extension that does not exist is never taken to hold."""
    result = run("verify", signed, *ROOT, *served.who, "--extension", "noSuchThing=x")
    assert result.status in (1, 2)


def test_several(run: Run, signed: Path, served: Served) -> None:
    """All files are looked at, and the worst status is the command's."""
    other = signed.parent / "b.txt"
    other.write_bytes(b"other")
    missing = signed.parent / "c.txt"

    one = run("verify", other, signed, *ROOT, *served.who)
    assert one.status == 2
    assert f"proven {signed}" in one.out
    assert f"NOT PROVEN {other}" in one.err

    (signed.parent / "b.txt.sigstore.json").write_bytes(
        (signed.parent / "a.txt.sigstore.json").read_bytes()
    )
    assert run("verify", other, signed, *ROOT, *served.who).status == 1
    assert run("verify", missing, other, signed, *ROOT, *served.who).status == 2
    assert run("verify", signed, signed, *ROOT, *served.who).status == 0


def test_order_of_words(run: Run, signed: Path, served: Served) -> None:
    """Options may stand before, between and after the files."""
    assert run("verify", *ROOT, signed, *served.who[:2], signed, *served.who[2:]).status == 0


def test_bundle_names(run: Run, signed: Path, served: Served) -> None:
    """A bundle is found as FILE.sigstore.json, then FILE.sigstore; else both names are told."""
    bundle = signed.parent / "a.txt.sigstore.json"
    bundle.rename(signed.parent / "a.txt.sigstore")
    assert run("verify", signed, *ROOT, *served.who).status == 0

    (signed.parent / "a.txt.sigstore").unlink()
    result = run("verify", signed, *ROOT, *served.who)
    assert result.status == 2
    assert "a.txt.sigstore.json or a.txt.sigstore" in result.err


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"\x00", b"[" * 100_000, b'{"mediaType":"x"}', b"\xff" * 100]
)
def test_malformed_bundle(run: Run, signed: Path, served: Served, data: bytes) -> None:
    """What is no bundle is malformed: status 2, a stable code, no traceback."""
    (signed.parent / "a.txt.sigstore.json").write_bytes(data)
    result = run("verify", signed, *ROOT, *served.who)
    assert result.status == 2
    assert any(code in result.err for code in CODES)
    assert f"bundle:   {signed}.sigstore.json" in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 100_000, b"null"])
def test_malformed_root(run: Run, signed: Path, served: Served, data: bytes) -> None:
    """A trusted root that is none is status 2 before any file is looked at."""
    (signed.parent / "root.json").write_bytes(data)
    result = run("verify", signed, *ROOT, *served.who)
    assert result.status == 2
    assert "root.json: " in result.err


@pytest.mark.parametrize(
    ("member", "value"),
    [("certificate", {}), ("certificate", None), ("x509CertificateChain", {"certificates": []})],
)
def test_cve_2026_44310_no_certificate(
    run: Run, signed: Path, served: Served, member: str, value: object
) -> None:
    """A bundle without a certificate is malformed: status 2, nothing called proven, no trace."""
    path = signed.parent / "a.txt.sigstore.json"
    members = json.loads(path.read_bytes())
    del members["verificationMaterial"]["certificate"]
    members["verificationMaterial"][member] = value
    path.write_text(json.dumps(members))

    result = run("verify", signed, *ROOT, *served.who)

    assert result.status == 2
    assert result.out == ""
    assert "Traceback" not in result.err
    assert "BUNDLE_" in result.err


@pytest.mark.parametrize("data", [b"", b"not PEM", b"\xff", b"-----BEGIN PUBLIC KEY-----\nAAAA\n"])
def test_malformed_key(run: Run, signed: Path, data: bytes) -> None:
    """A key that is none is a wrong argument, and named: nothing was held against it."""
    (signed.parent / "key.pem").write_bytes(data)
    result = run("verify", signed, *ROOT, "--key", "key.pem")
    assert result.status == 2
    assert "FILE_UNREADABLE: public key key.pem" in result.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--identity", "a@example.com"), "--issuer URL is missing"),
        (("--issuer", "https://login.example.test"), "--identity NAME"),
        ((), "--identity NAME and --issuer URL"),
    ],
)
def test_what_is_missing(run: Run, signed: Path, words: tuple[str, ...], said: str) -> None:
    """Of identity and issuer the one that is missing is named."""
    assert said in run("verify", signed, *ROOT, *words).err


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("ab" * 32, "sha256:HEX"),
        ("SHA256:" + "AB" * 32, "sha256:HEX"),
        (".", "name the files in it"),
        ("nowhere.txt", "look at the name"),
    ],
)
def test_no_such_file(run: Run, signed: Path, served: Served, word: str, hint: str) -> None:
    """What may have been meant is said: a digest, the files of a folder, another name."""
    result = run("verify", word, "--bundle", signed, *ROOT, *served.who)
    assert result.status == 2
    assert hint in result.err


@pytest.mark.parametrize("option", ["--trusted-root", "--trust-config", "--key"])
def test_unreadable(run: Run, signed: Path, served: Served, option: str) -> None:
    """A file that is not there, or is a folder, is named."""
    who = () if option == "--key" else served.who
    more = ROOT if option == "--key" else ()
    for path in ("nowhere.json", "."):
        result = run("verify", signed, option, path, *who, *more)
        assert result.status == 2
        assert "FILE_UNREADABLE" in result.err


def test_trust_config(run: Run, signed: Path, served: Served) -> None:
    """A client trust config is trusted as it is."""
    assert run("verify", signed, "--trust-config", "trust.json", *served.who).status == 0


def test_key(run: Run, conformance: Path) -> None:
    """A self-managed key stands for the signer."""
    folder = conformance / "bundle-verify" / "managed-key-happy-path"
    trusted = conformance / "trusted_root.production.json"
    words = ("--bundle", folder / "bundle.sigstore.json", "--trusted-root", trusted)
    artifact = folder / "artifact"
    artifact = artifact if artifact.exists() else conformance / "bundle-verify" / "a.txt"

    result = run("verify", artifact, *words, "--key", folder / "key.pub")

    assert result.status == 0, result.err
    assert "signed with key sha256:" in result.out


def test_wrong_key(run: Run, signed: Path, served: Served) -> None:
    """A key is no way around an identity."""
    log_key = served.world.trusted_root.tlogs[0].key.pem()
    (signed.parent / "key.pem").write_text(log_key)
    result = run("verify", signed, *ROOT, "--key", "key.pem")
    assert result.status == 1
    assert "KEY_MODE_MISMATCH" in result.err


def test_json(run: Run, signed: Path, served: Served) -> None:
    """The document holds the verdict with its evidence."""
    result = run("verify", signed, *ROOT, *served.who, "--json")
    document = json.loads(result.out)

    (found,) = document["results"]
    assert document["status"] == result.status == 0
    assert found["proven"] is True
    assert found["identity"] == "maker@example.com"
    assert found["names"] == [{"kind": "email", "value": "maker@example.com"}]
    assert found["issuer"] == found["extensions"]["issuer"] == served.world.issuer
    assert [time["source"] for time in found["times"]] == ["tsa"]
    assert [entry["kind"] for entry in found["entries"]] == ["hashedrekord"]
    assert all(step["passed"] for step in found["steps"])
    assert "error" not in found


def test_json_failure(run: Run, signed: Path, served: Served) -> None:
    """A failure has a stable code and the steps until it; standard output is still one document."""
    signed.write_bytes(b"other")
    result = run("verify", signed, "missing.txt", *ROOT, *served.who, "--json")
    document = json.loads(result.out)

    first, second = document["results"]
    assert document["status"] == result.status == 2
    assert (first["proven"], first["error"]["code"]) == (False, "DIGEST_MISMATCH")
    assert first["error"]["hint"]
    assert [step["passed"] for step in first["steps"]][-1] is False
    assert (second["proven"], second["error"]["code"]) == (False, "FILE_UNREADABLE")
    assert "identity" not in first


def test_unusable_key(run: Run, signed: Path, served: Served) -> None:
    """A key in the trusted root that is of no kind we know is told, and does no harm."""
    root = json.loads(served.trusted_root)
    odd = json.loads(json.dumps(root["tlogs"][0]))
    odd["publicKey"] |= {"keyDetails": "PKIX_OF_TOMORROW", "rawBytes": "AAAA"}
    root["tlogs"].append(odd)
    (signed.parent / "root.json").write_text(json.dumps(root))

    explained = run("verify", signed, *ROOT, *served.who, "--explain")
    assert explained.status == 0
    assert "note: tlogs[1].publicKey" in explained.out
    document = json.loads(run("verify", signed, *ROOT, *served.who, "--json").out)
    assert len(document["warnings"]) == 1
    assert run("verify", signed, *ROOT, *served.who).err == ""


def test_json_usage(run: Run, signed: Path, served: Served) -> None:
    """What kept every file from being looked at is in the document too."""
    result = run("verify", signed, *served.who, "--json")
    document = json.loads(result.out)
    assert result.status == document["status"] == 2
    assert document["error"]["code"] == "TRUST_UNKNOWN"
    assert document["results"] == []


def test_explain(run: Run, signed: Path, served: Served) -> None:
    """Every step is shown with what it rests on."""
    result = run("verify", signed, *ROOT, *served.who, "--explain")
    for part in ("signing time: ok", "certificate chain: ok", "log inclusion: ok", "identity: ok"):
        assert part in result.out
    assert "\x1b" not in result.out


def test_explain_failure(run: Run, signed: Path, served: Served) -> None:
    """The step that failed is the last one, and is marked."""
    signed.write_bytes(b"other")
    result = run("verify", signed, *ROOT, *served.who, "--explain")
    assert result.status == 1
    assert "signature: FAILED" in result.out
    assert "log inclusion" not in result.out


def test_no_network(
    run: Run, signed: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verifying opens no socket, not even when it fails."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert run("verify", signed, *ROOT, *served.who).status == 0
    signed.write_bytes(b"other")
    assert run("verify", signed, *ROOT, *served.who).status == 1


def test_terminal_escapes(run: Run, signed: Path, served: Served) -> None:
    """Nothing from a name of a file or an option reaches the terminal as a control character."""
    evil = signed.parent / "a\x1b[2J\u202e.txt"
    evil.write_bytes(signed.read_bytes())
    words = ("--bundle", "a.txt.sigstore.json", *ROOT)
    for who in (served.who, ("--identity", "\x1b[1mx", "--issuer", "\u202ey")):
        result = run("verify", evil, *words, *who, "--explain")
        assert "\x1b" not in result.out + result.err
        assert "\u202e" not in result.out + result.err


@pytest.mark.parametrize("name", ["../x", "no such", "-", ""])
def test_unknown_instance(run: Run, signed: Path, served: Served, name: str) -> None:
    """An instance that was never added is unknown."""
    result = run("verify", signed, f"--instance={name}", *served.who)
    assert result.status == 2
    assert "TRUST_UNKNOWN" in result.err


def test_several_names(capsys: pytest.CaptureFixture[str]) -> None:
    """A certificate with more than one name is told with all of them."""
    mint = Mint.new()
    names = [x509.RFC822Name("first@example.com"), x509.RFC822Name("second@example.com")]
    leaf = mint.leaf(san=x509.SubjectAlternativeName(names))
    wanted = identity("second@example.com", ISSUER)
    verdict = mint.verify(mint.bundle(leaf=leaf), policy=wanted)

    print_text([Outcome("a.txt", None, verdict, None, verdict.steps)], explain=False)

    said = capsys.readouterr().out
    assert "signed by first@example.com and second@example.com, vouched for by" in said
