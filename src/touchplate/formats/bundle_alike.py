"""Bundles that are laid out alike: one reads like the last, but for a dozen strings.

`BundleReader` in `bundle.py` loads this when it meets a beginning for the second time, so a command
that verifies one bundle does not. What is taken here `_usual` there would take, as the same value.
"""

from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from touchplate.errors import MalformedError
from touchplate.formats.base64text import parse_base64
from touchplate.formats.bundle import (
    LOG_ID_BYTES,
    Bundle,
    CertificateMaterial,
    Envelope,
    EnvelopeSignature,
    InclusionProof,
    MessageSignature,
    TransparencyLogEntry,
    usual_signature,
    usual_text,
)
from touchplate.formats.certificate import Certificate, parse_certificate
from touchplate.formats.jsontext import MAX_INT64, JsonObject
from touchplate.formats.layout import Layout, Path, Spots, layout_of, spots_of, unescape
from touchplate.formats.limits import MAX_ENTRY_BODY_BYTES, MAX_PROOF_HASHES

_new: Final = tuple.__new__
"""Makes a named tuple of all its values, in half the time of calling its class."""


class ComparedEntry(TransparencyLogEntry):
    """An entry whose body was compared as base64, which is kept."""

    _base64: bytes | None = None

    @property
    def body_base64(self) -> bytes:
        """As in the class above; a changed copy has nothing that was kept."""
        return super().body_base64 if self._base64 is None else self._base64


def _compared(values: tuple[Any, ...], text: bytes) -> ComparedEntry:
    entry = _new(ComparedEntry, values)
    entry._base64 = text  # noqa: SLF001 - the class is this module's
    return entry


class Repeated(NamedTuple):
    """How the body of an entry repeats the bundle's signature and then its certificate.

    To encode what a body should be, and compare, takes a third of the time of decoding it.
    """

    head: int
    """Octets before the signature, which stands there as base64."""
    middle: bytes
    """What stands between signature and certificate."""
    tail: bytes
    """What follows the certificate."""
    is_pem: bool
    """The certificate stands there as base64 of PEM, and not of DER."""

    def find(self, text: bytes, signature: bytes, der: bytes, leaf: Certificate) -> bytes | None:
        """The octets that are `text` as base64 if they repeat these, else None.

        `signature` and `der` are base64 too, as in the bundle.
        """
        groups = (self.head + 2) // 3
        head = a2b_base64(text[: 4 * groups], strict_mode=True)[: self.head]
        verifier = leaf.pem_base64 if self.is_pem else der
        body = b"".join((head, signature, self.middle, verifier, self.tail))
        return body if b2a_base64(body, newline=False) == text else None


class Alike(NamedTuple):
    """One layout of bundles, all of the usual form."""

    layout: Layout
    like: Bundle
    """One of them. What is not in the paths of `alike_of` is the same in all."""
    repeated: Repeated | None
    """Of that one's entry; None if its body is of another kind."""
    has_time: bool
    has_promise: bool
    has_stamp: bool

    def read(self, pieces: Sequence[bytes]) -> Bundle | None:
        """The bundle if it is of this layout and in order; None says nothing.

        What `_usual` checks of each value is checked here.
        """
        found = self.layout.read(pieces)
        return None if found is None else self.bundle(*found)

    def bundle(self, values: Sequence[bytes], hashes: Sequence[bytes]) -> Bundle | None:
        """The bundle with these strings, of which each may be anything; None says nothing."""
        _, like, repeated, has_time, has_promise, has_stamp = self
        der, index, log_id, proof_index, root, size, envelope, body, signature, digest, *rest = (
            values
        )
        others = iter(rest)
        try:
            material, entry, content = like.material, like.entries[0], like.content
            if len(hashes) > MAX_PROOF_HASHES or not isinstance(material, CertificateMaterial):
                return None
            signed = usual_signature(signature)
            if isinstance(content, MessageSignature):
                content = _new(
                    MessageSignature, (content.digest_algorithm, parse_base64(digest), signed)
                )
            else:
                keyid = content.signatures[0].keyid
                content = Envelope(
                    parse_base64(digest), content.payload_type, (EnvelopeSignature(signed, keyid),)
                )
            leaf = parse_certificate(parse_base64(der))
            logged = None if repeated is None else repeated.find(body, signature, der, leaf)
            proof = (
                _digits(proof_index),
                parse_base64(root),
                _digits(size),
                tuple([parse_base64(item) for item in hashes]),
                usual_text(unescape(envelope)),
            )
            held = (
                _digits(index),
                parse_base64(log_id),
                entry.kind,
                entry.kind_version,
                _digits(next(others)) if has_time else 0,
                usual_signature(next(others)) if has_promise else None,
                _new(InclusionProof, proof),
                parse_base64(body) if logged is None else logged,
            )
            stamps = (parse_base64(next(others)),) if has_stamp else ()
        except (ValueError, MalformedError):
            return None
        if len(held[1]) != LOG_ID_BYTES or len(held[7]) > MAX_ENTRY_BODY_BYTES:
            return None
        if logged is not None and has_promise:  # which is over the body as base64
            entry = _compared(held, body)
        else:
            entry = _new(TransparencyLogEntry, held)
        signer = _new(CertificateMaterial, (leaf, material.chain))
        return _new(Bundle, (like.version, signer, (entry,), stamps, content))


