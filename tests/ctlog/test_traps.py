"""The traps of a certificate log, by number: each is one test that only that mistake fails.

Trap 19 is of another log's key file, and not here.
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from concurrent.futures import wait
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from tests.ctlog.places import NOW, ORIGIN, Clock, Place, new_authority, sha256
from touchplate.ctlog import AcceptedRoots, tile_log_settings
from touchplate.errors import SettingsError
from touchplate.formats import ct, der
from touchplate.formats.certificate import PRECERT_POISON, parse_certificate
from touchplate.keys.public import check_signature
from touchplate.keys.signer import generate
from touchplate.merkle.tree import leaf_hash
from touchplate.transport.asgi import Response


def get(place: Place, path: str, query: str = "") -> Any:
    """Get JSON below /ct/v1/."""
    response = place.call("GET", f"/ct/v1/{path}", query)
    assert response.status == 200, response.body
    return json.loads(response.body)


def add(place: Place, number: int = 0, certificates: int = 9) -> Response:
    """Submit a precertificate with so much of its chain."""
    chain = place.precertificate(number).chain[:certificates]
    return place.call("POST", "/ct/v1/add-pre-chain", body=ct.encode_add_chain(chain))


def added(place: Place, number: int = 0) -> dict[str, Any]:
    """Submit one, and read the promise."""
    response = add(place, number)
    assert response.status == 200, response.body
    found: dict[str, Any] = json.loads(response.body)
    return found


def leaf_input(place: Place, index: int = 0) -> bytes:
    """Read the leaf of an entry."""
    entries = get(place, "get-entries", f"start={index}&end={index}")["entries"]
    return b64decode(entries[0]["leaf_input"])


def signed_input(place: Place) -> None:
    """Trap 1: what is signed is version, type and time first, without log id or leaf prefix."""
    sct = added(place)
    leaf = leaf_input(place)
    assert leaf[:10] == b"\0\0" + sct["timestamp"].to_bytes(8, "big")
    signature = ct.parse_digitally_signed(b64decode(sct["signature"]))
    check_signature(place.signer.public_key, signature, leaf, place.signer.algorithm)


def digitally_signed(place: Place) -> None:
    """Trap 2: the signature in JSON begins with its algorithms."""
    assert added(place)["signature"].startswith("BAM")


def extensions_are_text(place: Place) -> None:
    """Trap 3: extensions are base64 text of the raw octets, and part of what is signed."""
    extensions = added(place)["extensions"]
    assert extensions == "AAAFAAAAAAA="
    assert leaf_input(place).endswith(b"\0\x08" + b64decode(extensions))


def poison_is_removed(place: Place) -> None:
    """Trap 4: without the poison all lengths around it are those of what is left."""
    sizes = set()
    for number in (0, 10, 10**20, 10**38):
        certificate = parse_certificate(place.precertificate(number).der)
        without = certificate.tbs_without(PRECERT_POISON)
        reader = der.Reader(without)
        reader.enter()
        reader.finish()  # one whole element
        assert b"\x06\x0a\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x03" not in without
        assert place.precertificate(number).tbs[:2] == without[:2]
        sizes.add(len(certificate.tbs) - len(without))
    assert sizes <= {21, 22, 23, 24}  # the poison, and lengths that need fewer octets


def length_of_length_shrinks(_: Place) -> None:
    """Trap 4, the other half: extensions of 256 octets with the poison, and fewer without it."""
    poison = bytes.fromhex("3013060a2b06010401d6790204030101ff04020500")
    for padding in range(60, 130):
        tbs, expected = _tbs(padding, poison), _tbs(padding, b"")
        assert parse_certificate(_signed(tbs)).tbs_without(PRECERT_POISON) == expected


def _tbs(padding: int, last: bytes) -> bytes:
    """Make a TBSCertificate whose extensions have about 256 octets."""
    filler = der.sequence(der.oid("1.2.3.4"), der.octet_string(bytes(100 + padding)))
    name = der.sequence()
    times = der.sequence(*(der.certificate_time(NOW),) * 2)
    algorithm = der.sequence(der.oid("1.2.840.10045.4.3.2"))
    version, serial = der.explicit(0, der.integer(2)), der.integer(7)
    spki = generate().public_key.spki if not _KEY else _KEY[0]
    _KEY[:] = [spki]
    extensions = der.explicit(3, der.sequence(filler, last))
    return der.sequence(version, serial, algorithm, name, times, name, spki, extensions)


_KEY: Final[list[bytes]] = []


def _signed(tbs: bytes) -> bytes:
    return der.sequence(
        tbs, der.sequence(der.oid("1.2.840.10045.4.3.2")), der.bit_string(b"\x30\0")
    )


def issuer_key_hash(place: Place) -> None:
    """Trap 5: the hash is of the whole key structure of who issues the leaf."""
    added(place)
    assert ct.parse_leaf(leaf_input(place)).issuer_key_hash == sha256(place.authority.issuing.spki)


def milliseconds(place: Place) -> None:
    """Trap 6: times are milliseconds since 1970."""
    at = datetime.fromtimestamp(added(place)["timestamp"] / 1000, UTC)
    assert at.year == 2026


def numbers_and_lists(place: Place) -> None:
    """Trap 7: numbers are numbers, and no proof is an empty list."""
    added(place)
    assert type(get(place, "get-sth")["tree_size"]) is int
    assert get(place, "get-sth-consistency", "first=0&second=1") == {"consistency": []}
    assert get(place, "get-entry-and-proof", "leaf_index=0&tree_size=1")["audit_path"] == []


def end_is_inclusive(place: Place) -> None:
    """Trap 8: the end is inclusive; more than there is, or than is given at once, is cut off."""
    for number in range(3):
        added(place, number)
    for query, count in (("start=0&end=0", 1), ("start=0&end=2", 3), ("start=1&end=99", 2)):
        assert len(get(place, "get-entries", query)["entries"]) == count


def plus_signs(place: Place) -> None:
    """Trap 9: a hash is standard base64; escaped or not, and not the URL's alphabet."""
    found = [leaf_hash(ct.encode_leaf_index(number)) for number in range(99)]
    text = next(each for each in (b64encode(each).decode() for each in found) if "+" in each)
    for spelled in (text, text.replace("+", "%2B"), text.replace("+", "%20")):
        response = place.call("GET", "/ct/v1/get-proof-by-hash", f"hash={spelled}&tree_size=1")
        assert response.status == 404  # understood, and not there
    spelled = text.replace("+", "-")
    assert (
        place.call("GET", "/ct/v1/get-proof-by-hash", f"hash={spelled}&tree_size=1").status == 400
    )


