"""Which chains the log takes."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from tests.ctlog.places import NOW, Place, new_authority
from touchplate.ca.profile import precertify
from touchplate.ctlog import AcceptedRoots
from touchplate.errors import MalformedError, RefusedError
from touchplate.keys.signer import generate
from touchplate.oidc.identity import Identity, SubjectName

Chain = tuple[bytes, ...]
AUTHORITY = new_authority()
OTHER = new_authority()
ISSUING, ROOT = (certificate.der for certificate in AUTHORITY.chain)
ROOTS = AcceptedRoots([ROOT])
PRECERTIFICATE = precertify(
    AUTHORITY,
    AUTHORITY.signer.public_key,
    Identity("https://idp.example.com", "user", SubjectName("email", "dev@example.com"), ""),
    NOW,
).chain
POISON = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.3")


def leaf(
    *, purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING, days: int = 0
) -> x509.CertificateBuilder:
    """Begin a leaf of AUTHORITY."""
    return x509.CertificateBuilder(
        issuer_name=x509.load_der_x509_certificate(ISSUING).subject,
        subject_name=x509.Name([]),
        public_key=generate().crypto.public_key(),
        serial_number=7,
        not_valid_before=NOW + timedelta(days=days),
        not_valid_after=NOW + timedelta(days=days, minutes=10),
    ).add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)


def signed(builder: x509.CertificateBuilder) -> bytes:
    """Sign a leaf."""
    certificate = builder.sign(AUTHORITY.signer.crypto, hashes.SHA256())  # type: ignore[attr-defined]  # ours has it
    return certificate.public_bytes(Encoding.DER)


PLAIN = signed(leaf())
PRECERT = signed(leaf().add_extension(x509.PrecertPoison(), critical=True))


@pytest.mark.parametrize("above", [(ISSUING,), (ISSUING, ROOT)])
def test_with_and_without_root(above: Chain) -> None:
    """The root may be left out; it is part of the path in either case."""
    found = ROOTS.check((PRECERT, *above), precertificate=True)

    assert [issuer.der for issuer in found.issuers] == [ISSUING, ROOT]
    assert found.is_precertificate
    assert found.issuer_key_hash == AUTHORITY.issuer_key_hash


@pytest.mark.parametrize("days", [-2000, 2000])
def test_times_are_not_checked(days: int) -> None:
    """A log keeps what was issued, also when it has expired."""
    assert ROOTS.check((signed(leaf(days=days)), ISSUING), precertificate=False).issuers


@pytest.mark.parametrize(
    ("chain", "precertificate"),
    [
        ((PLAIN, ISSUING), True),
        ((PRECERT, ISSUING), False),
    ],
)
def test_mismatch(chain: Chain, precertificate: bool) -> None:
    """A precertificate is not taken as a certificate, nor the reverse."""
    with pytest.raises(RefusedError, match="cert / precert mismatch"):
        ROOTS.check(chain, precertificate=precertificate)


def poisoned(value: bytes, *, critical: bool) -> bytes:
    """Make a leaf with a poison of another form."""
    extension = x509.UnrecognizedExtension(POISON, value)
    return signed(leaf().add_extension(extension, critical=critical))


@pytest.mark.parametrize(
    "chain",
    [
        lambda: (PRECERT,),
        lambda: (PRECERT, ROOT),
        lambda: (PRECERT, ROOT, ISSUING),
        lambda: (PRECERT, ISSUING, ISSUING, ROOT),
        lambda: (PRECERT, PRECERT, ISSUING),
        lambda: (PRECERT, *(certificate.der for certificate in OTHER.chain)),
        lambda: (PRECERT, ISSUING, OTHER.chain[-1].der),
        lambda: (PRECERT, OTHER.chain[0].der, ROOT),
        lambda: (poisoned(b"\x05\x00", critical=False), ISSUING),
        lambda: (poisoned(b"\x04\x00", critical=True), ISSUING),
        lambda: (signed(leaf(purpose=ExtendedKeyUsageOID.SERVER_AUTH)), ISSUING),
        lambda: (ROOT, ISSUING),
    ],
)
def test_refused(chain: Callable[[], Chain]) -> None:
    """Chains out of order, of strangers, for other purposes, or with a false poison are refused."""
    with pytest.raises(RefusedError) as caught:
        ROOTS.check(chain(), precertificate=True)

    assert caught.value.code == "CHAIN_REFUSED"


def test_other_roots() -> None:
    """A chain that is good under one root is refused where that is not accepted."""
    with pytest.raises(RefusedError):
        AcceptedRoots([OTHER.chain[-1].der]).check((PRECERT, ISSUING, ROOT), precertificate=True)


def test_known_way_still_checks_the_leaf() -> None:
    """A way that was checked before does not vouch for a leaf that was not signed by it."""
    roots = AcceptedRoots([ROOT])
    roots.check((PRECERT, ISSUING, ROOT), precertificate=True)
    forged = PRECERT[:-1] + bytes((PRECERT[-1] ^ 1,))
    with pytest.raises(RefusedError):
        roots.check((forged, ISSUING, ROOT), precertificate=True)


@given(st.integers(0, len(PRECERT) - 1), st.integers(0, 7))
def test_flipped_bit(place: int, bit: int) -> None:
    """A precertificate with any one bit changed is refused."""
    changed = bytearray(PRECERT)
    changed[place] ^= 1 << bit
    with pytest.raises((MalformedError, RefusedError)):
        ROOTS.check((bytes(changed), ISSUING), precertificate=True)


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4).map(tuple))
def test_any_bytes(chain: Chain) -> None:
    """What is no certificate is malformed or refused, wherever it stands."""
    for candidate in (chain, (PRECERT, *chain), (PRECERT, ISSUING, *chain)):
        with pytest.raises((MalformedError, RefusedError)):
            ROOTS.check(candidate, precertificate=True)


def test_nothing_is_logged_for_what_is_refused(place: Place) -> None:
    """A refused chain leaves no trace in the log."""
    with pytest.raises(RefusedError):
        place.log.submit((PRECERT, ISSUING), precertificate=True)

    assert place.log.tree_head().size == 0


@given(st.integers(0, 2), st.integers(0, 2000), st.integers(0, 7), st.integers(0, 2000))
def test_any_changed_chain(which: int, place: int, bit: int, cut: int) -> None:
    """A chain with any bit of any certificate changed, or one cut off, is refused by name."""
    chain = [bytearray(each) for each in PRECERTIFICATE]
    changed = chain[which]
    changed[place % len(changed)] ^= 1 << bit
    if cut < len(changed):
        del changed[cut:]
    with pytest.raises((MalformedError, RefusedError)):
        AcceptedRoots([ROOT]).check([bytes(each) for each in chain], precertificate=True)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4), st.booleans())
def test_any_bytes_as_chain(chain: list[bytes], precertificate: bool) -> None:
    """Any bytes in the place of certificates are refused by name."""
    with pytest.raises((MalformedError, RefusedError)):
        ROOTS.check(chain, precertificate=precertificate)
