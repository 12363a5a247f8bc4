"""Admission to a v1 log: proposed entries of each kind, and what is refused of them."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from hashlib import new, sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.entries.worked import ARTIFACT, PAYLOAD, PAYLOAD_TYPE, Vector, certificate
from touchplate.entries import Claim, dsse_v001, hashedrekord_v001
from touchplate.entries.proposed import parse_proposed
from touchplate.errors import MalformedError, RefusedError, TouchplateError
from touchplate.formats.bundle import MessageSignature
from touchplate.formats.certificate import parse_certificate
from touchplate.formats.dsse import pae
from touchplate.keys.algorithms import by_name
from touchplate.keys.pem import encode_pem
from touchplate.keys.signer import PrivateKeySigner, generate

Worked = Callable[[str], Vector]
KINDS = ["hashedrekord_v001", "dsse_v001", "intoto_v001", "intoto_v002", "rekord_v001"]


def admit(request: object) -> bytes:
    """Give the leaf of a proposed entry."""
    data = request if isinstance(request, bytes) else json.dumps(request).encode()
    return parse_proposed(data).admit().body


def refused(request: object) -> str:
    """Give the code with which a proposed entry is refused."""
    with pytest.raises(TouchplateError) as caught:
        admit(request)
    return caught.value.code


def pem_of(signer: PrivateKeySigner) -> str:
    """Give a signer's public key as a v1 request holds it."""
    return b64encode(encode_pem("PUBLIC KEY", signer.public_key.spki)).decode()


def message_by(signer: PrivateKeySigner) -> dict[str, Any]:
    """Make a hashedrekord request for the artifact."""
    name = signer.algorithm.hash
    assert name is not None
    request = {
        "data": {"hash": {"algorithm": name, "value": _hash(name)}},
        "signature": {
            "content": b64encode(signer.sign(ARTIFACT)).decode(),
            "publicKey": {"content": pem_of(signer)},
        },
    }
    return {"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": request}


def _hash(name: str) -> str:
    return new(name, ARTIFACT).hexdigest()


def envelope_by(*signers: PrivateKeySigner) -> dict[str, Any]:
    """Make a dsse request for the payload, signed by each signer."""
    signatures = [
        {"keyid": "", "sig": b64encode(signer.sign(pae(PAYLOAD_TYPE, PAYLOAD))).decode()}
        for signer in signers
    ]
    envelope = {
        "payload": b64encode(PAYLOAD).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": signatures,
    }
    proposed = {
        "envelope": json.dumps(envelope),
        "verifiers": [pem_of(signer) for signer in signers],
    }
    return {"apiVersion": "0.0.1", "kind": "dsse", "spec": {"proposedContent": proposed}}


@pytest.mark.parametrize("folder", KINDS)
def test_worked_example(worked: Worked, folder: str) -> None:
    """The request of each worked example gives its leaf, byte for byte."""
    vector = worked(folder)
    body = admit(vector.request)
    assert body == vector.body
    assert sha256(b"\0" + body).hexdigest() == vector.leaf_hash


def test_request_of_a_claim(worked: Worked) -> None:
    """What the signer asks for is what the worked example asks for."""
    message, envelope = worked("hashedrekord_v001"), worked("dsse_v001")
    assert admit(hashedrekord_v001.encode_request(message.claim())) == message.body
    assert admit(dsse_v001.encode_request(envelope.claim())) == envelope.body


@pytest.mark.parametrize("folder", KINDS)
def test_nulls_and_more(worked: Worked, folder: str) -> None:
    """Null is absent and unknown members are ignored: sigstore-python sends both."""
    request = json.loads(worked(folder).request)
    request["spec"] |= {"signatures": None, "envelopeHash": None, "somethingNew": {}}
    if folder == "hashedrekord_v001":
        del request["spec"]["signatures"]
    assert admit(request | {"more": [1]}) == worked(folder).body


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("ecdsa-p384", "PKIX_ECDSA_P384_SHA_384"),
        ("ecdsa-p521", "PKIX_ECDSA_P521_SHA_512"),
        ("ed25519", "PKIX_ED25519_PH"),
        ("rsa-2048", "PKIX_RSA_PKCS1V15_2048_SHA256"),
    ],
)
def test_allowed_algorithms(kind: str, name: str) -> None:
    """A hashedrekord of each kind of key is taken; Ed25519 means Ed25519ph."""
    request = message_by(generate(kind, by_name(name)))
    assert json.loads(admit(request))["spec"]["data"] == request["spec"]["data"]


