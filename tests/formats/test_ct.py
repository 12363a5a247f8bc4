"""RFC 6962 and static-ct structures against published worked examples (toy TBS, real layout)."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import MalformedError
from touchplate.formats import ct

LOG_ID = bytes.fromhex("ac9380f9cf454fb17cfb8518f15b46c36051250e79edd6dc83c6990f0270d114")
KEY_HASH = hashlib.sha256(b"example issuer spki").digest()
TBS, PRECERT, ISSUER = (bytes.fromhex(f"30030201{n:02x}") for n in (5, 6, 7))
TIME = 1767225600123
ENTRY = ct.TimestampedEntry(TIME, KEY_HASH, TBS, b"")
LEAF_HEX = (
    "00000000019b76daa87b00013483ec63ff2c3fcb1c55fbf80914842bc772e9cac3f130c5a5fa087975f66cd8"
    "00000530030201050000"
)
CHECKPOINT = (
    "log.example.com/2026\n1\nUwklXqLG6iMEbCodJHO5LDhoPFSM7Z4uIkokMVpUFcc=\n\n"
    "— log.example.com/2026 k5x6VAAAAZt22qvoBAMARzBFAiEAwUFVKkVWykKtUWtxb8oCEYpuJw4k8rMUqWpv0sR4"
    "PBcCIF54bipzvPfIDI8vHd1LTeUbWFij8Lx9d/TTbpUr7z2N\n"
)


def leaf_hash(leaf: bytes) -> str:
    """Hash a leaf as RFC 6962 §2.1."""
    return hashlib.sha256(b"\0" + leaf).hexdigest()


def test_precert_leaf() -> None:
    """A precertificate's leaf is byte for byte the published one, and so is its hash."""
    leaf = ENTRY.encode_leaf()

    assert leaf.hex() == LEAF_HEX
    assert (
        hashlib.sha256(leaf).hexdigest()
        == "e3cbf95cbc841cc64996aab5fd4c090193cf5798d69a18b94931bb0a645dd336"
    )
    assert leaf_hash(leaf) == "5309255ea2c6ea23046c2a1d2473b92c38683c548ced9e2e224a24315a5415c7"
    assert ct.parse_leaf(leaf) == ENTRY


def test_certificate_leaf() -> None:
    """A certificate's leaf has entry type 0 and no issuer key hash."""
    entry = ct.TimestampedEntry(TIME, b"", bytes.fromhex("300100"), b"")

    assert entry.encode_leaf().hex() == "00000000019b76daa87b00000000033001000000"
    assert (
        leaf_hash(entry.encode_leaf())
        == "b1afaea59b7f39ce4561c4b28033acb6b462baf2241162618aab1f243d657ee6"
    )


def test_extra_data() -> None:
    """extra_data holds the precertificate, if it is one, and the chain above it."""
    precert = ct.TileLeaf(ENTRY, PRECERT, ())
    plain = ct.TileLeaf(ct.TimestampedEntry(TIME, b"", b"\x30\x01\0", b""), b"", ())

    assert (
        ct.encode_extra_data(precert, (ISSUER,)).hex() == "00000530030201060000080000053003020107"
    )
    assert ct.encode_extra_data(plain, (ISSUER,)).hex() == "0000080000053003020107"


