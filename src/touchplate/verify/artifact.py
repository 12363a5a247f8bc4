"""The thing whose signature is verified: its digests and, where needed, its bytes.

This room reads no files. Who has one hands in two functions; who has only a digest hands in that.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256, sha384, sha512
from typing import Final

from touchplate.errors import MalformedError, VerificationError
from touchplate.keys.algorithms import HASH_SIZES, HashName

_HASHES: Final = {"sha256": sha256, "sha384": sha384, "sha512": sha512}


class Artifact:
    """Digests by the name of the hash, and the content if there is a way to it.

    Digests are computed when first asked for, and kept.
    """

    __slots__ = ("_digests", "_hash_with", "_read")

    def __init__(
        self,
        digests: Mapping[HashName, bytes],
        hash_with: Callable[[HashName], bytes] | None = None,
        read: Callable[[], bytes] | None = None,
    ) -> None:
        """Take what is known; `hash_with` computes a digest, `read` gives the whole content."""
        self._digests: Final = dict(digests)
        self._hash_with = hash_with
        self._read = read

    @classmethod
    def from_bytes(cls, content: bytes) -> "Artifact":
        """The artifact that consists of these bytes."""
        return cls({}, lambda name: _HASHES[name](content).digest(), lambda: content)

    @classmethod
    def from_source(
        cls, hash_with: Callable[[HashName], bytes], read: Callable[[], bytes]
    ) -> "Artifact":
        """An artifact that lies elsewhere: one function hashes it, one reads it whole.

        `read` is called only for signatures that hash the content themselves (pure Ed25519).
        """
        return cls({}, hash_with, read)

    @classmethod
    def from_digests(cls, digests: Mapping[HashName, bytes]) -> "Artifact":
        """An artifact known by these digests only. Raises MalformedError DIGEST_MALFORMED."""
        for name, digest in digests.items():
            if len(digest) != HASH_SIZES.get(name):
                raise MalformedError(
                    "DIGEST_MALFORMED", f"{len(digest)} bytes are no {name} digest"
                )
        if not digests:
            raise MalformedError("DIGEST_MALFORMED", "no digest is given")
        return cls(digests)

    @classmethod
    def from_digest(cls, text: str) -> "Artifact":
        """The artifact with this digest: `sha256:`, `sha384:` or `sha512:` and all its hex.

        Raises MalformedError DIGEST_MALFORMED. Upper-case hex is read as lower.
        """
        prefix, _, digits = text.partition(":")
        for name, size in HASH_SIZES.items():
            if prefix == name and len(digits) == 2 * size and digits.isalnum():
                try:
                    return cls({name: bytes.fromhex(digits)})
                except ValueError:
                    break
        raise MalformedError(
            "DIGEST_MALFORMED",
            "the digest is not of the form ALGORITHM:HEX",
            expected=", ".join(f"{name}: and {2 * size} hex" for name, size in HASH_SIZES.items()),
            found=ascii(text)[:160],
        )

    def digest(self, name: HashName) -> bytes:
        """The digest under this hash. Raises VerificationError DIGEST_UNSUPPORTED."""
        digest = self._digests.get(name)
        if digest is not None:
            return digest
        if self._hash_with is None:
            raise VerificationError(
                "DIGEST_UNSUPPORTED",
                f"the check needs the artifact's {name} digest",
                expected=name,
                found=", ".join(self._digests),
                hint="give the file, or this digest of it",
            )
        digest = self._digests[name] = self._hash_with(name)
        return digest

    def knows(self, name: HashName) -> bool:
        """Whether `digest` has an answer for this hash."""
        return self._hash_with is not None or name in self._digests

    def content(self) -> bytes:
        """The whole content. Raises VerificationError DIGEST_UNSUPPORTED if there is none."""
        if self._read is None:
            raise VerificationError(
                "DIGEST_UNSUPPORTED",
                "the signature is over the artifact itself, and only its digest is given",
                hint="give the file",
            )
        return self._read()

    @property
    def has_content(self) -> bool:
        """Whether `content` has an answer."""
        return self._read is not None