def duplicates(place: Place) -> None:
    """Trap 10: the same again gets the same time and index."""
    chain = place.precertificate().chain
    body = ct.encode_add_chain(chain)
    first, again = (json.loads(place.call("POST", "/ct/v1/add-pre-chain", body=body).body),) * 2
    place.clock.now_ms += 99_000
    again = json.loads(place.call("POST", "/ct/v1/add-pre-chain", body=body).body)
    assert {**again, "signature": ""} == {**first, "signature": ""}


def checkpoint_text(place: Place) -> None:
    """Trap 11: the dash is U+2014 with one space, the base64 padded, a newline at the end."""
    text = place.call("GET", "/ct/checkpoint").body.decode()
    assert re.fullmatch(
        rf"{ORIGIN}\n0\n[A-Za-z0-9+/]{{43}}=\n\n\u2014 {ORIGIN} [A-Za-z0-9+/]+={{0,2}}\n", text
    )


def signs_the_tree_head(place: Place) -> None:
    """Trap 12: a checkpoint's signature is over the tree head, not over the note's text."""
    head = place.log.tree_head()
    signature = ct.parse_digitally_signed(head.signature)
    assert len(head.signed_input()) == 50
    check_signature(place.signer.public_key, signature, head.signed_input(), place.signer.algorithm)


