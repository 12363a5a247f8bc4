"""Run an instance: certificate authority, logs, timestamps, issuer and trust root on one port.

On an empty folder everything is made first. Give --url before the first start if clients are to
reach it under another name: the name of the log can not be changed later.
"""

import os
from argparse import ArgumentParser, Namespace

from touchplate.cli.service import load_instance, load_server


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
        "--grpc-listen",
        metavar="HOST:PORT",
        help="where to answer gRPC too (default: nowhere)",
    )
    parser.add_argument(
        "--url",
        metavar="URL",
        help="where clients reach it (TOUCHPLATE_URL; default: where it listens)",
    )
    parser.add_argument(
        "--ca-key",
        choices=("p256", "p384"),
        help="kind of the certificate authority's signing key, at the first start (p256)",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="the settings file (TOUCHPLATE_CONFIG; default: DIR/touchplate.toml, if it is there)",
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        help="how many processes answer (TOUCHPLATE_WORKERS; 1)",
    )
    parser.add_argument(
        "--database",
        metavar="URI",
        help="where the logs' databases rest (TOUCHPLATE_DATABASE; default: the folder)",
    )
    parser.add_argument(
        "--objects",
        metavar="URI",
        help="where tiles and other immutable files rest (TOUCHPLATE_OBJECTS; default: the folder)",
    )


def run(arguments: Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    settings = load_instance(
        arguments,
        listen=arguments.listen,
        grpc_listen=arguments.grpc_listen,
        url=arguments.url,
        ca_key=arguments.ca_key,
        workers=arguments.workers,
    )
    load_server("run").serve(settings, _say, os.environ)
    return 0


def _say(line: str) -> None:
    print(line, flush=True)
