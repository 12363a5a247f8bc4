"""The parts of a timestamp response; whole ones are in tests/tsa/test_stamp.py."""

from base64 import b64decode

import pytest

from touchplate.errors import SettingsError
from touchplate.formats.certificate import parse_certificate
from touchplate.formats.timestamp import parse_timestamp_response
from touchplate.formats.timestamp_builder import FAILURES, encode_rejection, make_template
from touchplate.keys.algorithms import by_name

ROOT = b64decode(
    "MIIBhTCCASygAwIBAgIBETAKBggqhkjOPQQDAjApMRQwEgYDVQQKEwtleGFtcGxlLmNvbTERMA8GA1UEAxMIdHNhLXJv"
    "b3QwHhcNMjYwMTAxMDAwMDAwWhcNMzUxMjMwMDAwMDAwWjApMRQwEgYDVQQKEwtleGFtcGxlLmNvbTERMA8GA1UEAxMI"
    "dHNhLXJvb3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATdrUgzTvPXEwfClYQF1DeM4Mlfe/2Vw57WSPeJsZ0rNf/l"
    "btvmrRfLUz6I2WxmniOlOB2rCvgUMJF945V4ysJTo0UwQzAOBgNVHQ8BAf8EBAMCAQYwEgYDVR0TAQH/BAgwBgEB/wIB"
    "ADAdBgNVHQ4EFgQUOMw665BS0bB7hnmCTaaqNaV9sPswCgYIKoZIzj0EAwIDRwAwRAIgCWwQuqcknAH9z1T8Of1PjBKL"
    "rrjciPuitaQ7tht13H4CIBzf8E5VZ1DL4D9NvrV7Z+oqXnIMY6B+EhbS6MpsQhhZ"
)
PUBLISHED = {
    "badAlg": "3009300702010203020780",
    "badRequest": "3009300702010203020520",
    "badDataFormat": "3009300702010203020204",
    "timeNotAvailable": "300a30080201020303010002",
    "unacceptedPolicy": "300a30080201020303000001",
    "unacceptedExtension": "300b3009020102030407000080",
    "addInfoNotAvailable": "300b3009020102030406000040",
    "systemFailure": "300c300a02010203050600000040",
}


@pytest.mark.parametrize("failure", sorted(FAILURES))
def test_rejections(failure: str) -> None:
    """Each failure bit gives the published response, which our reader takes for no token."""
    rejection = encode_rejection(failure)

    assert rejection.hex() == PUBLISHED[failure]
    assert parse_timestamp_response(rejection).token is None


@pytest.mark.parametrize("name", ["PKIX_ED25519", "ML_DSA_65", "PKIX_RSA_PSS_2048_SHA256"])
def test_algorithms_that_clients_do_not_take(name: str) -> None:
    """A template is made only for signatures that clients accept."""
    with pytest.raises(SettingsError):
        make_template(parse_certificate(ROOT), by_name(name))
