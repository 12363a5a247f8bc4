from __future__ import annotations

import itertools
import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.docs.pages import DOCS
from touchplate.errors import MalformedError, VerificationError
from touchplate.formats.checkpoint import encode_checkpoint
from touchplate.formats.cosignature import cosignature_signer, cosigner, encode_cosigner
from touchplate.formats.note import (
    NoteSignature,
    encode_note,
    encode_vkey,
    note_signer,
    parse_note,
)
from touchplate.formats.witness_policy import Policy, parse_policy
from touchplate.keys.signer import generate

ORIGIN = "log.example.com"
LOG = note_signer(ORIGIN, generate("ed25519"))
SIGNERS = {
    name: cosignature_signer(f"{name}.example", generate(kind))
    for name, kind in {"w1": "ed25519", "w2": "ed25519", "w3": "ml-dsa-44"}.items()
}
V1, V2, V3 = (
    encode_cosigner(cosigner(each.name, each.signer.public_key)) for each in SIGNERS.values()
)
VLOG = encode_vkey(ORIGIN, LOG.signer.public_key)
TEXT = encode_checkpoint(ORIGIN, 7, bytes(range(32)))
WITNESSES = f"witness w1 {V1}\nwitness w2 {V2}\nwitness w3 {V3}\n"
EXAMPLE = f"""# comments and empty lines mean nothing

log {VLOG} https://log.example.com/
witness w1\t{V1}  https://w1.example/prefix/
  witness w2 {V2}
witness w3 {V3} # trailing
group some any w1 w2
group both all some w3
quorum both
"""


def parse(text: str) -> Policy:
    """Read a policy."""
    return parse_policy(text.encode())


def note(*lines: NoteSignature, log: bool = True) -> str:
    """Put lines under the log's."""
    return encode_note(TEXT, [LOG.sign(TEXT)] * log + list(lines))


def cosign(*names: str, time: int = 5) -> list[NoteSignature]:
    """Cosign the checkpoint."""
    unsigned = parse_note(note())
    return [SIGNERS[name].sign(unsigned, time) for name in names]


def test_example() -> None:
    """Each line means what the specification says, comments and blanks mean nothing."""
    policy = parse(EXAMPLE)

    (log,) = policy.logs
    assert (log.key.name, log.url) == (ORIGIN, "https://log.example.com/")
    assert [(each.name, each.url) for each in policy.witnesses] == [
        ("w1", "https://w1.example/prefix/"),
        ("w2", None),
        ("w3", None),
    ]
    assert [(each.name, each.threshold, each.members) for each in policy.groups] == [
        ("some", 1, ("w1", "w2")),
        ("both", 2, ("some", "w3")),
    ]
    assert policy.quorum == "both"


def test_upstream_example() -> None:
    """The file that the reference log server documents reads as it is."""
    policy = parse(
        "witness w1 witness.example.com/w1+31e96a51+BHgY7bPqUzjRWeopGmw1n5wgwuz46pBARk1j2QjmcZoB "
        "https://witness.example.com/\n"
        f"witness w2 {V2} https://other.example/\n"
        "group both 1 w1 w2\n"
        "quorum both\n"
    )
    assert policy.is_met(["w1"])
    assert not policy.is_met([])


def test_documented_example() -> None:
    """The example of the reference is a policy."""
    page = (DOCS / "reference" / "formats" / "witness-policy.md").read_text("utf-8")
    (example,) = re.findall(r"```text\n(.*?)```", page, flags=re.DOTALL)
    assert parse(example).quorum == "two"


@pytest.mark.parametrize(
    ("cosigned", "met"),
    [
        ((), False), (("w1",), False), (("w3",), False), (("w1", "w2"), False),
        (("w1", "w3"), True), (("w2", "w3"), True), (("w1", "w2", "w3"), True),
        (("some", "w3"), False), (("both",), False), (("w9", "w3"), False),
    ],
)  # fmt: skip
def test_is_met(cosigned: tuple[str, ...], met: bool) -> None:
    """Groups are met by their members; a group's own name counts for nothing."""
    assert parse(EXAMPLE).is_met(cosigned) is met


def test_no_quorum() -> None:
    """`quorum none` is met by nothing at all."""
    assert parse("quorum none\n").is_met(())


def test_quorum_of_one_witness() -> None:
    """The quorum may be a witness."""
    policy = parse(WITNESSES + "quorum w2\n")
    assert policy.is_met(("w2",))
    assert not policy.is_met(("w1", "w3"))


