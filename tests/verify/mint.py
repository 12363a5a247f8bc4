"""A small world that mints good bundles of every shape, and lets a test spoil one part of each.

Built on `cryptography` and on DER written by hand, so that it shares no code with what it tests
beyond the lowest encoders. Everything happens around `NOW`; keys are new in every run.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.x509.oid import NameOID, ObjectIdentifier

from touchplate.formats.bundle import parse_bundle
from touchplate.formats.certificate import Certificate, parse_certificate
from touchplate.formats.element import encode, oid_octets
from touchplate.formats.trusted_root import TrustedRoot, parse_trusted_root
from touchplate.merkle.tree import leaf_hash, prove_inclusion, root_hash
from touchplate.verify import Artifact, Options, Policy, Steps, Verdict, identity, verify

NOW = datetime(2030, 6, 1, 12, 0, 0, tzinfo=UTC)
START, END = NOW - timedelta(days=365), NOW + timedelta(days=365)
NAME, ISSUER = "dev@example.com", "https://issuer.example.test"
ARTIFACT = b"hello\n"
V1_LOG, V2_LOG = "log-v1.example.test", "log-v2.example.test"
SHAPES = ("v0.1", "v0.2", "v1-message", "v1-dsse", "v1-intoto", "v2-message", "v2-dsse")
KEY_SHAPES = ("key-v1", "key-v2")

Spoil = Callable[[dict[str, Any]], object]


def b64(data: bytes) -> str:
    """Give standard base64."""
    return base64.b64encode(data).decode()


def spki(key: Any) -> bytes:
    """Give the SubjectPublicKeyInfo of a private or public key."""
    public = key.public_key() if hasattr(key, "public_key") else key
    der: bytes = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return der


def pem(label: str, der: bytes) -> bytes:
    """Give PEM with 64 columns."""
    text = b64(der)
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode()


def sign(key: Any, message: bytes, hasher: hashes.HashAlgorithm | None = None) -> bytes:
    """Sign as the key's own algorithm does."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, ec.ECDSA(hasher or hash_of(key)))
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), hasher or hashes.SHA256())
    signature: bytes = key.sign(message)
    return signature


def hash_of(key: Any) -> hashes.HashAlgorithm:
    """Give the hash that goes with the key."""
    sizes = {384: hashes.SHA384(), 521: hashes.SHA512()}
    return sizes.get(getattr(key, "key_size", 0), hashes.SHA256())


@cache
def new_key(kind: str = "p256", number: int = 0) -> Any:
    """Make a private key, the same one each time for the same kind and number."""
    del number
    makers: dict[str, Callable[[], Any]] = {
        "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
        "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
        "rsa3072": lambda: rsa.generate_private_key(65537, 3072),
        "ml-dsa-65": mldsa.MLDSA65PrivateKey.generate,
    }
    return makers[kind]()


@dataclass(frozen=True)
class Held:
    """A certificate and its private key."""

    der: bytes
    key: Any

    @property
    def certificate(self) -> Certificate:
        """The certificate, read."""
        return parse_certificate(self.der)


def build(
    key: Any,
    subject: str,
    issuer: Held | None,
    *extensions: tuple[x509.ExtensionType, bool],
    begins: datetime = START,
    ends: datetime = END,
    hasher: hashes.HashAlgorithm | None = None,
    issuer_name: str | None = None,
    serial: int | None = None,
) -> Held:
    """Make a certificate; without an issuer it signs itself."""
    signer = issuer.key if issuer else key
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)] if subject else [])
    above = name
    if issuer:
        above = x509.load_der_x509_certificate(issuer.der).subject
    if issuer_name is not None:
        above = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer_name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(above)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    chosen: Any = (
        None
        if isinstance(signer, ed25519.Ed25519PrivateKey | mldsa.MLDSA65PrivateKey)
        else hasher or hash_of(signer)
    )
    der = builder.sign(signer, chosen).public_bytes(serialization.Encoding.DER)
    return Held(der, key)


def usage(*names: str) -> x509.KeyUsage:
    """Make a key usage extension with these bits."""
    fields = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{field: field in names for field in fields})


def authority(
    subject: str,
    issuer: Held | None = None,
    *,
    kind: str = "p256",
    number: int = 0,
    path_length: int | None = None,
    **times: Any,
) -> Held:
    """Make a certificate authority."""
    return build(
        new_key(kind, number),
        subject,
        issuer,
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (usage("key_cert_sign", "crl_sign"), True),
        **times,
    )


