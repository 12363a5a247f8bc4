"""The witness policy file (C2SP tlog-policy): which cosignatures of a checkpoint are enough.

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> all|any|<k> <member>…
    quorum <name>|none

`parse_policy` reads it strictly and names the line at fault; `Policy` says whether cosignatures
that were verified meet the quorum, and checks a whole checkpoint. Lines may end in a comment, as
the files of Tessera and Rekor may.
"""

from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from touchplate.errors import MalformedError, TouchplateError, VerificationError
from touchplate.formats.checkpoint import MAX_CHECKPOINT_BYTES, Checkpoint, parse_checkpoint
from touchplate.formats.cosignature import Cosignature, Cosigner, parse_cosigner
from touchplate.formats.note import Note, NoteVerifier, parse_note, parse_vkey

MAX_POLICY_BYTES: Final = 256 * 1024
MAX_LINE_BYTES: Final = 8192
MAX_LOGS: Final = 100
MAX_WITNESSES: Final = 100
MAX_GROUPS: Final = 100
NONE: Final = "none"

_ALLOWED: Final = bytes(set(range(0x20, 0x7F)) | set(range(0x80, 0x100)) | {0x09, 0x0A})


class PolicyLog(NamedTuple):
    """A log whose checkpoints the policy is about; its key's name is the origin."""

    key: NoteVerifier
    url: str | None = None


class Witness(NamedTuple):
    """A witness, under the name that groups call it by."""

    name: str
    cosigner: Cosigner
    url: str | None = None
    """The submission prefix, to which `add-checkpoint` is joined."""


class Group(NamedTuple):
    """Met if at least `threshold` of its members are; a member is a witness or an earlier group."""

    name: str
    threshold: int
    members: tuple[str, ...]


class Policy(NamedTuple):
    """A policy whose form holds: names are defined before they are used, and none twice."""

    logs: tuple[PolicyLog, ...]
    witnesses: tuple[Witness, ...]
    groups: tuple[Group, ...]
    """Each after those that are its members."""
    quorum: str | None
    """Name of a witness or group; None if no cosignature is asked for."""

    def is_met(self, cosigned: Collection[str]) -> bool:
        """Say whether these witnesses, by their names in the policy, are enough.

        For those whose cosignatures were verified; `check` is the way from bytes of anyone.
        """
        met = {witness.name for witness in self.witnesses if witness.name in cosigned}
        for group in self.groups:
            if sum(member in met for member in group.members) >= group.threshold:
                met.add(group.name)
        return self.quorum is None or self.quorum in met

    def cosignatures(self, note: Note) -> dict[str, Cosignature]:
        """Prove every line of the note that is a witness's; give the newest one for each.

        Raises CHECKPOINT_SIGNATURE if a line by a known key does not verify.
        """
        found: dict[str, Cosignature] = {}
        for witness in self.witnesses:
            lines = witness.cosigner.find(note)
            if lines:
                found[witness.name] = max(lines, key=lambda each: each.time)
        return found

    def check(self, envelope: str) -> Checkpoint:
        """Prove that a log of the policy signed this checkpoint and that the quorum is met.

        Raises CHECKPOINT_MALFORMED, CHECKPOINT_KEYHINT (no log of the policy),
        CHECKPOINT_SIGNATURE and WITNESS_QUORUM.
        """
        try:
            note = parse_note(envelope, max_bytes=MAX_CHECKPOINT_BYTES)
        except MalformedError as error:
            raise MalformedError("CHECKPOINT_MALFORMED", error.message) from error
        checkpoint = parse_checkpoint(note)
        _check_logs(self.logs, note, checkpoint)
        cosigned = self.cosignatures(note)
        if not self.is_met(cosigned):
            raise VerificationError(
                "WITNESS_QUORUM",
                f"the cosignatures on the checkpoint of size {checkpoint.size} are not enough",
                expected=f"quorum {self.quorum}",
                found=", ".join(cosigned) or "none",
            )
        return checkpoint


def _check_logs(logs: tuple[PolicyLog, ...], note: Note, checkpoint: Checkpoint) -> None:
    """Prove that at least one log signed, under its own name, and none of those known wrongly."""
    refused: VerificationError | None = None
    signed = False
    for log in logs:
        if log.key.name != checkpoint.origin:
            continue
        try:
            log.key.check(note)
        except VerificationError as error:
            if error.code != "CHECKPOINT_KEYHINT":
                raise
            refused = error
        else:
            signed = True
    if not signed:
        raise refused or VerificationError(
            "CHECKPOINT_KEYHINT",
            "the checkpoint is of no log that the policy lists",
            expected=", ".join(str(log.key.name) for log in logs[:8]) or "no log at all",
            found=checkpoint.origin,
        )


def parse_policy(data: bytes) -> Policy:
    """Read a policy file; raise POLICY_MALFORMED or LIMIT_EXCEEDED naming the line."""
    if len(data) > MAX_POLICY_BYTES:
        raise MalformedError(
            "LIMIT_EXCEEDED", f"the witness policy has more than {MAX_POLICY_BYTES} bytes"
        )
    reader = _Reader()
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            reader.read(line)
        except TouchplateError as error:
            code = error.code if error.code == "LIMIT_EXCEEDED" else "POLICY_MALFORMED"
            raise MalformedError(
                code,
                f"the witness policy is malformed in line {number}: {error.message}",
                expected=error.expected,
                found=error.found,
            ) from error
    return reader.policy()