@pytest.mark.slow
@given(st.data())
def test_threshold(data: st.DataObject) -> None:
    """A group of witnesses is met exactly if at least k of them cosigned."""
    members = data.draw(st.lists(st.sampled_from(["w1", "w2", "w3"]), min_size=1, unique=True))
    rule = data.draw(st.sampled_from(["all", "any", *map(str, range(1, len(members) + 1))]))
    policy = parse(f"{WITNESSES}group g {rule} {' '.join(members)}\nquorum g\n")
    wanted = {"all": len(members), "any": 1}.get(rule) or int(rule)
    for count in range(4):
        for cosigned in itertools.combinations(["w1", "w2", "w3"], count):
            assert policy.is_met(cosigned) is (len(set(cosigned) & set(members)) >= wanted)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("witnes w4 x", "no line begins with 'witnes'"),
        ("witness w4", "two or three fields"),
        (f"witness w4 {V1} u v", "two or three fields"),
        (f"witness w4 {V1}", "witness 'w1' has the same key"),
        ("witness w4 nonsense", "not a verifier key"),
        (f"witness none {VLOG}", "cannot be a name"),
        (f"witness w1 {VLOG}", "'w1' is defined already"),
        ("log", "one or two fields"),
        (f"log {VLOG} u v", "one or two fields"),
        (f"log {VLOG}", "an earlier log has the same key"),
        ("log nonsense", "not a verifier key"),
        ("group g", "three fields or more"),
        ("group g 1", "three fields or more"),
        ("group g 0 w1", "not '0'"),
        ("group g 01 w1", "not '01'"),
        ("group g -1 w1", "not '-1'"),
        ("group g 1_0 w1", "not '1_0'"),
        ("group g \u0661 w1", "not '\u0661'"),
        ("group g ALL w1", "not 'ALL'"),
        ("group g 9999 w1", "not '9999'"),
        ("group g 2 w1", "2 of 1 members"),
        ("group g 1 w9", "no earlier line defines 'w9'"),
        ("group g 1 g", "no earlier line defines 'g'"),
        ("group g 1 none", "no earlier line defines 'none'"),
        ("group g 2 w1 w1", "'w1' is a member already"),
        ("group g 1 taken", "'taken' is a member already"),
        ("group w1 1 w2", "'w1' is defined already"),
        ("group none 1 w2", "cannot be a name"),
        ("quorum", "one field"),
        ("quorum w1 w2", "one field"),
        ("quorum w9", "no earlier line defines 'w9'"),
        ("quorum w1\nquorum w1", "a quorum already"),
        ("\x00", "the byte 0x00"),
        ("quorum w1\r", "the byte 0x0d"),
        ("quorum w1\x7f", "the byte 0x7f"),
        ("quorum\u00a0w1", "no line begins with"),
    ],
    # The keys are made anew in each process, and names must agree in all.
    ids=map(str, itertools.count()),
)
def test_malformed(line: str, reason: str) -> None:
    """What is wrong is said with the number of its line."""
    before = f"log {VLOG}\n{WITNESSES}witness t {_other()}\ngroup taken 1 t\ngroup outer 1 taken\n"
    with pytest.raises(MalformedError, match=r"line [89]") as caught:
        parse(before + line)
    assert caught.value.code == "POLICY_MALFORMED"
    assert reason in caught.value.message


def _other() -> str:
    return encode_cosigner(cosigner("t.example", generate("ed25519").public_key))


def test_no_line_quorum() -> None:
    """A policy that asks for nothing must say so."""
    with pytest.raises(MalformedError, match="no line `quorum`"):
        parse(WITNESSES)


def test_same_key_in_two_spellings() -> None:
    """An Ed25519 key as type 0x01 and as 0x04 is one witness, and cannot vote twice."""
    new = "witness.example.com/w1+31e96a51+BHgY7bPqUzjRWeopGmw1n5wgwuz46pBARk1j2QjmcZoB"
    old = "witness.example.com/w1+24cb9df5+AXgY7bPqUzjRWeopGmw1n5wgwuz46pBARk1j2QjmcZoB"
    with pytest.raises(MalformedError, match=r"line 2.*same key"):
        parse(f"witness a {new}\nwitness b {old}\nquorum a\n")