CODE_SIGNING = x509.ExtendedKeyUsage([ObjectIdentifier("1.3.6.1.5.5.7.3.3")])
TIME_STAMPING = x509.ExtendedKeyUsage([ObjectIdentifier("1.3.6.1.5.5.7.3.8")])
FULCIO = "1.3.6.1.4.1.57264.1"


def utf8(number: int, text: str) -> tuple[x509.ExtensionType, bool]:
    """Make a Sigstore extension that holds a DER UTF8String."""
    value = encode(0x0C, text.encode())
    return x509.UnrecognizedExtension(ObjectIdentifier(f"{FULCIO}.{number}"), value), False


def raw(number: int, text: str) -> tuple[x509.ExtensionType, bool]:
    """Make a Sigstore extension that holds bare text."""
    oid = ObjectIdentifier(f"{FULCIO}.{number}")
    return x509.UnrecognizedExtension(oid, text.encode()), False


def sequence(*parts: bytes) -> bytes:
    """Give a DER SEQUENCE."""
    return encode(0x30, b"".join(parts))


def oid(dotted: str) -> bytes:
    """Give a DER object identifier."""
    return encode(0x06, oid_octets(dotted))


HASH_IDS = {
    "sha1": "1.3.14.3.2.26",
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}
ECDSA_SHA256 = sequence(oid("1.2.840.10045.4.3.2"))
TST_INFO = "1.2.840.113549.1.9.16.1.4"


def stamp(
    signed: bytes,
    signer: Held,
    *,
    at: datetime = NOW,
    hash_name: str = "sha256",
    imprint: bytes | None = None,
    certificates: Sequence[bytes] = (),
    named: Held | None = None,
    key: Any = None,
    content_type: str = TST_INFO,
    status: int = 0,
    fraction: str = "",
    signers: int = 1,
    message_digest: bytes | None = None,
    issuer_and_serial: Held | None = None,
    drop_attribute: int | None = None,
    certificate_hash: str = "sha256",
    algorithm: bytes = ECDSA_SHA256,
    digest_name: str = "sha256",
    key_id: bytes | None = None,
    change: Callable[[str, list[bytes]], Sequence[bytes]] | None = None,
) -> bytes:
    """Make a TimeStampResp over `signed`; each keyword spoils or varies one part.

    `change` is given the elements of each structure, and its name, before they are put together.
    """
    edit = change or (lambda _, parts: parts)
    digest = hashlib.new(hash_name, signed).digest() if imprint is None else imprint
    content = [
        b"\x02\x01\x01",
        oid("1.3.6.1.4.1.57264.2"),
        sequence(sequence(oid(HASH_IDS[hash_name]), b"\x05\x00"), encode(0x04, digest)),
        b"\x02\x01\x2a",
        encode(0x18, at.strftime("%Y%m%d%H%M%S").encode() + fraction.encode() + b"Z"),
    ]
    info = sequence(*edit("content", content))
    holder = (named or signer).der
    certificate_id = encode(0x04, hashlib.new(certificate_hash, holder).digest())
    if certificate_hash not in {"sha1", "sha256"}:
        certificate_id = sequence(oid(HASH_IDS[certificate_hash])) + certificate_id
    attribute = "16.2.12" if certificate_hash == "sha1" else "16.2.47"
    values = [
        (oid("1.2.840.113549.1.9.3"), oid(content_type)),
        (
            oid("1.2.840.113549.1.9.4"),
            encode(0x04, message_digest or hashlib.new(digest_name, info).digest()),
        ),
        (
            oid(f"1.2.840.113549.1.9.{attribute}"),
            sequence(sequence(sequence(certificate_id))),
        ),
    ]
    if drop_attribute is not None:
        del values[drop_attribute]
    listed = sorted(sequence(name, encode(0x31, value)) for name, value in values)
    attributes = b"".join(edit("attributes", listed))
    signature = sign(key or signer.key, encode(0x31, attributes))
    who = (issuer_and_serial or signer).certificate
    by_name = sequence(who.issuer_der, encode(0x02, who.serial_bytes))
    parts = [
        b"\x02\x01\x01" if key_id is None else b"\x02\x01\x03",
        by_name if key_id is None else encode(0x80, key_id),
        sequence(oid(HASH_IDS[digest_name])),
        encode(0xA0, attributes),
        algorithm,
        encode(0x04, signature),
    ]
    info_of_signer = sequence(*edit("signer", parts))
    parts = [
        b"\x02\x01\x03",
        encode(0x31, sequence(oid(HASH_IDS[digest_name]))),
        sequence(oid(TST_INFO), encode(0xA0, encode(0x04, info))),
        encode(0xA0, b"".join(certificates)) if certificates else b"",
        encode(0x31, info_of_signer * signers),
    ]
    data = sequence(*edit("data", parts))
    token = sequence(oid("1.2.840.113549.1.7.2"), encode(0xA0, data))
    return sequence(sequence(bytes((2, 1, status))), token if status < 2 else b"")


