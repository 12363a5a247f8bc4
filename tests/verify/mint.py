"""A small world that mints good bundles of every shape, and lets a test spoil one part of each.

Built on `cryptography` and on DER written by hand, so that it shares no code with what it tests
beyond the lowest encoders. Everything happens around `NOW`; keys are new in every run.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ObjectIdentifier

from tests.verify.certificates import (
    CODE_SIGNING,
    NOW,
    Held,
    authority,
    b64,
    build,
    hash_of,
    new_key,
    pem,
    raw,
    sign,
    spki,
    stamper,
    usage,
    utf8,
)
from tests.verify.promises import note_id, note_line, sct, stamp
from tests.verify.trust import ca_json, key_details, log_json
from touchplate.errors import TouchplateError
from touchplate.formats.bundle import parse_bundle
from touchplate.formats.certificate import parse_certificate
from touchplate.formats.element import encode
from touchplate.formats.trusted_root import TrustedRoot, parse_trusted_root
from touchplate.keys.public import load_public_key
from touchplate.merkle.tree import leaf_hash, prove_inclusion, root_hash
from touchplate.verify import Artifact, Options, Policy, Steps, Verdict, identity, key, verify

NAME, ISSUER = "dev@example.com", "https://issuer.example.test"
ARTIFACT = b"hello\n"
V1_LOG, V2_LOG = "log-v1.example.test", "log-v2.example.test"
SHAPES = ("v0.1", "v0.2", "v1-message", "v1-dsse", "v1-intoto", "v2-message", "v2-dsse")
KEY_SHAPES = ("key-v1", "key-v2")
Spoil = Callable[[dict[str, Any]], object]


def jcs(value: Any) -> bytes:
    """Give canonical JSON (for the ASCII of entries, sorting and compactness are all of it)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def pae(payload_type: str, payload: bytes) -> bytes:
    """Give DSSE's pre-authentication encoding."""
    kind = payload_type.encode()
    return b" ".join(
        (b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload)
    )


def statement_about(artifact: bytes, **changes: Any) -> bytes:
    """Make an in-toto statement."""
    digest = hashlib.sha256(artifact).hexdigest()
    members = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "hello.txt", "digest": {"sha256": digest}}],
        "predicateType": "https://example.test/p/v1",
        "predicate": {"score": 9.8},
    }
    return json.dumps({**members, **changes}).encode()


