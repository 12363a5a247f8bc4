"""The `touchplate` command: one module for each verb, listed in `verbs.VERBS` and loaded on use.

A verb module has `add_arguments(parser)` and `run(arguments) -> int`. Exit status: 0 proven or
done, 1 not proven or refused, 2 usage or malformed input, 3 unavailable, 70 a fault of ours. This
room and `server` are the only ones that read the clock and the environment.
"""
