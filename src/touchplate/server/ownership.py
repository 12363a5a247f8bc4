"""Whether storage is this instance's: found out before anything is written to it.

Hosts of one instance share a database and an object store, and have the same keys. Two instances
that were given the same storage by mistake, or two hosts that both made a first start, would write
two histories into one log. So the object store names its instance, and a database is taken only if
the log in it was signed with our key.
"""

from collections.abc import Callable
from typing import Final

from touchplate.errors import RefusedError, SettingsError, TouchplateError
from touchplate.formats import ct
from touchplate.formats.checkpoint import open_checkpoint
from touchplate.formats.note import NoteVerifier, note_algorithm
from touchplate.keys.public import PublicKey, check_signature
from touchplate.merkle.tree import RootHash
from touchplate.storage.database import LogDatabase
from touchplate.storage.objects import ObjectStore

KEY: Final = "instance"
# What a store has that was made before stores named their instance.
ROOT: Final = "tuf/1.root.json"
_FIRST_LINE: Final = "touchplate 1\n"

# An envelope -> the size and root that our key signed; raises what is wrong with it.
Reader = Callable[[str], tuple[int, RootHash]]


def claim_objects(objects: ObjectStore, instance_id: str, *, first: bool) -> None:
    """Write into the store whose it is, or find that it is ours (SETTINGS_INVALID).

    But for the first start there must be something of ours in it: with our keys a new history
    would be a second one.
    """
    if not first and objects.get(KEY) is None and objects.get(ROOT) is None:
        raise SettingsError(
            "SETTINGS_INVALID",
            "this instance has started before, and nothing of it is in the object store",
            hint="name the storage of the instance (--objects, --database, or [storage] in the "
            "settings file), or put the files back",
        )
    try:
        objects.put(KEY, f"{_FIRST_LINE}{instance_id}\n".encode())
    except RefusedError as error:
        found = (objects.get(KEY) or b"").decode("ascii", "replace")[:100]
        raise SettingsError(
            "SETTINGS_INVALID",
            "the object store belongs to another instance",
            expected=instance_id,
            found=found.removeprefix(_FIRST_LINE).strip(),
            hint="a further host of an instance needs a copy of the first one's data folder, made "
            "after its first start; another instance needs another bucket or prefix",
        ) from error


def check_database(database: LogDatabase, name: str, read: Reader) -> None:
    """Prove that the log in a database is signed with our key (SETTINGS_INVALID)."""
    state = database.state()
    if state is None:
        return
    try:
        read(state.envelope)
    except TouchplateError as error:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"the {name} log in this database is not signed with this instance's key: "
            f"{error.message}",
            hint="name the database, or the schema in it, that belongs to this data folder",
        ) from error


def read_tlog_checkpoint(origin: str, key: PublicKey, envelope: str) -> tuple[int, RootHash]:
    """Open a checkpoint of the transparency log, as its second API has them."""
    verifier = NoteVerifier(origin, key, key.key_id[:4], note_algorithm(key))
    checkpoint = open_checkpoint(envelope, verifier, v1=False)
    return checkpoint.size, checkpoint.root


def read_ct_checkpoint(origin: str, key: PublicKey, envelope: str) -> tuple[int, RootHash]:
    """Open a checkpoint of the certificate log, which holds a signed tree head."""
    head = ct.parse_checkpoint(envelope, origin, key.key_id)
    signature = ct.parse_digitally_signed(head.signature)
    check_signature(key, signature, head.signed_input(), key.algorithms[0])
    return head.size, RootHash(head.root)
