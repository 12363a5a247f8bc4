"""Who signs as certificate authority, timestamp authority and certificate log, and from when on.

The object store says it: `succession/1` and so on, over all three roles, each written once, so of
two hosts that rotate at the same time one is refused. The first key of each role is the instance's
own and has no record. A record states everything, also when the key begins to sign: the windows in
the trusted root follow from the records alone, so all processes make the same one.

    key -> chain -> record -> trusted root names it -> … overlap … -> it signs, and no other

Writing the record is the step that decides. Every process looks for the next one now and then, and
publishes before it uses the key: what a key has signed was never unknown to a client that asked.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import sha256
from typing import Final, NamedTuple

from touchplate.errors import RefusedError, SettingsError, TouchplateError
from touchplate.formats.certificate import Certificate, parse_pem_certificates
from touchplate.keys.public import PublicKey, load_public_key_pem
from touchplate.server.vault import CA, CT, TSA
from touchplate.storage.objects import ObjectStore

FORMAT: Final = 1
PREFIX: Final = "succession/"
ROLES: Final = (CA, TSA, CT)


@dataclass(frozen=True, slots=True)
class Tenure:
    """One key of a role: what is decided about it, once and for all."""

    role: str
    # From 1.
    number: int
    # Clients are told of it from here on.
    announced_at: datetime
    # It signs from here on, and the one before does not.
    signs_from: datetime
    # The public key, PEM; empty for the first one.
    key: str = ""
    # PEM, signing certificate first, root last; empty for the first one, and for logs.
    chain: str = ""

    @property
    def name(self) -> str:
        """Give the name of its key."""
        return key_name(self.role, self.number)

    @property
    def public_key(self) -> PublicKey | None:
        """Give the key; None for the first one."""
        return load_public_key_pem(self.key) if self.key else None

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """Give its chain."""
        return parse_pem_certificates(self.chain) if self.chain else ()


def key_name(role: str, number: int) -> str:
    """Give the name of a role's key with this number, from 1."""
    return role if number == 1 else f"{role}-{number}"


def ct_number(log: str) -> int | None:
    """Give the number of the certificate log of this name, from 1; None: it is another log."""
    if log == CT:
        return 1
    number = log.removeprefix(f"{CT}-")
    return int(number) if number != log and number.isdigit() else None


def ct_names(decided: Sequence[Tenure]) -> tuple[str, ...]:
    """Give the names of all certificate logs, oldest first."""
    return (CT, *(each.name for each in decided if each.role == CT))


class Window(NamedTuple):
    """When a key signs, as decided; both ends may lie ahead."""

    tenure: Tenure
    # It signs no more from here on; None: nothing comes after it yet.
    ends_at: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Say whether another one took its place before it signed anything."""
        # In one and the same second it may have.
        return self.ends_at is not None and self.ends_at < self.tenure.signs_from


@dataclass(frozen=True)
class Line:
    """The keys of one role, oldest first; there is always one."""

    tenures: tuple[Tenure, ...]

    @property
    def newest(self) -> Tenure:
        """Give the one that was decided on last."""
        return self.tenures[-1]

    @property
    def next_name(self) -> str:
        """Give the name of the key that would come next."""
        return key_name(self.newest.role, len(self.tenures) + 1)

    @cached_property
    def windows(self) -> tuple[Window, ...]:
        """Give when each of them signs."""
        found = []
        ends_at: datetime | None = None
        for tenure in reversed(self.tenures):
            found.append(Window(tenure, ends_at))
            # One that comes later may begin earlier: then it takes the place of both.
            ends_at = tenure.signs_from if ends_at is None else min(ends_at, tenure.signs_from)
        return tuple(reversed(found))

    def at(self, time: datetime) -> Tenure:
        """Give the one that signs at this time."""
        begun = [tenure for tenure in self.tenures[1:] if tenure.signs_from <= time]
        return begun[-1] if begun else self.tenures[0]

    def needed(self, first: int) -> tuple[Tenure, ...]:
        """Give those from this number on that sign, or will; others never take their place."""
        return tuple(
            each.tenure
            for each in self.windows
            if each.tenure.number >= first and not each.is_empty
        )

    def next_change(self, time: datetime) -> datetime | None:
        """Give when another one begins to sign after this time, if that is decided."""
        later = self.tenures[self.at(time).number :]
        return min((tenure.signs_from for tenure in later), default=None)

    def pending(self, time: datetime) -> Tenure | None:
        """Give the one that is announced and does not sign yet, if there is one."""
        newest = self.newest
        return newest if newest is not self.at(time) else None


Lines = dict[str, Line]
"""The keys of every role, by the role's name."""


