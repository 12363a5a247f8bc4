"""The way in: find the verb, load its module only, run it, turn whatever happens into a status.

Nothing is imported here that `touchplate --version` could do without.
"""

import io
import sys

USAGE = 2
# BSD's EX_SOFTWARE and the shell's word for SIGINT: a crash is never 0, and never "not proven".
CRASHED = 70
INTERRUPTED = 130
OUTPUT_LOST = 74


def main(arguments: list[str] | None = None) -> int:
    """Run the command and give its exit status; never raises, never gives 0 for a failure."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        _prepare_streams()
        status = _run(words)
        sys.stdout.flush()
    except OSError as error:
        # Files have names, and their errors are ours by now: this is a standard stream.
        return _lost(error)
    return status


def _prepare_streams() -> None:
    """Let every character be written somehow; a closed standard output is known before work."""
    if sys.stderr is None:
        # What is meant for it would go to standard output.
        sys.stderr = open("/dev/null", "w")  # noqa: PTH123, SIM115  as long as the process
    if sys.stdout is None:
        raise OSError(0, "closed")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _run(words: list[str]) -> int:
    """Run the command; whatever ends it becomes a status, but for a stream that is lost."""
    try:
        return _run_verb(words)
    except KeyboardInterrupt:
        print("touchplate: interrupted", file=sys.stderr)
        return INTERRUPTED
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else USAGE
    except Exception as error:  # the last line of defence: a crash gets its own status
        if isinstance(error, OSError) and error.filename is None:
            raise
        from touchplate.cli.failure import report

        return report(error)


def _run_verb(words: list[str]) -> int:
    verb = words[0] if words else "--help"
    if verb in ("--version", "-V"):
        verb, words = "version", ["version", *words[1:]]
    if verb in ("--help", "-h", "help"):
        if len(words) < 2:
            return _help()
        verb, words = words[1], [words[1], "--help"]
    from touchplate.cli.verbs import VERBS

    row = VERBS.get(verb)
    if row is None:
        known = ", ".join(VERBS)
        print(f"touchplate: no such command: {verb[:60]!a} (there are {known})", file=sys.stderr)
        return USAGE
    from importlib import import_module

    module = import_module(f"touchplate.cli.{row[0]}")
    if verb == "version" and len(words) == 1:
        return int(module.run(None))
    from touchplate.cli.parser import Parser

    parser = Parser(prog=f"touchplate {verb}", description=module.__doc__)
    module.add_arguments(parser)
    return int(module.run(parser.read(words[1:])))


def _help() -> int:
    from touchplate.cli.verbs import VERBS

    width = max(map(len, VERBS))
    print("usage: touchplate COMMAND …\n")
    for verb, (_, summary) in VERBS.items():
        print(f"  {verb:{width}}  {summary}")
    print("\ntouchplate COMMAND --help says more.")
    return 0


def _lost(error: OSError) -> int:
    """Whoever read our output is gone, or the disk is full; nobody can have seen the verdict."""
    import os
    from contextlib import suppress

    if not isinstance(error, BrokenPipeError):
        with suppress(OSError):
            print(f"touchplate: output cannot be written: {error.strerror}", file=sys.stderr)
    # The interpreter flushes standard output once more at its end, and would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return OUTPUT_LOST


if __name__ == "__main__":
    sys.exit(main())