def test_sha256_on_a_large_curve() -> None:
    """A P-384 key with SHA-256 is refused in new hashedrekord entries."""
    signer = generate("ecdsa-p384", by_name("PKIX_ECDSA_P384_SHA_256"))
    assert refused(message_by(signer)) == "ALGORITHM_REFUSED"


def test_dsse_of_old_signers() -> None:
    """In dsse entries a P-384 key may sign with SHA-256, and Ed25519 is pure."""
    admit(envelope_by(generate("ecdsa-p384", by_name("PKIX_ECDSA_P384_SHA_256"))))
    admit(envelope_by(generate("ecdsa-p384")))
    admit(envelope_by(generate("ed25519")))


@pytest.mark.parametrize(
    ("kind", "name"),
    [("ed25519", "PKIX_ED25519_PH"), ("rsa-2048", "PKIX_RSA_PSS_2048_SHA256")],
)
def test_dsse_of_other_schemes(kind: str, name: str) -> None:
    """In dsse entries Ed25519 is pure and RSA is PKCS #1 v1.5: other clients read nothing else."""
    assert refused(envelope_by(generate(kind, by_name(name)))) == "SIGNATURE_INVALID"


def test_kinds_of_a_setting(worked: Worked) -> None:
    """A log that does not take a kind refuses it before it looks at the version."""
    request = json.loads(worked("dsse_v001").request) | {"apiVersion": "9.9.9"}
    proposed = parse_proposed(json.dumps(request).encode())
    with pytest.raises(RefusedError, match="'dsse' is not enabled for submission"):
        proposed.admit(kinds=frozenset({"hashedrekord"}))
    with pytest.raises(RefusedError, match=r"version '9\.9\.9'"):
        proposed.admit()


@pytest.mark.parametrize("folder", KINDS)
def test_locate(worked: Worked, folder: str) -> None:
    """The leaf to look for is the one that the request would make."""
    assert parse_proposed(worked(folder).request).locate() == worked(folder).body


@pytest.mark.parametrize("folder", ["hashedrekord_v001", "dsse_v001", "intoto_v001"])
def test_locate_logged_form(worked: Worked, folder: str) -> None:
    """The body that a log holds is also one to look for, and does not make a new entry."""
    assert parse_proposed(worked(folder).body).locate() == worked(folder).body
    if folder != "hashedrekord_v001":
        assert refused(worked(folder).body) == "REQUEST_MALFORMED"


def test_dsse_proposed_and_logged(worked: Worked) -> None:
    """A dsse entry is proposed or stated, not both, and stated in full."""
    request, body = (json.loads(getattr(worked("dsse_v001"), name)) for name in ("request", "body"))
    both = request | {"spec": request["spec"] | body["spec"]}
    assert refused(both) == "REQUEST_MALFORMED"
    del body["spec"]["payloadHash"]
    with pytest.raises(MalformedError, match="either proposedContent or envelopeHash"):
        parse_proposed(json.dumps(body).encode()).locate()


def test_dsse_signatures_are_sorted() -> None:
    """The leaf does not depend on the order of the signatures, each stands beside its verifier."""
    signers = [generate("ecdsa-p256") for _ in range(3)]
    request = envelope_by(*signers)
    request["spec"]["proposedContent"]["verifiers"].reverse()
    logged = json.loads(admit(request))["spec"]["signatures"]
    assert logged == sorted(logged, key=lambda signature: str(signature["signature"]))
    envelope = json.loads(request["spec"]["proposedContent"]["envelope"])
    pairs = {
        signature["sig"]: pem_of(signer)
        for signature, signer in zip(envelope["signatures"], signers, strict=True)
    }
    assert pairs == {signature["signature"]: signature["verifier"] for signature in logged}


def test_dsse_envelope_as_sent(worked: Worked) -> None:
    """The envelope's hash is of its text as sent, so other white space is another entry."""
    request = json.loads(worked("dsse_v001").request)
    proposed = request["spec"]["proposedContent"]
    proposed["envelope"] = " " + proposed["envelope"]
    logged = json.loads(admit(request))["spec"]["envelopeHash"]["value"]
    assert logged == sha256(proposed["envelope"].encode()).hexdigest()


