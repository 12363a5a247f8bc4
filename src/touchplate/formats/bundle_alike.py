"""Bundles that are laid out alike: one reads like the last, but for a dozen strings.

`BundleReader` in `bundle.py` loads this when it meets a beginning for the second time, so a command
that verifies one bundle does not. What is taken here `_usual` there would take, as the same value.
"""

from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from typing import NamedTuple

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
from touchplate.formats.layout import Layout, Path, layout_of, unescape
from touchplate.formats.limits import MAX_ENTRY_BODY_BYTES, MAX_PROOF_HASHES


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
        layout, like, repeated, has_time, has_promise, has_stamp = self
        found = layout.read(pieces)
        if found is None:
            return None
        values, hashes = found
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
                content = MessageSignature(content.digest_algorithm, parse_base64(digest), signed)
            else:
                keyid = content.signatures[0].keyid
                content = Envelope(
                    parse_base64(digest), content.payload_type, (EnvelopeSignature(signed, keyid),)
                )
            leaf = parse_certificate(parse_base64(der))
            logged = None if repeated is None else repeated.find(body, signature, der, leaf)
            bundle = Bundle(
                like.version,
                CertificateMaterial(leaf, material.chain),
                (
                    TransparencyLogEntry(
                        _digits(index),
                        parse_base64(log_id),
                        entry.kind,
                        entry.kind_version,
                        _digits(next(others)) if has_time else 0,
                        usual_signature(next(others)) if has_promise else None,
                        InclusionProof(
                            _digits(proof_index),
                            parse_base64(root),
                            _digits(size),
                            tuple([parse_base64(item) for item in hashes]),
                            usual_text(unescape(envelope)),
                        ),
                        parse_base64(body) if logged is None else logged,
                    ),
                ),
                (parse_base64(next(others)),) if has_stamp else (),
                content,
            )
        except (ValueError, MalformedError):
            return None
        entry = bundle.entries[0]
        if len(entry.log_id) != LOG_ID_BYTES or len(entry.body) > MAX_ENTRY_BODY_BYTES:
            return None
        return bundle


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
