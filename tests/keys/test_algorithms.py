import pytest

from touchplate.errors import VerificationError
from touchplate.keys import algorithms
from touchplate.keys.algorithms import ALGORITHMS, by_name, by_number, by_registry, for_key


def test_names_and_numbers_are_unique() -> None:
    """Each row has a name and a number of its own, so that lookups mean one thing."""
    assert len({row.name for row in ALGORITHMS}) == len(ALGORITHMS)
    assert len({row.number for row in ALGORITHMS}) == len(ALGORITHMS)


@pytest.mark.parametrize("row", ALGORITHMS, ids=lambda row: row.name)
def test_lookup(row: algorithms.Algorithm) -> None:
    """Every row is found by name and number, and by its registry name if it has one."""
    assert by_name(row.name) is row
    assert by_number(row.number) is row
    if row.registry:
        assert by_registry(row.registry) is row


@pytest.mark.parametrize("name", ["", "PUBLIC_KEY_DETAILS_UNSPECIFIED", "LMS_SHA256", "x"])
def test_unknown_name(name: str) -> None:
    """A name that is not supported is an error of ours, for each of the three lookups."""
    with pytest.raises(VerificationError) as error:
        by_name(name)
    assert error.value.code == "KEY_UNREADABLE"
    with pytest.raises(VerificationError):
        by_registry(name)


@pytest.mark.parametrize("number", [0, 14, 15, 24, -1])
def test_unknown_number(number: int) -> None:
    """Unspecified, LMS and LM-OTS are not supported."""
    with pytest.raises(VerificationError):
        by_number(number)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("ecdsa-p256", ["PKIX_ECDSA_P256_SHA_256"]),
        ("ecdsa-p384", ["PKIX_ECDSA_P384_SHA_384", "PKIX_ECDSA_P384_SHA_256"]),
        ("ecdsa-p521", ["PKIX_ECDSA_P521_SHA_512", "PKIX_ECDSA_P521_SHA_256"]),
        ("rsa-2048", ["PKIX_RSA_PKCS1V15_2048_SHA256", "PKIX_RSA_PSS_2048_SHA256"]),
        ("ed25519", ["PKIX_ED25519", "PKIX_ED25519_PH"]),
        ("ml-dsa-65", ["ML_DSA_65"]),
    ],
)
def test_order_of_a_keys_algorithms(kind: str, names: list[str]) -> None:
    """A key's own algorithm comes first, SHA-256 with a larger curve after it; none twice."""
    assert [row.name for row in for_key(kind)] == names


def test_hash_names() -> None:
    """The hash names of Rekor v1 and of protobuf correspond, both ways."""
    for protobuf, name in algorithms.HASH_FROM_PROTOBUF.items():
        assert algorithms.HASH_TO_PROTOBUF[name] == protobuf
        assert protobuf in algorithms.HASH_NUMBERS.values()
        assert name in algorithms.HASH_SIZES
