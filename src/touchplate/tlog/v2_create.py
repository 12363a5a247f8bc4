"""New entries over API v2: request -> entry -> log -> answer.

The requests of one turn of the event loop go together, each step for all of them before the next
one. That costs no waiting, for the log takes them together too.
"""

from functools import partial

from touchplate.entries.admission import Admitted
from touchplate.entries.create_entry import prepare, prove
from touchplate.errors import TouchplateError
from touchplate.tilelog.batch import Outcome
from touchplate.tilelog.entry import Receipt
from touchplate.tlog import v2
from touchplate.tlog.appender import Appender
from touchplate.tlog.log import TransparencyLog
from touchplate.tlog.shards import Shards
from touchplate.tlog.v2_fault import (
    FROZEN,
    conflict,
    not_admitted,
    not_appended,
    unreadable,
)
from touchplate.tlog.v2_request import read_request
from touchplate.transport.asgi import Reply, Response
from touchplate.transport.turn import Turn, step_each


class Creator:
    """Creates entries in whichever tree is active. One event loop calls it."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._settings = shards.active.settings
        self._append = Appender(shards)
        self._encoder = v2.EntryEncoder(shards.active.key)
        self._turn = Turn(self._create)
        # The tree that was found frozen, and the last one; until another comes after it.
        self._frozen: TransparencyLog | None = None

    def __call__(self, body: bytes, reply: Reply) -> None:
        """Create the entry that a request's body asks for, and reply later and once."""
        self._turn.add((body, reply))

    def _create(self, taken: list[tuple[bytes, Reply]]) -> None:
        log = self._shards.active
        if self._frozen is log:
            for _, reply in taken:
                reply(v2.answer_fault(FROZEN))
            return
        settings = self._settings
        asked = step_each(
            taken,
            lambda body: read_request(body, settings),
            lambda _, error: v2.answer_fault(unreadable(error)),
        )
        prepared = step_each(
            asked,
            lambda request: prepare(request, settings.algorithms),
            lambda request, error: v2.answer_fault(not_admitted(request, error)),
        )
        admitted = step_each(
            prepared, prove, lambda entry, error: v2.answer_fault(not_admitted(entry, error))
        )
        submitted = step_each(
            admitted,
            lambda entry: (entry, log.submission(entry)),
            lambda _, error: self._refuse(log, error),
        )
        for (entry, submission), reply in submitted:
            self._append.then(submission, partial(self._answer, reply, entry))

    def _answer(
        self, reply: Reply, admitted: Admitted, log: TransparencyLog, outcome: Outcome
    ) -> None:
        if isinstance(outcome, Receipt):
            log.note_appended(admitted, outcome)
            if outcome.duplicate and self._settings.duplicate_is_conflict:
                reply(v2.answer_fault(conflict(outcome.index)))
            else:
                self._encoder = self._encoder.of(log.key)
                reply(Response(201, self._encoder.encode(admitted, outcome)))
        elif isinstance(outcome, TouchplateError):
            reply(self._refuse(log, outcome))
        else:
            reply(outcome)

    def _refuse(self, log: TransparencyLog, error: TouchplateError) -> Response:
        log.note_failure(error)
        fault = not_appended(error)
        if fault is FROZEN:
            self._frozen = log
        return v2.answer_fault(fault)