class Sized(NamedTuple):
    """Bundles of one layout in which all strings are as long as in another: most of an instance's.

    Base64 is of the same length for most lengths that a signature has.
    """

    spots: Spots
    alike: Alike

    def read(self, data: bytes) -> Bundle | None:
        """The bundle if it is one of these and in order; None says nothing."""
        found = self.spots.read(data)
        return None if found is None else self.alike.bundle(*found)


def sized_of(alike: Alike, pieces: Sequence[bytes]) -> Sized:
    """What reads texts of the sizes of this one, which `alike` has read."""
    return Sized(spots_of(alike.layout, pieces), alike)


def alike_of(data: bytes, bundle: Bundle, members: JsonObject) -> Alike | None:
    """The layout of this text, which `_usual` has read; None if there is none."""
    material = members["verificationMaterial"]
    entry: Path = ("verificationMaterial", "tlogEntries", 0)
    proof: Path = (*entry, "inclusionProof")
    has_time = "integratedTime" in material["tlogEntries"][0]
    has_promise = bundle.entries[0].promise is not None
    paths: list[Path] = [
        ("verificationMaterial", "certificate", "rawBytes")
        if "certificate" in material
        else ("verificationMaterial", "x509CertificateChain", "certificates", 0, "rawBytes"),
        (*entry, "logIndex"),
        (*entry, "logId", "keyId"),
        (*proof, "logIndex"),
        (*proof, "rootHash"),
        (*proof, "treeSize"),
        (*proof, "checkpoint", "envelope"),
        (*entry, "canonicalizedBody"),
    ]
    if isinstance(bundle.content, Envelope):
        paths += [("dsseEnvelope", "signatures", 0, "sig"), ("dsseEnvelope", "payload")]
    else:
        paths += [
            ("messageSignature", "signature"),
            ("messageSignature", "messageDigest", "digest"),
        ]
    if has_time:
        paths.append((*entry, "integratedTime"))
    if has_promise:
        paths.append((*entry, "inclusionPromise", "signedEntryTimestamp"))
    if bundle.timestamps:
        stamps = ("verificationMaterial", "timestampVerificationData", "rfc3161Timestamps")
        paths.append((*stamps, 0, "signedTimestamp"))
    layout = layout_of(data, paths, (*proof, "hashes"))
    if layout is None:
        return None
    repeated = _repeated(bundle)
    return Alike(layout, bundle, repeated, has_time, has_promise, bool(bundle.timestamps))


def _repeated(bundle: Bundle) -> Repeated | None:
    """How the body repeats signature and certificate; None if it does not, in this order."""
    body, content, material = bundle.entries[0].body, bundle.content, bundle.material
    if not isinstance(material, CertificateMaterial):
        return None
    signed = content.signatures[0] if isinstance(content, Envelope) else content
    before, _, rest = body.partition(b2a_base64(signed.signature, newline=False))
    leaf = material.leaf
    for is_pem in (False, True):
        verifier = leaf.pem_base64 if is_pem else b2a_base64(leaf.der, newline=False)
        middle, found, tail = rest.partition(verifier)
        if found:
            return Repeated(len(before), middle, tail, is_pem)
    return None


def _digits(text: bytes) -> int:
    """As `_usual_number`, of a text in octets."""
    if not text.isdigit() or len(text) > 19 or (text[0] == 0x30 and len(text) > 1):
        raise ValueError("not a number as usual")
    number = int(text)
    if number > MAX_INT64:
        raise ValueError("not a number as usual")
    return number
