"""Promises of the log: what they say, when they are given, and that they hold."""

import hashlib
from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import wait as wait_all
from contextlib import contextmanager

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.ctlog.places import ORIGIN, Clock, Place, new_authority
from touchplate.ctlog import CertificateLog, tile_log_settings
from touchplate.ctlog.routes import encode_promise
from touchplate.errors import RefusedError, SettingsError, UnavailableError
from touchplate.formats import ct
from touchplate.formats.sct import SignedCertificateTimestamp, signed_input_precert
from touchplate.keys.public import check_signature
from touchplate.keys.signer import PrivateKeySigner, generate
from touchplate.merkle.tree import EMPTY_ROOT, RootHash, leaf_hash
from touchplate.storage.database import LogTransaction
from touchplate.storage.memory import MemoryLog
from touchplate.storage.objects import MemoryObjects
from touchplate.tilelog.log import TileLog


class Rfc6979Signer(PrivateKeySigner):
    """Signs with the nonce of RFC 6979, as the worked examples do."""

    def sign(self, message: bytes) -> bytes:
        """Sign the message."""
        signature: bytes = self.crypto.sign(
            message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        )
        return signature


def example_signer() -> Rfc6979Signer:
    """Make the worked examples' key."""
    scalar = int.from_bytes(hashlib.sha256(b"example ct log key").digest(), "big")
    return Rfc6979Signer(ec.derive_private_key(scalar, ec.SECP256R1()))


def check_promise(place: Place, sct: SignedCertificateTimestamp, tbs: bytes) -> None:
    """Prove an SCT as a verifier does."""
    signed = signed_input_precert(
        sct.timestamp_ms, sct.extensions, place.authority.issuer_key_hash, tbs
    )
    assert sct.log_id == place.signer.public_key.key_id
    check_signature(place.signer.public_key, sct.signature, signed, place.signer.algorithm)


def test_worked_tree_head() -> None:
    """The checkpoint of the worked example, signature and all, is what the log signs."""
    root = RootHash(
        bytes.fromhex("5309255ea2c6ea23046c2a1d2473b92c38683c548ced9e2e224a24315a5415c7")
    )
    settings = tile_log_settings(example_signer(), ORIGIN, Clock())

    assert settings.sign(1, root, 1767225601000, ()) == (
        "log.example.com/2026\n1\nUwklXqLG6iMEbCodJHO5LDhoPFSM7Z4uIkokMVpUFcc=\n\n"
        "— log.example.com/2026 k5x6VAAAAZt22qvoBAMARzBFAiEAwUFVKkVWykKtUWtxb8oCEYpuJw4k8rMUqWpv0"
        "sR4PBcCIF54bipzvPfIDI8vHd1LTeUbWFij8Lx9d/TTbpUr7z2N\n"
    )


@pytest.mark.parametrize(
    ("extensions", "signature"),
    [
        (
            b"",
            (
                "BAMARzBFAiB/R117UAC5dhVLmHGupz1JT4wv2on0sYBVaxdRXFF+XQIhAIDDRgkhDvHlCi1WgfE43zMf"
                "rCedG8EMAkCnfkQvEAQ5"
            ),
        ),
        (
            ct.encode_leaf_index(5),
            (
                "BAMASDBGAiEAg/zPVq0LWzRopW07zwA+4cjwAPrjX9tfdo4q5HQp6QECIQDwEQl+j/IZd132qNHklvLo"
                "+iKPntfOT0NFpHQm1vGRvQ=="
            ),
        ),
    ],
)
def test_worked_promises(extensions: bytes, signature: str) -> None:
    """The promises of both worked examples are reproduced byte for byte."""
    signer, objects = example_signer(), MemoryObjects()
    tiles = TileLog(tile_log_settings(signer, ORIGIN, Clock()), MemoryLog(), objects)
    log = CertificateLog(tiles, signer, origin=ORIGIN, roots=[], objects=objects)
    key_hash = hashlib.sha256(b"example issuer spki").digest()
    entry = ct.TimestampedEntry(1767225600123, key_hash, b"\x30\3\2\1\5", extensions)
    sct = log.promise(ct.TileLeaf(entry, b"\x30\3\2\1\6", ()).encode())
    tiles.close()

    assert ct.encode_digitally_signed(sct.signature) == b64decode(signature)
    assert signature.encode() in encode_promise(sct)


