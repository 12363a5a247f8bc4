"""Thresholds: what they count, and that the same voice counts once."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from tests.verify.certificates import NOW, authority, new_key, stamper
from tests.verify.mint import NAME, Mint, only_entry, refused
from tests.verify.promises import sct, stamp
from tests.verify.trust import ca_json, log_json
from touchplate.errors import SettingsError
from touchplate.formats.trusted_root import TrustedRoot
from touchplate.verify import Options

SECOND = timedelta(seconds=1)
SECOND_TSA_ROOT = authority("second tsa root", number=900)
SECOND_TSA = stamper("second tsa", SECOND_TSA_ROOT, number=901)


def second_log(mint: Mint) -> Mint:
    """Give the same instance with other log keys."""
    return mint.with_(v1_key=new_key("p256", 910), v2_key=new_key("p256", 911))


def both_worlds(mint: Mint, operator: str = "") -> TrustedRoot:
    """Give a trusted root with two of everything; with an operator, both of that one."""
    second = second_log(mint)

    def double(root: dict[str, Any]) -> None:
        root["mediaType"] = "application/vnd.dev.sigstore.trustedroot.v0.2+json"
        root["tlogs"] += second.trusted_root_json()["tlogs"]
        root["ctlogs"].append(log_json("https://ct2.example.test", new_key("p256", 912)))
        root["timestampAuthorities"].append(
            ca_json("https://tsa2.example.test", SECOND_TSA, SECOND_TSA_ROOT)
        )
        for name in ("tlogs", "ctlogs", "timestampAuthorities"):
            for entry in root[name]:
                entry["operator"] = operator

    return mint.trusted_root(double)


def logged_twice(mint: Mint, shape: str = "v1-message") -> dict[str, Any]:
    """Give a bundle with the same body in two logs."""
    leaf = mint.leaf()
    seen: list[bytes] = []

    def keep(value: bytes) -> Sequence[bytes]:
        seen.append(value)
        return [stamp(value, mint.tsa)]

    first = mint.bundle(shape, leaf=leaf, stamps=keep)
    again = second_log(mint).bundle(shape, leaf=leaf, signature=seen[0])
    first["verificationMaterial"]["tlogEntries"].append(only_entry(again))
    return first


def test_two_logs(mint: Mint) -> None:
    """Two logs of two operators are two; of one operator they are one."""
    members, needed = logged_twice(mint), Options(logs=2)

    assert len(mint.verify(members, options=needed, root=both_worlds(mint)).entries) == 2
    assert refused(mint, members, options=needed, root=both_worlds(mint, "one")) == "LOG_THRESHOLD"


def test_one_log_twice(mint: Mint) -> None:
    """Two entries of one log are one log."""
    members = mint.bundle("v1-message")
    entry = dict(only_entry(members))
    entry["logIndex"] = "1000003"
    mint.promise(entry, NOW)
    members["verificationMaterial"]["tlogEntries"].append(entry)

    assert len(mint.verify(members).entries) == 2
    assert refused(mint, members, options=Options(logs=2)) == "LOG_THRESHOLD"
    assert refused(mint, members, options=Options(integrated_times=2)) == "LOG_THRESHOLD"


def test_two_authorities(mint: Mint) -> None:
    """Two timestamp authorities are two, twice the same one, or two of one operator, are one."""
    two = mint.bundle(stamps=lambda value: [stamp(value, mint.tsa), stamp(value, SECOND_TSA)])
    same = mint.bundle(
        stamps=lambda value: [stamp(value, mint.tsa), stamp(value, mint.tsa, at=NOW + SECOND)]
    )
    needed = Options(timestamp_authorities=2)

    assert len(mint.verify(two, options=needed, root=both_worlds(mint)).times) == 2
    assert len(mint.verify(same, root=both_worlds(mint)).times) == 2
    assert refused(mint, same, options=needed, root=both_worlds(mint)) == "LOG_THRESHOLD"
    assert refused(mint, two, options=needed, root=both_worlds(mint, "one")) == "LOG_THRESHOLD"


def test_observers(mint: Mint) -> None:
    """Observers are authorities and promising logs together."""
    both = mint.bundle("v1-message", stamps=lambda value: [stamp(value, mint.tsa)])

    assert mint.verify(both, options=Options(observers=2)).identity == NAME
    assert refused(mint, both, options=Options(observers=3)) == "LOG_THRESHOLD"
    assert refused(mint, mint.bundle("v1-message"), options=Options(observers=2)) == "LOG_THRESHOLD"


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ("v1-message", Options(timestamp_authorities=1)),
        ("v2-message", Options(integrated_times=1)),
        ("v1-message", Options(logs=2)),
        ("v1-message", Options(integrated_times=2)),
    ],
)
def test_too_few(mint: Mint, shape: str, options: Options) -> None:
    """Each threshold is asked for."""
    assert refused(mint, mint.bundle(shape), options=options) == "LOG_THRESHOLD"


def test_a_time_is_always_needed(mint: Mint) -> None:
    """A certificate is never proven without a time, even if no observer is asked for."""
    members = mint.bundle("v2-message", stamps=lambda value: [])

    assert refused(mint, members, options=Options(observers=0)) == "NO_VERIFIED_TIME"


def test_two_certificate_logs(mint: Mint) -> None:
    """Two promises of two logs are two; of one log, or one operator, they are one."""

    def two(tbs: bytes, issuer: bytes) -> Sequence[bytes]:
        return [sct(tbs, issuer, mint.ct_key), sct(tbs, issuer, new_key("p256", 912))]

    def same(tbs: bytes, issuer: bytes) -> Sequence[bytes]:
        return [sct(tbs, issuer, mint.ct_key), sct(tbs, issuer, mint.ct_key, at=NOW + SECOND)]

    needed = Options(certificate_logs=2)
    good, single = (mint.bundle(leaf=mint.leaf(scts=made)) for made in (two, same))
    assert mint.verify(good, options=needed, root=both_worlds(mint)).identity == NAME
    assert refused(mint, single, options=needed, root=both_worlds(mint)) == "SCT_INVALID"
    assert refused(mint, good, options=needed, root=both_worlds(mint, "one")) == "SCT_INVALID"


def test_no_log_needed(mint: Mint) -> None:
    """Without the threshold an entry may be missing; one of a known log must hold all the same."""
    none, spoiled = mint.bundle(), mint.bundle()
    none["verificationMaterial"]["tlogEntries"] = []
    only_entry(spoiled)["inclusionProof"]["hashes"].pop()

    assert mint.verify(none, options=Options(logs=0)).entries == ()
    assert refused(mint, spoiled, options=Options(logs=0)) == "INCLUSION_PROOF_INVALID"


@pytest.mark.parametrize(
    "name", ["logs", "certificate_logs", "timestamp_authorities", "integrated_times", "observers"]
)
def test_below_zero(name: str) -> None:
    """A threshold below zero is a mistake, not a permission."""
    with pytest.raises(SettingsError):
        Options(**{name: -1})  # type: ignore[arg-type]  # the name is one of an integer
