"""The certificate extensions of Sigstore, 1.3.6.1.4.1.57264.1.N: a table, walked by everything.

Encoding, decoding, policy and documentation use `EXTENSIONS`; a new extension is a new row. The
first six hold the bare UTF-8 bytes in their value (which is not DER), the later ones a DER
UTF8String. Source: `fulcio: docs/oid-info.md`. Our own addition, how the signer logged in, is in
`authentication.py`.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from touchplate.errors import MalformedError
from touchplate.formats.certificate import Certificate
from touchplate.formats.element import UTF8_STRING, DerError, encode, expect_last, oid_octets

ARC: Final = "1.3.6.1.4.1.57264.1"


class CertificateExtension(NamedTuple):
    """One row: the last arc of the OID, the name in policies, and how the text is encoded."""

    number: int
    name: str
    is_raw: bool
    meaning: str
    oid: bytes
    """The content octets of the whole OID."""


def _row(number: int, name: str, encoding: str, meaning: str) -> CertificateExtension:
    oid = oid_octets(f"{ARC}.{number}")
    return CertificateExtension(number, name, encoding == "raw", meaning, oid)


EXTENSIONS: Final = (
    _row(1, "issuerV1", "raw", "who vouched for the identity; deprecated, see `issuer`"),
    _row(2, "githubWorkflowTrigger", "raw", "event that started the workflow; deprecated"),
    _row(3, "githubWorkflowSha", "raw", "commit of the workflow; deprecated"),
    _row(4, "githubWorkflowName", "raw", "name of the workflow; deprecated"),
    _row(5, "githubWorkflowRepository", "raw", "repository of the workflow; deprecated"),
    _row(6, "githubWorkflowRef", "raw", "git ref of the workflow; deprecated"),
    _row(8, "issuer", "utf8", "who vouched for the identity"),
    _row(9, "buildSignerUri", "utf8", "build instructions that signed"),
    _row(10, "buildSignerDigest", "utf8", "version of those instructions"),
    _row(11, "runnerEnvironment", "utf8", "kind of machine that ran the build"),
    _row(12, "sourceRepositoryUri", "utf8", "repository that was built"),
    _row(13, "sourceRepositoryDigest", "utf8", "commit that was built"),
    _row(14, "sourceRepositoryRef", "utf8", "git ref that was built"),
    _row(15, "sourceRepositoryIdentifier", "utf8", "immutable id of the repository"),
    _row(16, "sourceRepositoryOwnerUri", "utf8", "owner of the repository"),
    _row(17, "sourceRepositoryOwnerIdentifier", "utf8", "immutable id of the owner"),
    _row(18, "buildConfigUri", "utf8", "top-level build instructions"),
    _row(19, "buildConfigDigest", "utf8", "version of those instructions"),
    _row(20, "buildTrigger", "utf8", "event that started the build"),
    _row(21, "runInvocationUri", "utf8", "the run"),
    _row(22, "sourceRepositoryVisibility", "utf8", "visibility of the repository when signing"),
    _row(23, "deploymentEnvironment", "utf8", "environment that the build deployed to"),
    _row(24, "tokenSubject", "utf8", "subject of the identity token, as it stood"),
)

BY_NAME: Final[Mapping[str, CertificateExtension]] = {row.name: row for row in EXTENSIONS}
BY_NUMBER: Final[Mapping[int, CertificateExtension]] = {row.number: row for row in EXTENSIONS}


def encode_extension(row: CertificateExtension, text: str) -> bytes:
    """The octets of the extension's value for this text. An empty text is never encoded."""
    if not text:
        raise AssertionError(f"extension {row.name} without a text")
    octets = text.encode("utf-8")
    return octets if row.is_raw else encode(UTF8_STRING, octets)


def decode_extension(certificate: Certificate, row: CertificateExtension) -> str | None:
    """The text of one extension, None if the certificate has it not.

    Raises MalformedError CERTIFICATE_MALFORMED: the value is not in the row's encoding.
    """
    octets = certificate.value(row.oid)
    if octets is None:
        return None
    try:
        if not row.is_raw:
            start, stop = expect_last(octets, 0, len(octets), UTF8_STRING)
            octets = octets[start:stop]
        return octets.decode("utf-8")
    except (DerError, UnicodeDecodeError) as error:
        raise MalformedError(
            "CERTIFICATE_MALFORMED", f"certificate extension {row.name}: {error}"
        ) from error


def decode_extensions(certificate: Certificate) -> dict[str, str]:
    """All extensions of the table that the certificate has, by name.

    Raises MalformedError CERTIFICATE_MALFORMED: a value is not in its encoding.
    """
    found: dict[str, str] = {}
    for row in EXTENSIONS:
        text = decode_extension(certificate, row)
        if text is not None:
            found[row.name] = text
    return found


def decode_issuer(certificate: Certificate) -> str | None:
    """Who vouched for the identity: number 8 if there, else number 1, else None."""
    issuer = decode_extension(certificate, BY_NUMBER[8])
    return decode_extension(certificate, BY_NUMBER[1]) if issuer is None else issuer