def test_static_leaf() -> None:
    """With leaf_index 5 the leaf, its hash and the tile leaf are the published ones."""
    entry = ct.TimestampedEntry(TIME, KEY_HASH, TBS, ct.encode_leaf_index(5))
    issuers = (hashlib.sha256(b"cert A").digest(), hashlib.sha256(b"cert B").digest())
    tile_leaf = ct.TileLeaf(entry, PRECERT, issuers)

    assert entry.extensions.hex() == "0000050000000005"
    assert ct.parse_leaf_index(entry.extensions) == 5
    assert (
        hashlib.sha256(entry.encode_leaf()).hexdigest()
        == "d3fdf2cebc4fbbde2419b3c895986a4dbf1d7fbb48ed13e1d4e06365ac717ebc"
    )
    assert (
        leaf_hash(entry.encode_leaf())
        == "49c83708caf53dc3cf247c97903cca31a82692c29bb6c502e1fc01a1dcf5373c"
    )
    assert tile_leaf.encode().hex() == (
        "0000019b76daa87b00013483ec63ff2c3fcb1c55fbf80914842bc772e9cac3f130c5a5fa087975f66cd8"
        "00000530030201050008000005000000000500000530030201060040"
        "81b9eab8272623bd35759238502ac7e4104d8b8cef74faf8bc179ce44d15e7af"
        "4138dfb3458239ff7ec548edb2828b9a42cd082246c21cd0d436c17922b10f96"
    )
    assert ct.parse_tile_leaf(tile_leaf.encode()) == tile_leaf
    assert tile_leaf.end_entity == PRECERT


def test_tree_head_both_ways() -> None:
    """get-sth and the static checkpoint carry the same signature and convert without the key."""
    root = bytes.fromhex("5309255ea2c6ea23046c2a1d2473b92c38683c548ced9e2e224a24315a5415c7")
    head = ct.parse_checkpoint(CHECKPOINT, "log.example.com/2026", LOG_ID)

    assert head.size == 1
    assert head.timestamp_ms == 1767225601000
    assert head.signed_input().hex() == ("00010000019b76daabe80000000000000001" + root.hex())
    assert ct.encode_checkpoint("log.example.com/2026", LOG_ID, head) == CHECKPOINT
    assert head.encode_json() == (
        b'{"tree_size":1,"timestamp":1767225601000,'
        b'"sha256_root_hash":"UwklXqLG6iMEbCodJHO5LDhoPFSM7Z4uIkokMVpUFcc=",'
        b'"tree_head_signature":"BAMARzBFAiEAwUFVKkVWykKtUWtxb8oCEYpuJw4k8rMUqWpv0sR4PBcCIF54bipzvPfI'
        b'DI8vHd1LTeUbWFij8Lx9d/TTbpUr7z2N"}'
    )


def test_add_chain_response() -> None:
    """The answer carries numbers as numbers, extensions as text, and the whole DigitallySigned."""
    signature = bytes.fromhex(
        "304602210083fccf56ad0b5b3468a56d3bcf003ee1c8f000fae35fdb5f768e2ae47429e901022100"
        "f011097e8ff219775df6a8d1e496f2e8fa228f9ed7ce4f4345a47426d6f191bd"
    )
    signed = ct.encode_digitally_signed(signature)

    assert ct.parse_digitally_signed(signed) == signature
    assert ct.encode_add_chain_response(LOG_ID, TIME, ct.encode_leaf_index(5), signed) == (
        b'{"sct_version":0,"id":"rJOA+c9FT7F8+4UY8VtGw2BRJQ557dbcg8aZDwJw0RQ=",'
        b'"timestamp":1767225600123,"extensions":"AAAFAAAAAAU=","signature":"BAMASDBGAiEAg/zPVq0LWzRo'
        b"pW07zwA+4cjwAPrjX9tfdo4q5HQp6QECIQDwEQl+j/IZd132qNHklvLo+iKPntfOT0NFpHQm1vGRvQ=="
        b'"}'
    )


@given(
    st.lists(
        st.builds(
            ct.TileLeaf,
            st.builds(
                ct.TimestampedEntry,
                st.integers(0, 2**64 - 1),
                st.sampled_from([KEY_HASH]),
                st.binary(max_size=400),
                st.integers(0, ct.MAX_LEAF_INDEX).map(ct.encode_leaf_index),
            ),
            st.binary(max_size=400),
            st.lists(st.binary(min_size=32, max_size=32), max_size=4).map(tuple),
        ),
        max_size=5,
    )
)
def test_data_tile_splits(leaves: list[ct.TileLeaf]) -> None:
    """A data tile is the plain concatenation of its leaves, and is cut back into them."""
    encoded = [leaf.encode() for leaf in leaves]

    assert ct.split_data_tile(b"".join(encoded)) == encoded
    assert [ct.parse_tile_leaf(data) for data in encoded] == leaves