def sct(
    tbs: bytes,
    issuer_spki: bytes,
    key: Any,
    *,
    at: datetime = NOW,
    extensions: bytes = b"",
    log_id: bytes | None = None,
    algorithms: bytes = b"\x04\x03",
    moment: int | None = None,
) -> bytes:
    """Make a signed certificate timestamp; `moment`, in milliseconds, goes before `at`."""
    milliseconds = int(at.timestamp() * 1000) if moment is None else moment
    when = milliseconds.to_bytes(8, "big")
    ending = len(extensions).to_bytes(2, "big") + extensions
    signed = (
        b"\0\0"
        + when
        + b"\0\1"
        + hashlib.sha256(issuer_spki).digest()
        + len(tbs).to_bytes(3, "big")
        + tbs
        + ending
    )
    signature = sign(key, signed)
    identity_of_log = log_id or hashlib.sha256(spki(key)).digest()
    return (
        b"\0"
        + identity_of_log
        + when
        + ending
        + algorithms
        + len(signature).to_bytes(2, "big")
        + signature
    )


def note_line(name: str, hint: bytes, signature: bytes) -> str:
    """Make one signature line of a note."""
    return f"\u2014 {name} {b64(hint + signature)}\n"


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


def key_details(key: Any) -> str:
    """Give the `PublicKeyDetails` of the key's own algorithm."""
    kinds: dict[type, str] = {
        ed25519.Ed25519PrivateKey: "PKIX_ED25519",
        mldsa.MLDSA65PrivateKey: "ML_DSA_65",
    }
    for kind, name in kinds.items():
        if isinstance(key, kind):
            return name
    if isinstance(key, rsa.RSAPrivateKey):
        return f"PKIX_RSA_PKCS1V15_{key.key_size}_SHA256"
    return {
        256: "PKIX_ECDSA_P256_SHA_256",
        384: "PKIX_ECDSA_P384_SHA_384",
        521: "PKIX_ECDSA_P521_SHA_512",
    }[key.key_size]


def window(begins: datetime | None = START, ends: datetime | None = END) -> dict[str, str]:
    """Give a `validFor`."""
    found = {}
    if begins is not None:
        found["start"] = begins.isoformat().replace("+00:00", "Z")
    if ends is not None:
        found["end"] = ends.isoformat().replace("+00:00", "Z")
    return found


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


def stamper(subject: str, issuer: Held, *, number: int = 200, **changes: Any) -> Held:
    """Make the certificate of a timestamp authority."""
    return build(
        new_key("p256", number),
        subject,
        issuer,
        (usage("digital_signature"), True),
        (TIME_STAMPING, True),
        **changes,
    )


def note_id(name: str, key: Any) -> bytes:
    """Give the whole note key id of a v2 log."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        public = key.public_key().public_bytes_raw()
        return hashlib.sha256(name.encode() + b"\n\x01" + public).digest()
    return hashlib.sha256(spki(key)).digest()


def log_json(url: str, key: Any, name: str = "") -> dict[str, Any]:
    """Make the entry of a log in a trusted root."""
    log_id = note_id(name, key) if name else hashlib.sha256(spki(key)).digest()
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": b64(spki(key)),
            "keyDetails": key_details(key),
            "validFor": window(),
        },
        "logId": {"keyId": b64(log_id)},
    }


def ca_json(uri: str, *chain: Held) -> dict[str, Any]:
    """Make the entry of an authority in a trusted root."""
    return {
        "subject": {"organization": "example", "commonName": "example"},
        "uri": uri,
        "certChain": {"certificates": [{"rawBytes": b64(item.der)} for item in chain]},
        "validFor": window(),
    }


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
