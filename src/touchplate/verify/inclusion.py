"""The log entry: included in a tree that the log signed.

What is computed with is signed: the size and the root come from the opened checkpoint, and what
the bundle says of them beside it must be the same.
"""

from collections.abc import Sequence
from datetime import datetime

from touchplate.errors import VerificationError
from touchplate.formats.bundle import TransparencyLogEntry
from touchplate.formats.checkpoint import Checkpoint
from touchplate.formats.trusted_root import TransparencyLog
from touchplate.merkle.proof import check_inclusion
from touchplate.merkle.tree import leaf_hash
from touchplate.verify.times import check_log_windows
from touchplate.verify.trust import Trust


def check_included(
    entry: TransparencyLogEntry,
    logs: Sequence[TransparencyLog],
    times: Sequence[datetime],
    trust: Trust,
) -> Checkpoint:
    """Prove that the entry is in the log, under a checkpoint that the log signed.

    `logs` are the entries of the trusted root with the entry's log id; one of `times`, if there
    are any, must lie in a window of the log's key, since an entry without a promise has no time
    of its own. Raises INCLUSION_PROOF_MISSING, INCLUSION_PROOF_INVALID, CHECKPOINT_…,
    LOG_KEY_NOT_VALID_AT_TIME.
    """
    proof = entry.proof
    if proof is None or not proof.checkpoint:
        raise VerificationError(
            "INCLUSION_PROOF_MISSING",
            "the log entry holds no inclusion proof with a checkpoint",
            hint="a proof is part of the bundle; none is fetched from the network",
        )
    is_v2 = entry.is_v2
    checkpoint = trust.checkpoint(logs[0], proof.checkpoint, v1=not is_v2)
    # A v1 proof states both. A v2 proof need not, and then both are empty.
    if (proof.root_hash or not is_v2) and proof.root_hash != checkpoint.root:
        raise VerificationError(
            "CHECKPOINT_ROOT_MISMATCH",
            "the inclusion proof is for another root than the checkpoint's",
            expected=checkpoint.root.hex(),
            found=proof.root_hash.hex(),
        )
    if (proof.tree_size or not is_v2) and proof.tree_size != checkpoint.size:
        raise VerificationError(
            "CHECKPOINT_ROOT_MISMATCH",
            "the inclusion proof is for another size than the checkpoint's",
            expected=str(checkpoint.size),
            found=str(proof.tree_size),
        )
    # The index within this tree: v1 counts `logIndex` of the entry over all shards.
    index = entry.log_index if is_v2 else proof.log_index
    check_inclusion(index, checkpoint.size, leaf_hash(entry.body), proof.hashes, checkpoint.root)
    check_log_windows(logs, times)
    return checkpoint