@given(st.binary(max_size=300))
def test_hostile_bytes(data: bytes) -> None:
    """Any bytes give a value or MalformedError, nothing else."""
    for parse in (ct.parse_tile_leaf, ct.parse_leaf, ct.parse_leaf_index, ct.parse_add_chain):
        try:
            parse(data)
        except MalformedError:
            continue


@given(st.text(max_size=200))
def test_hostile_checkpoint(text: str) -> None:
    """Any text but a checkpoint of this log with its key is refused."""
    for candidate in (text, CHECKPOINT.replace("1\n", f"{text}\n", 1), CHECKPOINT + text):
        try:
            head = ct.parse_checkpoint(candidate, "log.example.com/2026", LOG_ID)
        except MalformedError:
            continue
        assert head.root == ct.parse_checkpoint(CHECKPOINT, "log.example.com/2026", LOG_ID).root


BAD_CHAINS = [
    b"",
    b"[]",
    b"{}",
    b'{"chain":[]}',
    b'{"chain":"AA=="}',
    b'{"chain":["@@"]}',
    b'{"chain":[1]}',
    b'{"chain":[' + b",".join([b'"AA=="'] * 11) + b"]}",
]


@pytest.mark.parametrize("body", BAD_CHAINS)
def test_bad_add_chain(body: bytes) -> None:
    """A request without a usable chain, or with too long a one, is malformed."""
    with pytest.raises(MalformedError) as caught:
        ct.parse_add_chain(body)

    assert caught.value.code == "REQUEST_MALFORMED"


def test_deep_add_chain() -> None:
    """A request of many levels is refused at the limit."""
    with pytest.raises(MalformedError) as caught:
        ct.parse_add_chain(b"[" * 100_000)

    assert caught.value.code == "LIMIT_EXCEEDED"


def test_add_chain_round_trip() -> None:
    """What the client sends is what the log reads."""
    assert ct.parse_add_chain(ct.encode_add_chain((PRECERT, ISSUER))) == (PRECERT, ISSUER)


def both(record: bytes) -> tuple[object, object]:
    """Read a record in the short way and by parsing it: values, or MalformedError."""
    found: list[object] = []
    for read in (ct.promised_of_record, promised):
        try:
            found.append(read(record))
        except MalformedError as error:
            found.append(error.code)
    return found[0], found[1]


def promised(record: bytes) -> tuple[bytes, int, bytes]:
    """Read what was promised by parsing the whole record."""
    entry = ct.parse_tile_leaf(record).entry
    return entry.encode_leaf(), entry.timestamp_ms, entry.extensions


@pytest.mark.parametrize("is_precertificate", [False, True])
def test_short_way(is_precertificate: bool) -> None:
    """What was promised is what the record says when it is parsed, whichever octet is another."""
    key_hash, before = (KEY_HASH, PRECERT) if is_precertificate else (b"", b"")
    entry = ct.TimestampedEntry(TIME, key_hash, TBS, ct.encode_leaf_index(5))
    record = ct.TileLeaf(entry, before, (bytes(32), b"\1" * 32)).encode()

    short, whole = both(record)
    assert short == whole == (entry.encode_leaf(), TIME, entry.extensions)
    for place in range(len(record)):
        for value in {0, 1, 2, 31, 32, 64, 255, record[place] ^ 1, record[place] ^ 128}:
            short, whole = both(record[:place] + bytes((value,)) + record[place + 1 :])
            assert short == whole
        short, whole = both(record[:place])
        assert short == whole == "SCT_MALFORMED"


@given(st.binary(max_size=120))
def test_short_way_of_noise(data: bytes) -> None:
    """So it is for any bytes."""
    for record in (data, bytes(8) + b"\0\0" + data, bytes(8) + b"\0\1" + data):
        short, whole = both(record)
        assert short == whole