@pytest.mark.parametrize("own", [True, False])
def test_promise_holds(place: Place, own: bool) -> None:
    """The SCT proves that the log holds the precertificate under the index that it names."""
    precertificate = place.precertificate()
    chain = precertificate.chain
    submit = place.log.submit_own(chain) if own else place.log.submit(chain, precertificate=True)
    sct = submit.result(10)

    check_promise(place, sct, precertificate.tbs)
    assert ct.parse_leaf_index(sct.extensions) == 0
    assert sct.timestamp_ms == place.clock.now_ms
    assert place.log.tree_head().size == 1
    assert place.log.tree_head().root == leaf_hash(
        signed_input_precert(
            sct.timestamp_ms, sct.extensions, place.authority.issuer_key_hash, precertificate.tbs
        )
    )


def test_certificate_is_an_entry_too(place: Place) -> None:
    """A final certificate is logged as itself, without an issuer key hash."""
    precertificate = place.precertificate()
    promised = place.log.submit_own(precertificate.chain).result(10)
    certificate = precertificate.with_sct(promised)
    chain = (certificate, *precertificate.chain[1:])
    sct = place.log.submit(chain, precertificate=False).result(10)
    entry = ct.TimestampedEntry(sct.timestamp_ms, b"", certificate, sct.extensions)

    check_signature(
        place.signer.public_key, sct.signature, entry.encode_leaf(), place.signer.algorithm
    )
    assert ct.parse_leaf_index(sct.extensions) == 1


def test_duplicate(place: Place) -> None:
    """The same precertificate again gets the same time and index, and the log does not grow."""
    precertificate = place.precertificate()
    first = place.log.submit_own(precertificate.chain).result(10)
    place.clock.now_ms += 60_000
    place.log.submit_own(place.precertificate(1).chain).result(10)
    again = place.log.submit(precertificate.chain[:2], precertificate=True).result(10)

    check_promise(place, again, precertificate.tbs)
    assert (again.timestamp_ms, again.extensions) == (first.timestamp_ms, first.extensions)
    assert place.log.tree_head().size == 2


def test_many_at_once(place: Place) -> None:
    """Each of many submissions at once gets a promise of its own that holds."""
    made = [place.precertificate(number) for number in range(40)]
    futures = [place.log.submit_own(precertificate.chain) for precertificate in made]
    wait_all(futures, 10)

    for precertificate, future in zip(made, futures, strict=True):
        check_promise(place, future.result(), precertificate.tbs)
    indexes = {ct.parse_leaf_index(future.result().extensions) for future in futures}
    assert indexes == set(range(40))


class BrokenLog(MemoryLog):
    """A database that fails from now on."""

    def __init__(self) -> None:
        super().__init__()
        self.is_broken = False

    @contextmanager
    def transaction(self) -> Iterator[LogTransaction]:
        """Fail as a full disk does."""
        if self.is_broken:
            raise UnavailableError("STORAGE_UNAVAILABLE", "the disk is full")
        with super().transaction() as transaction:
            yield transaction


def test_no_promise_without_storage() -> None:
    """When the entry cannot be made durable nothing is promised, and the log goes on later."""
    signer, objects, database, authority = generate(), MemoryObjects(), BrokenLog(), new_authority()
    tiles = TileLog(tile_log_settings(signer, ORIGIN, Clock()), database, objects)
    log = CertificateLog(
        tiles, signer, origin=ORIGIN, roots=[authority.chain[-1].der], objects=objects
    )
    place = Place(log, authority, Clock(), signer)
    database.is_broken = True
    with pytest.raises(UnavailableError):
        log.submit_own(place.precertificate().chain).result(10)
    assert log.tree_head().root == EMPTY_ROOT
    database.is_broken = False

    assert log.submit_own(place.precertificate().chain).result(10).log_id == log.log_id
    tiles.close()


def test_key_is_p256() -> None:
    """Verifiers take P-256 only, so the log does not start with another key."""
    with pytest.raises(SettingsError):
        tile_log_settings(generate("ecdsa-p384"), ORIGIN, Clock())


def test_own_chain_must_lead_to_a_root(place: Place) -> None:
    """Even our own authority's precertificate needs an accepted root."""
    other = new_authority()
    stranger = Place(place.log, other, place.clock, place.signer)
    with pytest.raises(RefusedError):
        place.log.submit_own(stranger.precertificate().chain)
