"""What the log signs, against the published examples."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from touchplate.errors import SettingsError, VerificationError
from touchplate.formats.checkpoint import open_checkpoint
from touchplate.formats.entry_name import tree_id_of
from touchplate.formats.note import note_verifier, parse_note, parse_vkey, rekor_v1_verifier
from touchplate.keys.algorithms import by_name
from touchplate.keys.public import check_signature
from touchplate.keys.signer import PrivateKeySigner, generate
from touchplate.merkle.tree import RootHash
from touchplate.tlog.key import LogKey, log_key

# The worked examples' key: its private scalar is the SHA-256 of the phrase.
PHRASE = b"rekor dossier example log key"
LOG_ID = "455e8a9f007b73fb71a7f341cd0ef14af0d39b5b196b0a86f093271b7e35d091"
TREE_ID = 1193050959916656506
ROOT = RootHash(bytes.fromhex("d05664c4f9a6702c376dadea19c245f3a0cfcc2b5f38e517116e508d2999e317"))
P256_SHA256 = by_name("PKIX_ECDSA_P256_SHA_256")


@pytest.fixture
def key() -> LogKey:
    """The log of the worked examples."""
    scalar = int.from_bytes(sha256(PHRASE).digest(), "big")
    private = ec.derive_private_key(scalar, ec.SECP256R1())
    return log_key("rekor.example.com", PrivateKeySigner(private), TREE_ID)


def test_log_id(key: LogKey) -> None:
    """The log id is SHA-256 of the SubjectPublicKeyInfo."""
    assert key.log_id.hex() == LOG_ID


def test_promise(key: LogKey, worked: Callable[[str], bytes]) -> None:
    """The signed entry timestamp is over the published payload."""
    body = worked("hashedrekord_v001/body.json")
    encoded = b64encode(body)
    payload = json.dumps(
        {
            "body": encoded.decode(),
            "integratedTime": 1767225600,
            "logID": LOG_ID,
            "logIndex": 1000002,
        },
        separators=(",", ":"),
    ).encode()
    assert len(payload) == 877
    expected = "706e94557785e8deaa4a276e3d879df8b530d83a54d621c255dd96422da1768f"
    assert sha256(payload).hexdigest() == expected
    promise = key.sign_promise(encoded, 1767225600, 1000002)
    check_signature(key.signer.public_key, promise, payload, P256_SHA256)
    published = (
        "MEQCICMHJ2GSQ2JVbyTt3A6NXrv21upvWHbLNVK3go3xWpq0AiAu4a6xGWyBFsGrY9eBKq+1ATjrxYjL7TRDtk2g"
        "Ikkrdw=="
    )
    check_signature(key.signer.public_key, b64decode(published), payload, P256_SHA256)


def test_v1_checkpoint(key: LogKey) -> None:
    """The v1 origin has the tree id; the signature's name is the host; the hint is the log id's."""
    envelope = key.sign_v1_checkpoint(3, ROOT)
    text = f"rekor.example.com - {TREE_ID}\n3\n0FZkxPmmcCw3ba3qGcJF86DPzCtfOOUXEW5QjSmZ4xc=\n\n"
    assert envelope.startswith(text + "\N{EM DASH} rekor.example.com RV6Kn")
    assert envelope.count("\n") == 5
    opened = open_checkpoint(envelope, rekor_v1_verifier(key.signer.public_key), v1=True)
    assert (opened.size, opened.root) == (3, ROOT)


def test_checkpoint(key: LogKey) -> None:
    """The v2 origin is the signature's name, and the hint is the same as in v1."""
    envelope = key.sign_checkpoint(3, ROOT, 0)
    assert "\N{EM DASH} rekor.example.com RV6Kn" in envelope
    verifier = note_verifier("rekor.example.com", key.signer.public_key)
    assert open_checkpoint(envelope, verifier, v1=False).origin == "rekor.example.com"


@pytest.mark.parametrize("first", [bytes(8), b"\xff" * 8, b"\0" * 7 + b"\1"])
def test_tree_id(first: bytes) -> None:
    """A tree id is a positive int64 whatever the log id is."""
    assert 0 < tree_id_of(first + bytes(24)) < 2**63


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa-p384", "rsa-2048"])
def test_other_keys(kind: str) -> None:
    """A key whose promises clients do not read is refused at start."""
    with pytest.raises(SettingsError):
        log_key("log.example.test", generate(kind))


@pytest.mark.parametrize("origin", ["", "log.example.test:8443", "https://log", "a - 1", "a+b"])
def test_other_origins(origin: str) -> None:
    """A name that clients would not match with the URL's host is refused at start."""
    with pytest.raises(SettingsError):
        log_key(origin, generate())


@pytest.mark.parametrize("origin", ["localhost", "127.0.0.1", "::1", "log.example.test"])
def test_origins(origin: str) -> None:
    """Host names and addresses name a log, and its checkpoints open under that name."""
    key = log_key(origin, generate())
    envelope = key.sign_checkpoint(3, ROOT, 0)
    verifier = note_verifier(origin, key.signer.public_key)
    assert open_checkpoint(envelope, verifier, v1=False).origin == origin


def test_second_key_for_witnesses() -> None:
    """An Ed25519 line follows the log's own in v2 checkpoints; v1 and promises have one key."""
    key = log_key("log.example.test", generate("ecdsa-p256"), for_witnesses=generate("ed25519"))
    note = parse_note(key.sign_checkpoint(1, RootHash(bytes(32)), 0))
    first, second = (parse_vkey(vkey) for vkey in key.vkeys())

    assert [line.key_hint for line in note.signatures] == [first.hint, second.hint]
    assert first.hint == key.log_id[:4]
    for verifier in (first, second):
        assert verifier.name == key.origin
        verifier.check(note)
    assert len(parse_note(key.sign_v1_checkpoint(1, RootHash(bytes(32)))).signatures) == 1


def test_one_key() -> None:
    """Without witnesses there is one line and one verifier key."""
    key = log_key("log.example.test", generate("ecdsa-p256"))
    assert len(key.vkeys()) == 1
    assert len(parse_note(key.sign_checkpoint(1, RootHash(bytes(32)), 0)).signatures) == 1


def test_second_key_of_another_kind() -> None:
    """A key that signs no notes is no key for witnesses."""
    with pytest.raises(VerificationError):
        log_key("log.example.test", generate("ecdsa-p256"), for_witnesses=generate("ml-dsa-44"))
