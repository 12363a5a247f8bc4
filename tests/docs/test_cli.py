"""docs/reference/cli has a page for each verb, and the page names each option."""

import argparse
import importlib
import re
from collections.abc import Iterator

import pytest

from tests.docs.pages import DOCS, rows_of
from touchplate.cli.failure import STATUSES
from touchplate.cli.parser import Parser
from touchplate.cli.verbs import VERBS

CLI = DOCS / "reference" / "cli"


def options_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Give the names of the parser's options and arguments, those of its subcommands too."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, each in action.choices.items():
                yield name
                yield from options_of(each)
        elif not isinstance(action, argparse._HelpAction):
            yield from action.option_strings or [str(action.metavar or action.dest)]


@pytest.mark.parametrize("verb", VERBS)
def test_every_option(verb: str) -> None:
    """The tables of a verb's page list its arguments, options and subcommands, and no others."""
    module = importlib.import_module(f"touchplate.cli.{VERBS[verb][0]}")
    parser = Parser(prog=f"touchplate {verb}")
    if hasattr(module, "add_arguments"):
        module.add_arguments(parser)

    described = {re.split(r"[ `]", row[0].strip("`"))[0] for row in rows_of(CLI / f"{verb}.md")}

    assert described == set(options_of(parser))


def test_every_verb() -> None:
    """The overview links each verb's page, with the words that `--help` has, and no other."""
    rows = {row[0]: row[1] for row in _verb_rows()}

    assert rows == {f"[`{verb}`]({verb}.md)": summary for verb, (_, summary) in VERBS.items()}
    assert {page.stem for page in CLI.glob("*.md")} - {"README"} == set(VERBS)


def _verb_rows() -> Iterator[list[str]]:
    for line in (CLI / "README.md").read_text("utf-8").splitlines():
        if line.startswith("| [`"):
            yield [cell.strip() for cell in line.strip("| ").split("|")]


def test_statuses() -> None:
    """The error page gives each branch the exit status that the command gives it."""
    text = (DOCS / "reference" / "errors.md").read_text("utf-8")
    branches = dict(re.findall(r"^\| (\w+)[^|]* \| [^|]* \| (\d+) \|", text, flags=re.MULTILINE))

    assert branches == {
        {"Verification": "Not"}.get(name, name): str(status)
        for name, status in (
            (branch.__name__.removesuffix("Error"), status) for branch, status in STATUSES.items()
        )
    }
