"""The log's name and key: what it signs, in the flavours of both APIs.

The key is ECDSA P-256, so that the log id of both APIs and the hints of both checkpoints are
SHA-256 of the same SubjectPublicKeyInfo. Witnesses want Ed25519 (C2SP tlog-checkpoint): for them a
second key can sign the checkpoints of v2, and nothing else.
"""

from binascii import b2a_base64
from dataclasses import dataclass
from typing import Final

from touchplate.errors import SettingsError
from touchplate.formats.checkpoint import encode_checkpoint
from touchplate.formats.entry_name import tree_id_of
from touchplate.formats.note import (
    KEY_HINT_BYTES,
    NoteSignature,
    NoteSigner,
    encode_note,
    encode_vkey,
    is_note_name,
    note_signer,
)
from touchplate.keys.signer import Signer
from touchplate.merkle.tree import RootHash

_PROMISE: Final = b'{"body":"%b","integratedTime":%d,"logID":"%b","logIndex":%d}'


@dataclass(frozen=True, slots=True)
class LogKey:
    """Signs for one log. Any thread may sign."""

    origin: str
    """The host name of the log's URL, without a port: origin of its checkpoints, v2 flavour."""
    signer: Signer
    log_id: bytes
    """SHA-256 of the key's SubjectPublicKeyInfo."""
    tree_id: int
    """Names the tree in the v1 API: a positive int64, the same for as long as the log lives."""
    for_witnesses: NoteSigner | None = None
    """Signs v2 checkpoints too, after the log's own line; None if nobody asks for it."""

    def sign_checkpoint(
        self, size: int, root: RootHash, _time_ms: int, extensions: tuple[str, ...] = ()
    ) -> str:
        """Sign the tree as C2SP tlog-checkpoint has it: the origin is the signature's name."""
        text = encode_checkpoint(self.origin, size, root, extensions)
        return self._sign_note(text, self.for_witnesses)

    def vkeys(self) -> tuple[str, ...]:
        """Give the verifier keys of v2 checkpoints: the log's, and the one for witnesses."""
        others = () if self.for_witnesses is None else (self.for_witnesses.signer.public_key,)
        return tuple(encode_vkey(self.origin, key) for key in (self.signer.public_key, *others))

    def sign_v1_checkpoint(self, size: int, root: RootHash) -> str:
        """Sign the tree as Rekor v1 does: the origin has the tree id, the signature's name not."""
        origin = f"{self.origin} - {self.tree_id}"
        return self._sign_note(encode_checkpoint(origin, size, root))

    def sign_promise(self, body: bytes, integrated_time: int, index: int) -> bytes:
        """Sign that the entry is in the log: the signed entry timestamp of API v1.

        `body` is base64. The payload is canonical JSON (RFC 8785).
        """
        payload = _PROMISE % (body, integrated_time, self.log_id.hex().encode(), index)
        return self.signer.sign(payload)

    def _sign_note(self, text: str, also: NoteSigner | None = None) -> str:
        hint = self.log_id[:KEY_HINT_BYTES]
        lines = [NoteSignature(self.origin, hint, self.signer.sign(text.encode()))]
        if also is not None:
            # Second: readers that take the first line for the log's must find the log's key.
            lines.append(also.sign(text))
        return encode_note(text, lines)


def log_key(
    origin: str,
    signer: Signer,
    tree_id: int | None = None,
    *,
    for_witnesses: Signer | None = None,
) -> LogKey:
    """Give the log of this name and key; the tree id follows from the key unless it is given.

    `for_witnesses` is an Ed25519 key. Raises SETTINGS_INVALID if the log's own key is not ECDSA
    P-256 with SHA-256: clients of v1 accept no other promise.
    """
    if signer.algorithm.name != "PKIX_ECDSA_P256_SHA_256":
        raise SettingsError(
            "SETTINGS_INVALID",
            "the transparency log's key is of another kind",
            expected="PKIX_ECDSA_P256_SHA_256",
            found=signer.algorithm.name,
        )
    if not is_note_name(origin) or "/" in origin or origin.count(":") == 1:
        # With a space the v2 origin would look like a v1 one; a port is not part of the name (and
        # an IPv6 address has several colons).
        raise SettingsError(
            "SETTINGS_INVALID",
            "the transparency log's name is not a host name",
            expected="a host name without port",
            found=origin[:100],
        )
    log_id = signer.public_key.key_id
    second = None if for_witnesses is None else note_signer(origin, for_witnesses)
    return LogKey(origin, signer, log_id, tree_id or tree_id_of(log_id), second)


def encode_base64(data: bytes) -> bytes:
    """Give standard base64 without a newline."""
    return b2a_base64(data, newline=False)