def test_dsse_unverified_signature() -> None:
    """Every signature must be by one of the verifiers."""
    request = envelope_by(generate("ecdsa-p256"), generate("ecdsa-p256"))
    request["spec"]["proposedContent"]["verifiers"].pop()
    assert refused(request) == "SIGNATURE_INVALID"


def test_dsse_with_the_logs_own_members(worked: Worked) -> None:
    """Hashes are for the log to make."""
    request = json.loads(worked("dsse_v001").request)
    request["spec"]["payloadHash"] = {"algorithm": "sha256", "value": "00" * 32}
    assert refused(request) == "REQUEST_MALFORMED"


@pytest.mark.parametrize("count", [0, 11])
def test_dsse_counts(count: int) -> None:
    """An entry has 1 to 10 signatures: each may cost a verification per verifier."""
    signer = generate("ecdsa-p256")
    request = envelope_by(*([signer] * count))
    assert refused(request) == "REQUEST_MALFORMED"


def test_canonical_pem(worked: Worked) -> None:
    """White space, CRLF and text before the block do not change the leaf."""
    vector = worked("hashedrekord_v001")
    request = json.loads(vector.request)
    key = request["spec"]["signature"]["publicKey"]
    text = b"a key:\r\n" + b64decode(key["content"]).replace(b"\n", b"\r\n").rstrip()
    key["content"] = b64encode(text).decode()
    assert admit(request) == vector.body


def test_hex_keeps_its_case(worked: Worked) -> None:
    """The digest stands in the leaf in the letter case in which it was sent."""
    request = json.loads(worked("hashedrekord_v001").request)
    value = request["spec"]["data"]["hash"]["value"].upper()
    request["spec"]["data"]["hash"]["value"] = value
    assert json.loads(admit(request))["spec"]["data"]["hash"]["value"] == value


def test_chain() -> None:
    """A leaf with its chain after it is stored whole, and the leaf's key verifies."""
    signer, other = generate(), generate()
    leaf, issuer = certificate(signer, other), certificate(other)
    chain = encode_pem("CERTIFICATE", leaf) + encode_pem("CERTIFICATE", issuer)
    request = message_by(signer)
    request["spec"]["signature"]["publicKey"]["content"] = b64encode(chain).decode()
    body = admit(request)
    stored = json.loads(body)["spec"]["signature"]["publicKey"]["content"]
    assert b64decode(stored) == chain
    claim = Claim(
        MessageSignature(None, None, b""),
        b64decode(request["spec"]["signature"]["content"]),
        signer.public_key,
        parse_certificate(leaf),
        lambda name: new(name, ARTIFACT).digest(),
    )
    hashedrekord_v001.match(body, claim)
    with pytest.raises(TouchplateError, match="another certificate"):
        hashedrekord_v001.match(body, claim._replace(certificate=parse_certificate(issuer)))
    # The key that counts is the first certificate's.
    request["spec"]["signature"]["publicKey"]["content"] = chain_of(issuer, issuer)
    assert refused(request) == "SIGNATURE_INVALID"


def chain_of(*ders: bytes) -> str:
    """Write certificates as a v1 request holds them."""
    return b64encode(b"".join(encode_pem("CERTIFICATE", der) for der in ders)).decode()


@pytest.mark.parametrize("case", ["turned", "unrelated", "too late", "too early", "gap"])
def test_no_chain(case: str) -> None:
    """Each certificate was issued by the next, and all held when the leaf began."""
    signer, middle, root = generate(), generate(), generate()
    leaf, root_der = certificate(signer, middle), certificate(root)
    chains = {
        "turned": (certificate(middle), leaf),
        "unrelated": (leaf, root_der),
        "too late": (leaf, certificate(middle, days=1)),
        "too early": (leaf, certificate(middle, days=-11)),
        "gap": (leaf, certificate(middle, root), certificate(signer)),
    }
    request = message_by(signer)
    key = request["spec"]["signature"]["publicKey"]
    key["content"] = chain_of(leaf, certificate(middle, root, days=-1), certificate(root, days=-2))
    admit(request)
    key["content"] = chain_of(*chains[case])
    with pytest.raises(MalformedError, match="certificate chain"):
        admit(request)