class _Reader:
    """What the lines so far have defined."""

    def __init__(self) -> None:
        self._logs: list[PolicyLog] = []
        self._witnesses: list[Witness] = []
        self._groups: list[Group] = []
        self._names: set[str] = set()
        self._members: set[str] = set()
        self._quorum: list[str | None] = []
        self._lines: dict[str, Callable[[list[str]], None]] = {
            "log": self._read_log,
            "witness": self._read_witness,
            "group": self._read_group,
            "quorum": self._read_quorum,
        }

    def read(self, line: bytes) -> None:
        """Read one line."""
        if len(line) > MAX_LINE_BYTES:
            raise MalformedError("LIMIT_EXCEEDED", f"it has more than {MAX_LINE_BYTES} bytes")
        odd = line.translate(None, _ALLOWED)
        if odd:
            raise _malformed(f"it holds the byte 0x{odd[0]:02x}")
        # Names are opaque octets: what is no UTF-8 is kept as it is.
        fields = _fields(line.decode("utf-8", "surrogateescape"))
        if not fields:
            return
        read = self._lines.get(fields[0])
        if read is None:
            known = ", ".join(self._lines)
            raise _malformed(f"no line begins with {fields[0][:40]!r} (but with {known})")
        read(fields[1:])

    def policy(self) -> Policy:
        """Give the whole policy."""
        if not self._quorum:
            raise _malformed("the witness policy is malformed: it has no line `quorum`")
        return Policy(
            tuple(self._logs), tuple(self._witnesses), tuple(self._groups), self._quorum[0]
        )

    def _read_log(self, fields: list[str]) -> None:
        if len(fields) not in (1, 2):
            raise _malformed("log <vkey> [<url>] has one or two fields", len(fields))
        _limit(self._logs, MAX_LOGS, "logs")
        log = PolicyLog(parse_vkey(_utf8(fields[0])), *fields[1:])
        if any(each.key.key == log.key.key for each in self._logs):
            raise _malformed("an earlier log has the same key")
        self._logs.append(log)

    def _read_witness(self, fields: list[str]) -> None:
        if len(fields) not in (2, 3):
            raise _malformed("witness <name> <vkey> [<url>] has two or three fields", len(fields))
        _limit(self._witnesses, MAX_WITNESSES, "witnesses")
        witness = Witness(fields[0], parse_cosigner(fields[1]), *fields[2:])
        for each in self._witnesses:
            if each.cosigner.key == witness.cosigner.key:
                raise _malformed(f"witness {each.name!r} has the same key")
        self._define(witness.name)
        self._witnesses.append(witness)

    def _read_group(self, fields: list[str]) -> None:
        if len(fields) < 3:
            raise _malformed("group <name> all|any|<k> <member>… has three fields or more")
        _limit(self._groups, MAX_GROUPS, "groups")
        name, rule, *members = fields
        for member in members:
            if member not in self._names:
                raise _malformed(f"no earlier line defines {member[:40]!r}")
            if member in self._members:
                raise _malformed(f"{member[:40]!r} is a member already")
            # Counted once: whoever could be counted twice would have two votes.
            self._members.add(member)
        threshold = _threshold(rule, len(members))
        self._define(name)
        self._groups.append(Group(name, threshold, tuple(members)))

    def _read_quorum(self, fields: list[str]) -> None:
        if len(fields) != 1:
            raise _malformed("quorum <name>|none has one field", len(fields))
        if self._quorum:
            raise _malformed("there is a quorum already")
        (name,) = fields
        if name != NONE and name not in self._names:
            raise _malformed(f"no earlier line defines {name[:40]!r}")
        self._quorum.append(None if name == NONE else name)

    def _define(self, name: str) -> None:
        if name == NONE:
            raise _malformed("`none` cannot be a name: it means that no cosignature is needed")
        if name in self._names:
            raise _malformed(f"{name[:40]!r} is defined already")
        self._names.add(name)


def _fields(line: str) -> list[str]:
    """Split at spaces and tabs, and at nothing else that Unicode calls a space."""
    fields = [field for field in line.replace("\t", " ").split(" ") if field]
    comment = next((place for place, field in enumerate(fields) if field[0] == "#"), len(fields))
    return fields[:comment]


def _utf8(field: str) -> str:
    """Hold a verifier key to be text: its name is part of signed notes, which are UTF-8."""
    try:
        field.encode()
    except UnicodeEncodeError as error:
        raise _malformed("the verifier key is not UTF-8") from error
    return field


def _threshold(rule: str, count: int) -> int:
    if rule in ("all", "any"):
        return count if rule == "all" else 1
    if not (rule.isascii() and rule.isdigit()) or rule[0] == "0" or len(rule) > 3:
        raise _malformed(f"a group asks for `all`, `any` or a number, not {rule[:40]!r}")
    if int(rule) > count:
        raise _malformed(f"{rule} of {count} members can never be met")
    return int(rule)


def _limit(there: list[PolicyLog] | list[Witness] | list[Group], most: int, what: str) -> None:
    if len(there) >= most:
        raise MalformedError("LIMIT_EXCEEDED", f"there are more than {most} {what}")


def _malformed(reason: str, count: int | None = None) -> MalformedError:
    found = None if count is None else str(count)
    return MalformedError("POLICY_MALFORMED", reason, found=found)
