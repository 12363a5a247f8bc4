"""How the outcome of a verification is told: a line, every step, or JSON."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from touchplate.cli.failure import advice_of, lines_of, meaning_of
from touchplate.cli.text import paint, printable
from touchplate.errors import TouchplateError
from touchplate.verify.steps import Step
from touchplate.verify.verdict import Verdict


class Outcome(NamedTuple):
    """What became of one file: a verdict, or the error and the steps until it."""

    artifact: str
    bundle: str | None
    verdict: Verdict | None
    error: TouchplateError | None
    steps: tuple[Step, ...]


def print_text(outcomes: Sequence[Outcome], *, explain: bool, warnings: Sequence[str] = ()) -> None:
    """Say who signed each file on standard output, and what is not proven on standard error.

    With `explain` all is on standard output, and `warnings` of the trusted root are told.
    """
    for warning in warnings if explain else ():
        print(f"note: {printable(warning)}")
    for outcome in outcomes:
        stream = sys.stdout if outcome.error is None or explain else sys.stderr
        for line in _lines(outcome, explain=explain):
            print(line, file=stream)


def _lines(outcome: Outcome, *, explain: bool) -> Iterator[str]:
    name = printable(outcome.artifact)
    if explain:
        yield from _explanation(outcome)
    if outcome.verdict is not None:
        yield f"{paint('proven', 'green')} {name}: {_summary(outcome.verdict)}"
    if outcome.error is not None:
        yield from _failure(outcome, outcome.error, name, explain=explain)


def _failure(
    outcome: Outcome, error: TouchplateError, name: str, *, explain: bool
) -> Iterator[str]:
    stream = sys.stdout if explain else sys.stderr
    yield f"{paint('NOT PROVEN', 'red', stream)} {name}"
    failed = next((step.name for step in outcome.steps if step.error is not None), None)
    if failed is not None:
        yield f"  check:    {failed}"
    elif outcome.bundle is not None:
        yield f"  bundle:   {printable(outcome.bundle)}"
    first, *rest = lines_of(error)
    yield f"  {first}"
    yield from rest


def _explanation(outcome: Outcome) -> Iterator[str]:
    yield paint(printable(outcome.artifact), "bold")
    if outcome.bundle is not None:
        yield f"  bundle {printable(outcome.bundle)}"
    for number, step in enumerate(outcome.steps, 1):
        mark = paint("ok", "green") if step.error is None else paint("FAILED", "red")
        yield f"  {number}. {step.name}: {mark}"
        for fact in step.evidence:
            yield paint(f"       {printable(fact)}", "faint")


def _summary(verdict: Verdict) -> str:
    if verdict.identity is None:
        who = f"signed with key sha256:{verdict.key.key_id.hex()}"
    else:
        # Nearly always one; where there are more, the policy may have asked for any of them.
        names = " and ".join(printable(name.value) for name in verdict.names)
        who = f"signed by {names}, vouched for by {printable(verdict.issuer or 'nobody')}"
    if not verdict.times:
        return who
    first = min(verdict.times, key=lambda time: time.at)
    return f"{who}, at {first.at:%Y-%m-%d %H:%M:%S} UTC"


def print_json(
    outcomes: Sequence[Outcome],
    status: int,
    *,
    warnings: Sequence[str] = (),
    error: TouchplateError | None = None,
) -> None:
    """Print one document, of the form in docs/reference/cli/verify.md; it changes only by adding.

    `error` is what kept all files from being looked at; `warnings` are what the trusted root lists
    and we cannot use.
    """
    import json

    document: dict[str, Any] = {"status": status}
    if error is not None:
        document["error"] = _error(error)
    if warnings:
        document["warnings"] = list(warnings)
    document["results"] = [_result(outcome) for outcome in outcomes]
    print(json.dumps(document, indent=2))


def _result(outcome: Outcome) -> dict[str, Any]:
    result: dict[str, Any] = {
        "artifact": outcome.artifact,
        "bundle": outcome.bundle,
        "proven": outcome.verdict is not None,
    }
    if outcome.verdict is not None:
        result |= _proven(outcome.verdict)
    if outcome.error is not None:
        result["error"] = _error(outcome.error)
    result["steps"] = [
        {"name": step.name, "passed": step.error is None, "evidence": list(step.evidence)}
        for step in outcome.steps
    ]
    return result


def _proven(verdict: Verdict) -> dict[str, Any]:
    from touchplate.formats.entry_name import name_entry

    statement = verdict.statement
    return {
        "identity": verdict.identity,
        "names": [{"kind": name.kind, "value": name.value} for name in verdict.names],
        "issuer": verdict.issuer,
        "key": f"sha256:{verdict.key.key_id.hex()}",
        "extensions": dict(verdict.extensions),
        "authentication": None
        if (login := verdict.authentication) is None
        else {"amr": list(login.methods), "acr": login.context or None},
        "times": [
            {"at": time.at.isoformat(), "source": time.source, "name": time.name}
            for time in verdict.times
        ],
        "entries": [
            {
                "logId": entry.log_id.hex(),
                "logIndex": entry.log_index,
                "name": None if (name := name_entry(entry)) is None else str(name),
                "kind": entry.kind,
                "version": entry.kind_version,
            }
            for entry in verdict.entries
        ],
        "statement": None
        if statement is None
        else {
            "type": statement.type,
            "predicateType": statement.predicate_type,
            "subjects": [
                {"name": subject.name, "digest": dict(subject.digests)}
                for subject in statement.subjects
            ],
        },
    }


def _error(error: TouchplateError) -> dict[str, Any]:
    return {
        "code": error.code,
        "meaning": meaning_of(error),
        "message": error.message,
        "expected": error.expected,
        "found": error.found,
        "hint": advice_of(error),
    }