def test_limits() -> None:
    """Bytes, line lengths and counts are bounded, and the limit is named."""
    witnesses = "".join(
        f"witness w{each} {encode_cosigner(cosigner('w', generate('ed25519').public_key))}\n"
        for each in range(101)
    )
    groups = "".join(f"group g{each} 1 g{each - 1}\n" for each in range(1, 102))
    for text in (
        "#" * 300_000,
        "#" * 8193,
        witnesses,
        f"witness g0 {V1}\n{groups}quorum none\n",
    ):
        with pytest.raises(MalformedError) as caught:
            parse(text)
        assert caught.value.code == "LIMIT_EXCEEDED"


def test_names_are_octets() -> None:
    """Names may hold any octet that is no space; equal octets are equal names."""
    data = b"witness \xff\xfe# %b\ngroup \xe9 all \xff\xfe#\nquorum \xe9\n" % V1.encode()
    policy = parse_policy(data)
    assert policy.is_met([policy.witnesses[0].name])
    with pytest.raises(MalformedError, match=r"line 1.*UTF-8"):
        parse_policy(b"witness a \xff%b\nquorum none\n" % V1.encode())


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Whatever the bytes, they are a policy or malformed."""
    with suppress(MalformedError):
        parse_policy(data)


@given(st.lists(st.sampled_from([*EXAMPLE.split(), "\n", "none", "all", "1", "#"]), max_size=40))
def test_any_words(words: list[str]) -> None:
    """Whatever the words, the lines are a policy or malformed, and a policy is met by everyone."""
    try:
        policy = parse(" ".join(words))
    except MalformedError:
        return
    assert policy.is_met({each.name for each in policy.witnesses})


def test_check() -> None:
    """A checkpoint with the log's signature and enough cosignatures is proven, in any order."""
    policy = parse(EXAMPLE)
    lines = cosign("w3", "w1")
    checkpoint = policy.check(note(*lines))
    assert (checkpoint.origin, checkpoint.size) == (ORIGIN, 7)
    assert policy.check(encode_note(TEXT, [*lines, LOG.sign(TEXT)])) == checkpoint


def test_newest_counts() -> None:
    """Of several cosignatures by one witness the newest is given."""
    policy = parse(EXAMPLE)
    both = parse_note(note(*cosign("w1", time=9), *cosign("w1", time=3)))
    assert {name: each.time for name, each in policy.cosignatures(both).items()} == {"w1": 9}


def test_not_enough() -> None:
    """Too few cosignatures are refused, and so is one witness twice."""
    policy = parse(f"log {VLOG}\n{WITNESSES}group g 2 w1 w2 w3\nquorum g\n")
    for lines in ([], cosign("w1"), cosign("w1") + cosign("w1", time=6)):
        with pytest.raises(VerificationError) as caught:
            policy.check(note(*lines))
        assert caught.value.code == "WITNESS_QUORUM"


def test_bad_cosignature() -> None:
    """A line by a known witness that does not verify spoils the checkpoint."""
    policy = parse(EXAMPLE)
    good = cosign("w1", "w2", "w3")
    bad = good[1]._replace(signature=good[1].signature[::-1])
    with pytest.raises(VerificationError) as caught:
        policy.check(note(good[0], bad, good[2]))
    assert caught.value.code == "CHECKPOINT_SIGNATURE"


def test_log_must_sign() -> None:
    """Without a log of the policy the cosignatures mean nothing."""
    policy = parse(EXAMPLE)
    lines = cosign("w1", "w3")
    stranger = note_signer(ORIGIN, generate("ed25519"))
    for envelope, code in (
        (note(*lines, log=False), "CHECKPOINT_KEYHINT"),
        (encode_note(TEXT, [stranger.sign(TEXT), *lines]), "CHECKPOINT_KEYHINT"),
        (encode_note(TEXT, [LOG.sign("other\n"), *lines]), "CHECKPOINT_SIGNATURE"),
        ("nonsense", "CHECKPOINT_MALFORMED"),
    ):
        with pytest.raises((VerificationError, MalformedError)) as caught:
            policy.check(envelope)
        assert caught.value.code == code


def test_other_origin() -> None:
    """A log's key is good for the origin that it names, and for no other."""
    text = encode_checkpoint("other.example", 7, bytes(32))
    with pytest.raises(VerificationError) as caught:
        parse(f"log {VLOG}\nquorum none\n").check(encode_note(text, [LOG.sign(text)]))
    assert caught.value.code == "CHECKPOINT_KEYHINT"
