"""Run an instance: certificate authority, logs, timestamps, issuer and trust root on one port.

On an empty folder everything is made first. Give --url before the first start if clients are to
reach it under another name: the name of the log can not be changed later.
"""

import os
from argparse import ArgumentParser, Namespace

from touchplate.cli.service import load_server


def add_arguments(parser: ArgumentParser) -> None:
    """Add where it lives, where it listens and what it is called."""
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="its folder: keys, logs, certificates; made if it is not there (TOUCHPLATE_DATA)",
    )
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        help="where to listen; port 0 takes a free one (TOUCHPLATE_LISTEN; 127.0.0.1:7878)",
    )
    parser.add_argument(
        "--url",
        metavar="URL",
        help="where clients reach it (TOUCHPLATE_URL; default: where it listens)",
    )
    parser.add_argument(
        "--ca-key",
        choices=("p256", "p384"),
        default="p256",
        help="kind of the certificate authority's signing key, at the first start",
    )


def run(arguments: Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    settings = load_server("settings").make_settings(
        os.environ,
        data=arguments.data,
        listen=arguments.listen,
        url=arguments.url,
        ca_key=arguments.ca_key,
    )
    load_server("run").serve(settings, _say)
    return 0


def _say(line: str) -> None:
    print(line, flush=True)