@pytest.mark.parametrize("count", [2, 11])
def test_bad_chain(count: int) -> None:
    """Two public keys are no chain, and a chain has at most ten certificates."""
    signer = generate()
    pem = encode_pem("PUBLIC KEY", signer.public_key.spki)
    if count > 2:
        pem = encode_pem("CERTIFICATE", certificate(signer))
    request = message_by(signer)
    request["spec"]["signature"]["publicKey"]["content"] = b64encode(pem * count).decode()
    assert refused(request) == "REQUEST_MALFORMED"


@pytest.mark.parametrize(
    "value", ["", "zz" * 32, "00" * 31, "00" * 33, " " + "0" * 63, "0 " * 32, "é" * 64]
)
def test_not_a_digest(worked: Worked, value: str) -> None:
    """The digest is hex of the hash's length, without white space."""
    request = json.loads(worked("hashedrekord_v001").request)
    request["spec"]["data"]["hash"]["value"] = value
    assert refused(request) == "REQUEST_MALFORMED"


def test_digest_with_spaces(worked: Worked) -> None:
    """The very digest that was signed, spelled with white space, would go into the leaf so."""
    request = json.loads(worked("hashedrekord_v001").request)
    hashed = request["spec"]["data"]["hash"]
    hashed["value"] = f"{hashed['value'][:8]} {hashed['value'][8:]}"
    assert refused(request) == "REQUEST_MALFORMED"


def test_other_pem_block(worked: Worked) -> None:
    """Only PKIX public keys and certificates are taken."""
    request = json.loads(worked("hashedrekord_v001").request)
    key = request["spec"]["signature"]["publicKey"]
    text = b64decode(key["content"]).replace(b"PUBLIC KEY", b"EC PUBLIC KEY")
    key["content"] = b64encode(text).decode()
    assert refused(request) == "REQUEST_MALFORMED"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"kind": "sonnet"}, "ENTRY_KIND_UNSUPPORTED"),
        ({"kind": None}, "ENTRY_KIND_UNSUPPORTED"),
        ({"kind": "rpm"}, "ENTRY_REFUSED"),
        ({"apiVersion": "0.0.9"}, "ENTRY_REFUSED"),
        ({"apiVersion": None}, "REQUEST_MALFORMED"),
        ({"apiVersion": "0.0"}, "REQUEST_MALFORMED"),
        ({"apiVersion": "0.0.1\n"}, "REQUEST_MALFORMED"),
        ({"spec": None}, "REQUEST_MALFORMED"),
        ({"spec": []}, "REQUEST_MALFORMED"),
        ({"spec": {}}, "REQUEST_MALFORMED"),
    ],
)
def test_refused(worked: Worked, changes: dict[str, Any], code: str) -> None:
    """Kinds, versions and members that the log does not take, each with its own code."""
    assert refused(json.loads(worked("hashedrekord_v001").request) | changes) == code


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("signature", "missing signature"),
        ("signature.content", "missing signature"),
        ("signature.publicKey", "missing public key"),
        ("data", "missing data"),
        ("data.hash", "missing hash"),
        ("data.hash.value", "missing hash value"),
        ("data.hash.algorithm", "invalid value for hash"),
    ],
)
def test_missing_parts(worked: Worked, path: str, words: str) -> None:
    """What is missing is said in upstream's words."""
    request = json.loads(worked("hashedrekord_v001").request)
    *above, name = path.split(".")
    inner = request["spec"]
    for each in above:
        inner = inner[each]
    inner[name] = None
    with pytest.raises(MalformedError, match=f"^{words}"):
        admit(request)


def test_intoto_without_digest(worked: Worked) -> None:
    """The sender of an intoto entry must give the envelope's digest."""
    request = json.loads(worked("intoto_v002").request)
    del request["spec"]["content"]["hash"]["value"]
    assert refused(request) == "REQUEST_MALFORMED"


@given(data=st.data())
def test_changed_anywhere(worked: Worked, data: st.DataObject) -> None:
    """A request with any one byte changed is taken whole or refused with one of our errors."""
    request = bytearray(worked(data.draw(st.sampled_from(KINDS))).request)
    request[data.draw(st.integers(0, len(request) - 1))] = data.draw(st.integers(0, 255))
    try:
        admit(bytes(request))
    except TouchplateError:
        return
