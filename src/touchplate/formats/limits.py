"""The limits of a bundle and what it carries, in one table: nothing above them is worked on.

Sources: `sigstore-go: internal/limits` for the counts, our own for the sizes. The limits of a
certificate, a timestamp and a note stand in their own modules.
"""

from typing import Final

MAX_BUNDLE_BYTES: Final = 128 * 1024 * 1024  # container attestations are this large
MAX_ENTRIES: Final = 32
MAX_TIMESTAMPS: Final = 32
MAX_CHAIN: Final = 10
MAX_PROOF_HASHES: Final = 64
MAX_CHECKPOINT_CHARACTERS: Final = 64 * 1024
MAX_ENTRY_BODY_BYTES: Final = 1024 * 1024
MAX_SIGNATURE_BYTES: Final = 16 * 1024  # the largest we know, ML-DSA-87, has 4,627
MAX_SUBJECTS: Final = 1024
MAX_DIGESTS: Final = 32
MAX_STATEMENT_VALUES: Final = 2_000_000  # a bill of materials of 100 MiB has about as many
