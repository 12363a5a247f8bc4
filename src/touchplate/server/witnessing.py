"""Checkpoints of the transparency log wait for their witnesses (log key, policy, deadline).

`Witnessing` is what the engine calls with each new checkpoint before anybody is told of it. What a
witness says against the log is believed whatever the mode: a log that is behind what a witness has
cosigned, or has another tree, is not published. Its decision record is 0013.
"""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Final

from touchplate.clients.witnesses import AheadError, Gathered, Witnesses
from touchplate.errors import (
    MalformedError,
    SettingsError,
    TouchplateError,
    UnavailableError,
    VerificationError,
)
from touchplate.formats.checkpoint import MAX_CHECKPOINT_BYTES
from touchplate.formats.note import MAX_SIGNATURES, encode_note, parse_note
from touchplate.formats.witness_policy import MAX_POLICY_BYTES, Policy, parse_policy
from touchplate.server.settings import WitnessSettings
from touchplate.storage.database import LogDatabase
from touchplate.tilelog.entry import SignedCheckpoint
from touchplate.tilelog.log import TileLog
from touchplate.tilelog.settings import Cosign, ProveConsistency
from touchplate.tlog import Shards
from touchplate.transport.asgi import Request, Response, Route
from touchplate.transport.http import HttpTransport, Transport, check_url

KEEP_SECONDS: Final = 5.0  # how often it is looked whether there is something to publish again
VKEYS_PATH: Final = "/vkeys"

_RETRY: Final = timedelta(seconds=1)
_OPERATOR_RETRY: Final = timedelta(minutes=1)
_LOG_BYTES: Final = 2048  # of a checkpoint without cosignatures
_LOG_LINES: Final = 2

_logger = logging.getLogger("touchplate.witness")


def load_policy(path: Path) -> Policy:
    """Read the policy file, and hold it to be one that a log can be published under.

    Raises FILE_UNREADABLE and SETTINGS_INVALID.
    """
    try:
        with path.open("rb") as file:
            policy = parse_policy(file.read(MAX_POLICY_BYTES + 1))
    except OSError as error:
        raise SettingsError("FILE_UNREADABLE", f"{path}: {error.strerror}") from error
    except MalformedError as error:
        raise SettingsError("SETTINGS_INVALID", f"{path}: {error}") from error
    asked = [witness for witness in policy.witnesses if witness.url is not None]
    for witness in asked:
        check_url(witness.url or "")
    if not policy.is_met([witness.name for witness in asked]):
        raise SettingsError(
            "SETTINGS_INVALID",
            f"{path}: the quorum cannot be met by the witnesses that have a URL",
            hint="give each witness its submission prefix as the last field of its line",
        )
    size = _LOG_BYTES + sum(witness.cosigner.line_bytes for witness in asked)
    if size > MAX_CHECKPOINT_BYTES or len(asked) > MAX_SIGNATURES - _LOG_LINES:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"{path}: with all its cosignatures a checkpoint is too large for its readers",
            expected=f"{MAX_CHECKPOINT_BYTES} bytes and {MAX_SIGNATURES} lines at most",
            found=f"{size} bytes and {len(asked) + _LOG_LINES} lines",
        )
    return policy


def open_witnessing(
    opened: ExitStack, settings: WitnessSettings, now: Callable[[], datetime]
) -> "Witnessing | None":
    """Give the witnesses that the settings name, until `opened` is closed; None if they name none.

    Raises FILE_UNREADABLE and SETTINGS_INVALID.
    """
    if settings.policy is None:
        return None
    witnessing = Witnessing(load_policy(settings.policy), settings, HttpTransport(), now)
    opened.callback(witnessing.close)
    return witnessing


