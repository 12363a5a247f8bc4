from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from touchplate.formats.bundle import CertificateMaterial
from touchplate.keys.pem import encode_pem
from touchplate.verify import Artifact

if TYPE_CHECKING:
    from tests.cli.conftest import Run, Served

NAME = "searcher@example.com"


@pytest.fixture
def asked(run: Run, served: Served, tmp_path: Path) -> Served:
    """Give a served world that this machine trusts, in which somebody signed two files."""
    for number in range(2):
        signer = served.world.signer(NAME)  # each with a key of its own
        made = signer.sign(Artifact.from_bytes(b"%b %d" % (str(tmp_path).encode(), number)))
        assert isinstance(made.bundle.material, CertificateMaterial)
        leaf = made.bundle.material.leaf
        (tmp_path / f"{number}.pem").write_text(leaf.pem())
        (tmp_path / f"{number}.key").write_bytes(encode_pem("PUBLIC KEY", leaf.spki))
    served.world.index.catch_up()
    assert run("trust", "add", served.url, "--fingerprint", served.fingerprint).status == 0
    return served


def digest(tmp_path: Path, number: int) -> str:
    """Give the digest of a file that was signed."""
    return "sha256:" + sha256(b"%b %d" % (str(tmp_path).encode(), number)).hexdigest()


@pytest.mark.slow
def test_table(run: Run, asked: Served, tmp_path: Path) -> None:
    """An entry is a line: name, time, kind, signer, digest; what is known of all goes beside."""
    result = run("search", "--digest", digest(tmp_path, 1))

    assert result.status == 0
    ((_, _, kind, name, found),) = (line.split("  ") for line in result.out.splitlines())
    assert (kind, name, found) == ("hashedrekord", NAME, digest(tmp_path, 1))
    assert result.err == "1 entry\n"


@pytest.mark.slow
def test_proofs(run: Run, asked: Served, tmp_path: Path) -> None:
    """With proofs the checkpoint that they rest on is named, and what is not proven."""
    result = run("search", "--identity", NAME, "--digest", digest(tmp_path, 0), "--proofs")

    assert result.status == 0
    assert result.out.count(digest(tmp_path, 0)) == 1
    assert "1 entry, proven in the tree of " in result.err
    assert "that 127.0.0.1 signed; the times are the server's word" in result.err


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["key", "pem"])
def test_key(run: Run, asked: Served, tmp_path: Path, kind: str) -> None:
    """A file with a key or a certificate finds what was signed with it; so does its hash."""
    found = json.loads(run("search", "--key", tmp_path / f"1.{kind}", "--json").out)["rows"]

    assert [row["digests"] for row in found] == [[digest(tmp_path, 1)]]
    for key in found[0]["keys"]:
        assert digest(tmp_path, 1) in run("search", "--key", key).out


@pytest.mark.slow
def test_json(run: Run, asked: Served, tmp_path: Path) -> None:
    """One document says what was found, whether it is proven, and whether there is more."""
    words = ("search", "--issuer", asked.world.issuer, "--identity", NAME, "--limit", "1")
    told = json.loads(run(*words, "--json").out)
    proven = json.loads(run(*words, "--json", "--proofs", "--oldest").out)

    assert (told["proven"], told["checkpoints"], told["more"]) == (False, [], True)
    assert proven["proven"] is True
    assert len(proven["checkpoints"]) == 1
    assert proven["checkpoints"][0]["origin"] == "127.0.0.1"
    assert proven["rows"][0]["logIndex"] < told["rows"][0]["logIndex"]


@pytest.mark.slow
def test_any_url(run: Run, asked: Served, tmp_path: Path) -> None:
    """Without proofs an instance that nobody trusts can be asked; with proofs it can not."""
    assert run("trust", "remove", "--", *_names(run)).status == 0

    assert run("search", "--instance", asked.url, "--limit", "1").status == 0
    refused = run("search", "--instance", asked.url, "--proofs")
    assert refused.status == 2
    assert "TRUST_UNKNOWN" in refused.err or "trusts no instance" in refused.err


def without_time(line: str) -> list[str]:
    """Give the columns but the second: the first API has whole seconds."""
    columns = line.split("  ")
    return columns[:1] + columns[2:]


@pytest.mark.slow
@pytest.mark.parametrize("proofs", [(), ("--proofs",)])
def test_entry(run: Run, asked: Served, tmp_path: Path, proofs: tuple[str, ...]) -> None:
    """One entry is found by the name that a line begins with, its number, and its UUID."""
    line = run("search", "--digest", digest(tmp_path, 0)).out
    (row,) = json.loads(run("search", "--digest", digest(tmp_path, 0), "--json").out)["rows"]
    assert line.startswith(row["name"] + "  ")

    for word in (row["name"], str(row["logIndex"]), row["entryId"], row["entryId"][16:]):
        result = run("search", "--entry", word, *proofs)
        assert (result.status, without_time(result.out)) == (0, without_time(line))
        assert ("proven in the tree of" in result.err) == bool(proofs)
        document = json.loads(run("search", "--entry", word, "--json", *proofs).out)
        (found,) = document["rows"]
        assert found["integratedTime"][:-1] == row["integratedTime"][:-1].partition(".")[0]
        assert found | {"integratedTime": ""} == row | {"integratedTime": ""}
        assert (document["proven"], len(document["checkpoints"])) == (bool(proofs), len(proofs))


@pytest.mark.slow
def test_no_entry(run: Run, asked: Served) -> None:
    """A name that the log does not have is an answer too."""
    for word in ("999999999", "0123456789abcdef:0", "ab" * 32):
        result = run("search", "--entry", word, "--proofs")
        assert (result.status, result.out, result.err) == (0, "", "0 entries\n")


def _names(run: Run) -> list[str]:
    listed = json.loads(run("trust", "list", "--json").out)
    return [each["name"] for each in listed["instances"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("--digest", "xyz"),
        ("--extension", "nobody=a"),
        ("--since", "yesterday"),
        ("--key", "no-such-file"),
        ("--limit", "0"),
        ("--limit", "10001"),
        ("--entry", "x"),
        ("--entry", "1", "--kind", "dsse"),
        ("--entry", "1", "--oldest"),
    ],
)
def test_usage(run: Run, asked: Served, words: tuple[str, ...]) -> None:
    """A condition that is not understood is told before anybody is asked."""
    result = run("search", *words)

    assert result.status == 2
    assert result.out == ""


@pytest.mark.slow
def test_nothing_found(run: Run, asked: Served) -> None:
    """No entry is an answer too."""
    result = run("search", "--identity", "nobody@example.com", "--proofs")

    assert (result.status, result.out, result.err) == (0, "", "0 entries\n")
