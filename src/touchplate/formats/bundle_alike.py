"""Bundles that are laid out alike: one reads like the last, but for a dozen strings.

`BundleReader` in `bundle.py` loads this when it meets a beginning for the second time, so a command
that verifies one bundle does not. What is taken here `_usual` there would take, as the same value.
"""

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
from touchplate.formats.certificate import parse_certificate
from touchplate.formats.jsontext import MAX_INT64, JsonObject
from touchplate.formats.layout import Layout, Path, layout_of, unescape
from touchplate.formats.limits import MAX_ENTRY_BODY_BYTES, MAX_PROOF_HASHES


class Alike(NamedTuple):
    """One layout of bundles, all of the usual form."""

    layout: Layout
    like: Bundle
    """One of them. What is not in the paths of `alike_of` is the same in all."""
    has_time: bool
    has_promise: bool
    has_stamp: bool

    def read(self, pieces: Sequence[bytes]) -> Bundle | None:
        """The bundle if it is of this layout and in order; None says nothing.

        What `_usual` checks of each value is checked here.
        """
        layout, like, has_time, has_promise, has_stamp = self
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
            bundle = Bundle(
                like.version,
                CertificateMaterial(parse_certificate(parse_base64(der)), material.chain),
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
                        parse_base64(body),
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
    return Alike(layout, bundle, has_time, has_promise, bool(bundle.timestamps))


def _digits(text: bytes) -> int:
    """As `_usual_number`, of a text in octets."""
    if not text.isdigit() or len(text) > 19 or (text[0] == 0x30 and len(text) > 1):
        raise ValueError("not a number as usual")
    number = int(text)
    if number > MAX_INT64:
        raise ValueError("not a number as usual")
    return number