class Witnessing:
    """The witnesses of one log, and what its operator wants of them. Any thread may call."""

    def __init__(
        self,
        policy: Policy,
        settings: WitnessSettings,
        transport: Transport,
        now: Callable[[], datetime],
    ) -> None:
        # Adds to the counter of that name; set once there are counters.
        self.count: Callable[[str], None] = lambda _name: None
        self._policy = policy
        self._settings = settings
        self._now = now
        self._witnesses = Witnesses(policy, transport, lambda: now().timestamp())
        self._lock = Lock()  # guards `_told`
        self._told: dict[str, str] = {}  # what is wrong, as the operator was told

    def of(self, database: LogDatabase) -> Cosign:
        """Give what `TileLogSettings.cosign` wants, for the log in this database."""
        return partial(self._cosign, database)

    def close(self) -> None:
        """End the threads; requests under way end at their deadlines."""
        self._witnesses.close()

    def publish_if_due(self, log: TileLog, database: LogDatabase) -> bool:
        """Have the log published again if what is published lacks entries or cosignatures.

        Or if these are older than the settings want; say whether that was tried. A failure is
        told to the operator and tried again the next time.
        """
        state, published = database.state(), database.published()
        if state is None or published is None:
            return False
        age = self._now().timestamp() - published.time_ms / 1000
        if (
            published.is_before(state)
            or age >= self._settings.republish_seconds
            or not self._is_cosigned(published.envelope)
        ):
            try:
                log.publish_again()
            except UnavailableError as error:
                self._tell("publish", f"not published again: {error}")
            else:
                self._tell("publish", None)
            return True
        return False

    def _is_cosigned(self, envelope: str) -> bool:
        return self._policy.is_met(self._policy.cosignatures(parse_note(envelope)))

    def _cosign(
        self, database: LogDatabase, checkpoint: SignedCheckpoint, prove: ProveConsistency
    ) -> str:
        """Give the checkpoint with its cosignatures, the log's lines first.

        Raises UnavailableError: WITNESS_QUORUM if there are too few and the mode is fail-closed,
        STATE_BEHIND if a witness has seen what this log does not have.
        """
        is_closed = self._settings.mode == "fail-closed"
        gathered = self._witnesses.gather(
            checkpoint.envelope,
            checkpoint.size,
            prove,
            seconds=self._settings.deadline_seconds,
            greedy=self._settings.greedy,
            give_up=is_closed,
        )
        is_met = self._policy.is_met(gathered.cosignatures)
        self._count(gathered, is_met=is_met)
        self._tell_failures(gathered, is_met=is_met)
        is_overtaken = self._check_not_contradicted(database, checkpoint.size, gathered)
        if not is_met and (is_closed or is_overtaken or _is_published(database, checkpoint.size)):
            raise UnavailableError(
                "WITNESS_QUORUM",
                f"too few witnesses cosigned the checkpoint of size {checkpoint.size}: "
                f"{', '.join(gathered.cosignatures) or 'none'}",
                retry_after=_RETRY,
            )
        note = parse_note(checkpoint.envelope)
        lines = [each.line for each in gathered.cosignatures.values()]
        return encode_note(note.text, (*note.signatures, *lines))

    def _count(self, gathered: Gathered, *, is_met: bool) -> None:
        for witness in self._policy.witnesses:
            if witness.name in gathered.cosignatures:
                answer = "cosignature"
            else:
                answer = "late" if witness.url in gathered.late else "failure"
            if witness.url is not None:
                label = f'witness="{_escape(witness.name)}",answer="{answer}"'
                self.count(f"touchplate_witness_answers_total{{{label}}}")
        quorum = "met" if is_met else "missed"
        self.count(f'touchplate_witness_checkpoints_total{{quorum="{quorum}"}}')

    def _check_not_contradicted(self, database: LogDatabase, size: int, gathered: Gathered) -> bool:
        """Refuse to publish against what a witness has seen; say whether one is further than this.

        Another process of ours may have had a larger tree cosigned: that is no contradiction.
        """
        state = database.state()
        stored = size if state is None else max(size, state.size)
        is_overtaken = False
        for url, failure in gathered.failures.items():
            if isinstance(failure, AheadError):
                if failure.size <= stored:
                    is_overtaken = is_overtaken or failure.size > size
                    continue
                reason = f"it has cosigned size {failure.size}, which is more than this log has"
            elif (
                isinstance(failure, VerificationError)
                and failure.code == "CONSISTENCY_PROOF_INVALID"
            ):
                reason = str(failure)
            else:
                continue
            self._tell("behind", f"STATE_BEHIND: nothing is published: {url}: {reason}")
            raise UnavailableError(
                "STATE_BEHIND",
                f"the log is not published, for a witness has seen more or another: {reason}",
                retry_after=_OPERATOR_RETRY,
                hint="the database may come from an old backup: restore the newest one. "
                "If the witness is wrong, take it out of the policy",
            )
        self._tell("behind", None)
        return is_overtaken

    def _tell_failures(self, gathered: Gathered, *, is_met: bool) -> None:
        for url in (*gathered.failures, *gathered.late):
            failure = gathered.failures.get(url)
            if failure is not None:
                self._tell(url, f"no cosignature from {url}: {_text(failure)}")
            elif not is_met:
                self._tell(url, f"no cosignature from {url}: it did not answer in time")
        if is_met:
            for url in self._witnesses.urls:
                if url not in gathered.failures and url not in gathered.late:
                    self._tell(url, None)

    def _tell(self, what: str, text: str | None) -> None:
        """Tell the operator what is wrong, once for as long as it is; None: it no longer is."""
        with self._lock:
            before = self._told.pop(what, None)
            if text is not None:
                self._told[what] = text
        if text is not None and text != before:
            _logger.error("%s", text)
        elif text is None and before is not None:
            _logger.warning("no longer: %s", before)


class Keeper:
    """Looks now and then whether there is something to publish again, in a thread of its own."""

    def __init__(self, publish_if_due: Callable[[], object], seconds: float = KEEP_SECONDS) -> None:
        self._publish_if_due = publish_if_due
        self._seconds = seconds
        self._ended = Event()
        self._thread = Thread(target=self._run, name="witness-keeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            try:
                self._publish_if_due()
            except Exception:
                # It is asked again; a store that fails now may be back then.
                _logger.exception("publishing again failed")


def vkeys_route(shards: Shards) -> Route:
    """Answer the verifier keys of checkpoints, one a line: of each tree, the active one first.

    Of each tree its own key is first.
    """

    async def get_vkeys(_: Request) -> Response:
        trees = reversed(shards.oldest_first)
        lines = [f"{vkey}\n" for log in trees for vkey in log.key.vkeys()]
        text = "".join(lines).encode()
        return Response(200, text, "text/plain; charset=utf-8", (("cache-control", "no-cache"),))

    return Route("GET", VKEYS_PATH, get_vkeys, 0)


def _is_published(database: LogDatabase, size: int) -> bool:
    """Say whether this size is published: then fewer cosignatures must not take its place."""
    published = database.published()
    return published is not None and published.size == size


def _escape(name: str) -> str:
    """Write a policy's name as a label of a counter: names may hold any octet but a space."""
    octets = name.encode("utf-8", "surrogateescape")[:64]
    return octets.decode("ascii", "backslashreplace").replace("\\", "/").replace('"', "'")


def _text(failure: Exception) -> str:
    return f"{failure.code}: {failure}" if isinstance(failure, TouchplateError) else str(failure)