@dataclass(frozen=True)
class Mint:
    """The keys and certificates of one instance."""

    root: Held
    ca: Held
    ct_key: Any
    v1_key: Any
    v2_key: Any
    tsa_root: Held
    tsa: Held

    @classmethod
    def new(cls, base: int = 0, *, ca_kind: str = "p256", v2_kind: str = "p256") -> "Mint":
        """Make an instance; another `base` is another instance."""
        root = authority(f"root {base}", kind=ca_kind, number=base + 1)
        tsa_root = authority(f"tsa root {base}", number=base + 2)
        return cls(
            root=root,
            ca=authority(f"ca {base}", root, kind=ca_kind, number=base + 3, path_length=0),
            ct_key=new_key("p256", base + 4),
            v1_key=new_key("p256", base + 5),
            v2_key=new_key(v2_kind, base + 6),
            tsa_root=tsa_root,
            tsa=stamper(f"tsa {base}", tsa_root, number=base + 7),
        )

    def trusted_root(self, spoil: Spoil | None = None) -> TrustedRoot:
        """Give the trusted root; `spoil` may change its JSON before it is read."""
        members = self.trusted_root_json()
        if spoil is not None:
            spoil(members)
        return parse_trusted_root(json.dumps(members).encode())

    def trusted_root_json(self) -> dict[str, Any]:
        """Give the trusted root as JSON members."""
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [
                log_json(f"https://{V1_LOG}", self.v1_key),
                log_json(f"https://{V2_LOG}", self.v2_key, V2_LOG),
            ],
            "certificateAuthorities": [ca_json("https://ca.example.test", self.ca, self.root)],
            "ctlogs": [log_json("https://ct.example.test", self.ct_key)],
            "timestampAuthorities": [
                ca_json("https://tsa.example.test/api/v1/timestamp", self.tsa, self.tsa_root)
            ],
        }

    def leaf(
        self,
        *,
        key: Any = None,
        name: str = NAME,
        issuer: str = ISSUER,
        at: datetime = NOW,
        lifetime: timedelta = timedelta(minutes=10),
        ca: Held | None = None,
        san: x509.ExtensionType | None = None,
        key_usage: x509.KeyUsage | None = None,
        purpose: x509.ExtendedKeyUsage | None = None,
        extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
        scts: Callable[[bytes, bytes], Sequence[bytes]] | None = None,
        drop: Sequence[str] = (),
        **changes: Any,
    ) -> Held:
        """Issue a signer's certificate with its SCT; each keyword varies one part."""
        key = key or new_key("p256", 100)
        ca = ca or self.ca
        kind = x509.UniformResourceIdentifier if "://" in name else x509.RFC822Name
        parts: dict[str, tuple[x509.ExtensionType, bool]] = {
            "ku": (key_usage or usage("digital_signature"), True),
            "eku": (purpose or CODE_SIGNING, False),
            "san": (san or x509.SubjectAlternativeName([kind(name)]), True),
            "issuer1": raw(1, issuer),
            "issuer2": utf8(8, issuer),
        }
        kept = [part for label, part in parts.items() if label not in drop]
        begins = at - timedelta(minutes=1)
        times: dict[str, Any] = {"begins": begins, "ends": begins + lifetime}

        def make(*more: tuple[x509.ExtensionType, bool]) -> Held:
            return build(key, "", ca, *kept, *extra, *more, **{**times, **changes})

        if "sct" in drop:
            return make()
        # The log signs what the certificate is without the list; serial and order stay.
        changes.setdefault("serial", x509.random_serial_number())
        listed = (scts or self.scts)(parse_certificate(make().der).tbs, spki(ca.key))
        body = b"".join(len(item).to_bytes(2, "big") + item for item in listed)
        value = encode(0x04, len(body).to_bytes(2, "big") + body)
        list_id = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
        return make((x509.UnrecognizedExtension(list_id, value), False))

    def scts(self, tbs: bytes, issuer_spki: bytes) -> Sequence[bytes]:
        """Give the list of one SCT by the instance's own log."""
        return [sct(tbs, issuer_spki, self.ct_key)]

    def bundle(
        self,
        shape: str = "v2-message",
        *,
        artifact: bytes = ARTIFACT,
        leaf: Held | None = None,
        signature: bytes | None = None,
        payload: bytes | None = None,
        payload_type: str = "application/vnd.in-toto+json",
        at: datetime = NOW,
        stamps: Callable[[bytes], Sequence[bytes]] | None = None,
        body: Callable[[bytes], bytes] | None = None,
        details: str | None = None,
        hasher: hashes.HashAlgorithm | None = None,
    ) -> dict[str, Any]:
        """Make a good bundle of a shape as JSON members; each keyword varies one part."""
        keyed = shape.startswith("key-")
        leaf = leaf or (Held(b"", new_key("p256", 101)) if keyed else self.leaf(at=at))
        is_dsse = shape.endswith(("dsse", "intoto"))
        is_v2 = "v2-" in shape or shape == "key-v2"
        if is_dsse:
            payload = statement_about(artifact) if payload is None else payload
            signed = pae(payload_type, payload)
        else:
            signed = artifact
        name = (hasher or hash_of(leaf.key)).name
        if signature is None:
            signature = sign(leaf.key, signed, hasher)
        version = {"v0.1": "0.1", "v0.2": "0.2"}.get(shape, "0.3")
        material = _material(version, leaf, keyed=keyed)
        members: dict[str, Any] = {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"
            if version == "0.3"
            else f"application/vnd.dev.sigstore.bundle+json;version={version}",
            "verificationMaterial": material,
        }
        if payload is not None and is_dsse:
            members["dsseEnvelope"] = {
                "payload": b64(payload),
                "payloadType": payload_type,
                "signatures": [{"sig": b64(signature)}],
            }
        else:
            members["messageSignature"] = {
                "messageDigest": {
                    "algorithm": "SHA2_" + name[3:],
                    "digest": b64(hashlib.new(name, artifact).digest()),
                },
                "signature": b64(signature),
            }
        made, kind, kind_version = self._body(
            shape, leaf, signature, signed, payload or b"", payload_type, name, details
        )
        if body is not None:
            made = body(made)
        material["tlogEntries"] = [
            self.entry(made, kind, kind_version, at=at)
            if not is_v2
            else self.entry_v2(made, kind, kind_version)
        ]
        if stamps is not None or is_v2:
            listed = (stamps or (lambda value: [stamp(value, self.tsa, at=at)]))(signature)
            material["timestampVerificationData"] = {
                "rfc3161Timestamps": [{"signedTimestamp": b64(item)} for item in listed]
            }
        return members

    def _body(
        self,
        shape: str,
        leaf: Held,
        signature: bytes,
        signed: bytes,
        payload: bytes,
        payload_type: str,
        name: str,
        details: str | None,
    ) -> tuple[bytes, str, str]:
        verifier = pem("CERTIFICATE", leaf.der) if leaf.der else pem("PUBLIC KEY", spki(leaf.key))
        digest = hashlib.new(name, signed)
        kind, version = "hashedrekord", "0.0.1"
        spec: dict[str, Any]
        if "v2-" in shape or shape == "key-v2":
            version = "0.0.2"
            held: dict[str, Any] = {"keyDetails": details or key_details(leaf.key)}
            if leaf.der:
                held["x509Certificate"] = {"rawBytes": b64(leaf.der)}
            else:
                held["publicKey"] = {"rawBytes": b64(spki(leaf.key))}
            spec = {
                "hashedRekordV002": {
                    "data": {"algorithm": "SHA2_" + name[3:], "digest": b64(digest.digest())},
                    "signature": {"content": b64(signature), "verifier": held},
                }
            }
        elif shape == "v1-dsse":
            kind = "dsse"
            spec = {
                "envelopeHash": {"algorithm": "sha256", "value": "00" * 32},
                "payloadHash": {
                    "algorithm": "sha256",
                    "value": hashlib.sha256(payload).hexdigest(),
                },
                "signatures": [{"signature": b64(signature), "verifier": b64(verifier)}],
            }
        elif shape == "v1-intoto":
            kind, version = "intoto", "0.0.2"
            twice = b64(b64(signature).encode())
            spec = {
                "content": {
                    "envelope": {
                        "payloadType": payload_type,
                        "signatures": [{"publicKey": b64(verifier), "sig": twice}],
                    },
                    "hash": {"algorithm": "sha256", "value": "00" * 32},
                    "payloadHash": {
                        "algorithm": "sha256",
                        "value": hashlib.sha256(payload).hexdigest(),
                    },
                }
            }
        else:
            spec = {
                "data": {"hash": {"algorithm": name, "value": digest.hexdigest()}},
                "signature": {
                    "content": b64(signature),
                    "publicKey": {"content": b64(verifier)},
                },
            }
        return jcs({"apiVersion": version, "kind": kind, "spec": spec}), kind, version

    def entry(
        self, body: bytes, kind: str, version: str, *, at: datetime = NOW, promise: bool = True
    ) -> dict[str, Any]:
        """Put a body into the v1 log."""
        log_id = hashlib.sha256(spki(self.v1_key)).digest()
        proof = self.proof(body, f"{V1_LOG} - 4242", V1_LOG, self.v1_key, log_id)
        made: dict[str, Any] = {
            "logIndex": "1000002",
            "logId": {"keyId": b64(log_id)},
            "kindVersion": {"kind": kind, "version": version},
            "inclusionProof": proof,
            "canonicalizedBody": b64(body),
        }
        if promise:
            self.promise(made, at)
        return made

    def promise(self, entry: dict[str, Any], at: datetime | int) -> None:
        """Add the signed entry timestamp of the v1 log."""
        seconds = at if isinstance(at, int) else int(at.timestamp())
        signed = jcs(
            {
                "body": entry["canonicalizedBody"],
                "integratedTime": seconds,
                "logID": base64.b64decode(entry["logId"]["keyId"]).hex(),
                "logIndex": int(entry["logIndex"]),
            }
        )
        entry["integratedTime"] = str(seconds)
        promise = sign(self.v1_key, signed, hashes.SHA256())
        entry["inclusionPromise"] = {"signedEntryTimestamp": b64(promise)}

    def entry_v2(self, body: bytes, kind: str, version: str) -> dict[str, Any]:
        """Put a body into the v2 log."""
        log_id = note_id(V2_LOG, self.v2_key)
        proof = self.proof(body, V2_LOG, V2_LOG, self.v2_key, log_id)
        return {
            "logIndex": proof["logIndex"],
            "logId": {"keyId": b64(log_id)},
            "kindVersion": {"kind": kind, "version": version},
            "inclusionProof": proof,
            "canonicalizedBody": b64(body),
        }

    def proof(self, body: bytes, origin: str, name: str, key: Any, log_id: bytes) -> dict[str, Any]:
        """Make a tree of five leaves with the body as the third, and its checkpoint."""
        leaves = [leaf_hash(text) for text in (b"a", b"b", body, b"d", b"e")]
        root = root_hash(leaves)
        text = f"{origin}\n5\n{b64(root)}\n"
        line = note_line(name, log_id[:4], sign(key, text.encode(), hashes.SHA256()))
        return {
            "logIndex": "2",
            "rootHash": b64(root),
            "treeSize": "5",
            "hashes": [b64(item) for item in prove_inclusion(leaves, 2)],
            "checkpoint": {"envelope": f"{text}\n{line}"},
        }

    def verify(
        self,
        members: dict[str, Any] | bytes,
        artifact: Artifact | bytes = ARTIFACT,
        policy: Policy | None = None,
        options: Options | None = None,
        root: TrustedRoot | None = None,
        steps: Steps | None = None,
    ) -> Verdict:
        """Verify a bundle in this world."""
        data = members if isinstance(members, bytes) else json.dumps(members).encode()
        return verify(
            parse_bundle(data),
            Artifact.from_bytes(artifact) if isinstance(artifact, bytes) else artifact,
            policy or identity(NAME, ISSUER),
            root or self.trusted_root(),
            options or Options(),
            steps=steps,
        )

    def with_(self, **changes: Any) -> "Mint":
        """Give the same instance with other parts."""
        return replace(self, **changes)


def _material(version: str, leaf: Held, *, keyed: bool) -> dict[str, Any]:
    if keyed:
        return {"publicKey": {"hint": b64(hashlib.sha256(spki(leaf.key)).digest())}}
    if version == "0.3":
        return {"certificate": {"rawBytes": b64(leaf.der)}}
    return {"x509CertificateChain": {"certificates": [{"rawBytes": b64(leaf.der)}]}}


def only_entry(members: dict[str, Any]) -> dict[str, Any]:
    """Give the one log entry of a bundle, to spoil it."""
    entry: dict[str, Any] = members["verificationMaterial"]["tlogEntries"][0]
    return entry


def refused(
    mint: Mint,
    members: dict[str, Any],
    *,
    artifact: Artifact | bytes = ARTIFACT,
    policy: Policy | None = None,
    options: Options | None = None,
    root: TrustedRoot | None = None,
) -> str:
    """Give the code with which a bundle is refused."""
    with pytest.raises(TouchplateError) as caught:
        mint.verify(members, artifact, policy, options, root)
    return caught.value.code


# The one key that bundles of the `KEY_SHAPES` are signed with.
KEY = key(load_public_key(spki(new_key("p256", 101))))