def first_lines(created_at: datetime) -> Lines:
    """Give the keys that an instance begins with."""
    return {role: Line((Tenure(role, 1, created_at, created_at),)) for role in ROLES}


class Succession:
    """What is decided about the keys of all roles. Any thread may call the methods."""

    def __init__(self, objects: ObjectStore, created_at: datetime) -> None:
        """Read all decisions."""
        self._objects = objects
        self._tenures: tuple[Tenure, ...] = ()
        self._first = first_lines(created_at)
        self.read()

    @property
    def decided(self) -> tuple[Tenure, ...]:
        """Give all decisions that were read, oldest first."""
        return self._tenures

    @property
    def lines(self) -> Lines:
        """Give the keys of every role, as far as decisions were read."""
        decided = self._tenures
        return {
            role: Line((*line.tenures, *(each for each in decided if each.role == role)))
            for role, line in self._first.items()
        }

    def read(self) -> Lines:
        """Read what was decided since, also by others (UnavailableError); give it all."""
        decided = self._tenures
        while (found := _read(self._objects, len(decided) + 1)) is not None:
            decided = (*decided, found)
        # Others may have read meanwhile; decisions only come to be more.
        if len(decided) > len(self._tenures):
            self._tenures = decided
        return self.lines

    def decide(self, tenure: Tenure) -> None:
        """Decide on the next key of a role, durably.

        Raises SETTINGS_INVALID if another host was quicker.
        """
        if tenure.number != len(self.lines[tenure.role].tenures) + 1:
            raise AssertionError("the keys of a role are numbered one by one")
        number = len(self._tenures) + 1
        record = {
            "format": FORMAT,
            "role": tenure.role,
            "number": tenure.number,
            "announced_at": _text(tenure.announced_at),
            "signs_from": _text(tenure.signs_from),
            "key": tenure.key,
            "chain": tenure.chain,
        }
        try:
            self._objects.put(f"{PREFIX}{number}", json.dumps(record, indent=2).encode() + b"\n")
        except RefusedError as error:
            raise SettingsError(
                "SETTINGS_INVALID",
                "another host has rotated a key at the same time",
                hint="look at what it did: touchplate rotate list",
            ) from error
        self.read()


def read_decisions(objects: ObjectStore) -> tuple[Tenure, ...]:
    """Give all decisions in a store, oldest first."""
    found: list[Tenure] = []
    while (tenure := _read(objects, len(found) + 1)) is not None:
        found.append(tenure)
    return tuple(found)


def _read(objects: ObjectStore, number: int) -> Tenure | None:
    data = objects.get(f"{PREFIX}{number}")
    if data is None:
        return None
    try:
        value = json.loads(data)
        if value["format"] != FORMAT or value["role"] not in ROLES:
            raise ValueError("of another format")
        tenure = Tenure(
            str(value["role"]),
            int(value["number"]),
            datetime.fromisoformat(value["announced_at"]),
            datetime.fromisoformat(value["signs_from"]),
            str(value["key"]),
            str(value["chain"]),
        )
        _ = tenure.certificates, tenure.public_key
    except (ValueError, KeyError, TypeError, TouchplateError) as error:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"the object {PREFIX}{number} was not written by this version of touchplate: {error}",
        ) from error
    return tenure


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision as a data folder remembers it."""

    name: str
    # SHA-256 of the record's content, hex.
    digest: str


def remembered_decisions(decided: Sequence[Tenure]) -> tuple[Decision, ...]:
    """Give what a data folder is to remember of the decisions."""
    return tuple(Decision(each.name, _digest(each)) for each in decided)


def check_decisions(known: tuple[Decision, ...], found: Sequence[Tenure]) -> None:
    """Hold storage to the decisions that a data folder remembers (STATE_BEHIND)."""
    if known != remembered_decisions(found)[: len(known)]:
        raise SettingsError(
            "STATE_BEHIND",
            "the keys that this instance was rotated to are not those in this storage",
            expected=", ".join(each.name for each in known),
            found=", ".join(each.name for each in found) or "none",
            hint="the object store may come from an old backup: restore the newest one",
        )


def _digest(tenure: Tenure) -> str:
    parts = (
        *(tenure.role, str(tenure.number), _text(tenure.announced_at)),
        *(_text(tenure.signs_from), tenure.key, tenure.chain),
    )
    return sha256("\n".join(parts).encode()).hexdigest()


def whole_second(at: datetime, *, up: bool = False) -> datetime:
    """Give the time without its fraction, which older clients do not read; `up`: the next one."""
    whole = at.replace(microsecond=0)
    return whole + timedelta(seconds=1) if up and whole != at else whole