def tile_paths(place: Place) -> None:
    """Trap 13: widths of 1 to 255, and no tile that is wider than the tree, or of width 0."""
    added(place)
    for path, status in (
        ("000.p/1", 200),
        ("000.p/0", 404),
        ("000.p/2", 404),
        ("000.p/256", 404),
        ("000", 404),
        ("001.p/1", 404),
    ):
        assert place.call("GET", f"/ct/tile/0/{path}").status == status
        assert place.call("GET", f"/ct/tile/data/{path}").status == status


def index_has_five_octets(_: Place) -> None:
    """Trap 14: the index is 40 bits, and its length says so."""
    assert ct.encode_leaf_index(5).hex() == "0000050000000005"
    assert ct.parse_leaf_index(ct.encode_leaf_index(2**40 - 1)) == 2**40 - 1


def errors_are_text(place: Place) -> None:
    """Trap 15: errors are text, the words of the status first, and never JSON."""
    response = place.call("POST", "/ct/v1/add-chain", body=b"{}")
    assert (response.status, response.content_type) == (400, "text/plain; charset=utf-8")
    assert dict(response.headers)["x-content-type-options"] == "nosniff"
    assert response.body == (
        b"Bad Request\nlog.example.com/2026: failed to parse add-chain body: cert chain was empty\n"
    )


def root_may_be_left_out(place: Place) -> None:
    """Trap 16: with its root or without it, the same is stored: with the root."""
    assert add(place, 0, certificates=2).status == 200
    assert add(place, 1, certificates=3).status == 200
    first, second = get(place, "get-entries", "start=0&end=1")["entries"]
    chain = b"".join(len(each.der).to_bytes(3, "big") + each.der for each in place.authority.chain)
    for entry in (first, second):
        assert b64decode(entry["extra_data"]).endswith(len(chain).to_bytes(3, "big") + chain)


def expired_leaves(place: Place) -> None:
    """Trap 17: a leaf that has ended long ago is logged all the same."""
    place.clock.now_ms += 365 * 86_400_000
    assert added(place)["timestamp"] == place.clock.now_ms


def kind_of_key(_: Place) -> None:
    """Trap 18: the log's key is P-256 and nothing else."""
    for kind in ("ecdsa-p384", "rsa-2048", "ed25519"):
        with pytest.raises(SettingsError):
            tile_log_settings(generate(kind), ORIGIN, Clock())


def many_at_once(place: Place) -> None:
    """Trap 20: a promise waits for its batch only, and many of them share one."""
    chains = [place.precertificate(number).chain for number in range(64)]
    futures = [place.log.submit_own(chain) for chain in chains]
    assert not wait(futures, 10).not_done
    assert place.log.tree_head().size == 64


TRAPS: Final[tuple[Callable[[Place], None], ...]] = (
    signed_input,
    digitally_signed,
    extensions_are_text,
    poison_is_removed,
    length_of_length_shrinks,
    issuer_key_hash,
    milliseconds,
    numbers_and_lists,
    end_is_inclusive,
    plus_signs,
    duplicates,
    checkpoint_text,
    signs_the_tree_head,
    tile_paths,
    index_has_five_octets,
    errors_are_text,
    root_may_be_left_out,
    expired_leaves,
    kind_of_key,
    many_at_once,
)


@pytest.mark.parametrize("trap", TRAPS)
def test_trap(place: Place, trap: Callable[[Place], None]) -> None:
    """Each trap is avoided; what it is stands in its function."""
    assert (trap.__doc__ or "").startswith("Trap ")
    trap(place)


def test_all_are_there() -> None:
    """No trap of the log is missing."""
    numbers = {int(re.findall(r"\d+", trap.__doc__ or "")[0]) for trap in TRAPS}
    assert numbers == set(range(1, 21)) - {19}


def test_stranger(place: Place) -> None:
    """A chain to a root that is not accepted is refused with the words of other logs."""
    stranger = Place(place.log, new_authority(), place.clock, place.signer)
    response = add(stranger)
    assert response.status == 400
    assert b"failed to verify add-chain contents: chain failed to verify: " in response.body
    assert isinstance(place.log.roots, AcceptedRoots)
