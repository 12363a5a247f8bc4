"""Choose the instances that this machine trusts.

Each is pinned by the fingerprint of a root that its operator gave you; from there on its own TUF
repository says what changed. `touchplate verify` reads what was fetched and uses no network.
"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from touchplate.cli.environment import home, now
from touchplate.cli.network import add_http, open_retrying
from touchplate.cli.text import printable
from touchplate.errors import TouchplateError
from touchplate.trust.store import Instance, TrustStore


def add_arguments(parser: ArgumentParser) -> None:
    """Add one parser for each action."""
    actions = parser.add_subparsers(required=True, metavar="add|list|refresh|export|remove")

    add = actions.add_parser("add", help="trust an instance, and fetch its trust root")
    add.set_defaults(act=_add)
    add.add_argument(
        "url", metavar="URL", help="the instance, its TUF repository, or a known name: sigstore.dev"
    )
    add.add_argument(
        "--fingerprint", metavar="SHA256", help="SHA-256 of its root.json, from its operator"
    )
    add.add_argument("--name", metavar="NAME", help="what to call it here (default: its host)")
    add_http(add)

    listing = actions.add_parser("list", help="list what is trusted")
    listing.set_defaults(act=_list)
    listing.add_argument("--json", action="store_true", help="print one JSON document")

    refresh = actions.add_parser(
        "refresh", help="fetch what has changed (all instances, or those named)"
    )
    refresh.set_defaults(act=_refresh)
    refresh.add_argument("names", nargs="*", metavar="NAME", help="name or URL of an instance")
    add_http(refresh)

    export = actions.add_parser(
        "export", help="give what was fetched as one file, for a machine without network"
    )
    export.set_defaults(act=_export)
    export.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="name or URL of an instance (default: the only one trusted)",
    )
    export.add_argument(
        "--output", metavar="FILE", help="where to write it (default: standard output)"
    )
    export.add_argument(
        "--trust-config",
        action="store_true",
        help="trusted root and signing config in one document, with which others can sign too",
    )

    remove = actions.add_parser("remove", help="trust an instance no more")
    remove.set_defaults(act=_remove)
    remove.add_argument("names", nargs="+", metavar="NAME", help="name or URL of an instance")


def run(arguments: Namespace) -> int:
    """Do what the action says."""
    act: Callable[[Namespace, TrustStore], None] = arguments.act
    act(arguments, TrustStore(home()))
    return 0


def _add(arguments: Namespace, store: TrustStore) -> None:
    from touchplate.trust.add import add_instance

    instance = add_instance(
        store,
        open_retrying(arguments),
        arguments.url,
        fingerprint=arguments.fingerprint,
        at=now(),
        name=arguments.name,
    )
    print(f"trusted {instance.url} as {instance.name}")
    print(f"  root sha256:{instance.fingerprint}")


def _list(arguments: Namespace, store: TrustStore) -> None:
    instances = store.instances()
    if arguments.json:
        import json

        rows = [
            {"name": each.name, "url": each.url, "fingerprint": each.fingerprint}
            for each in instances
        ]
        print(json.dumps({"instances": rows}, indent=2))
        return
    if not instances:
        print("no instance is trusted here yet: touchplate trust add", file=sys.stderr)
    for each in instances:
        print(f"{each.name}  {printable(each.url)}  sha256:{printable(each.fingerprint)}")


def _refresh(arguments: Namespace, store: TrustStore) -> None:
    from touchplate.trust.refresh import refresh

    transport = open_retrying(arguments)
    chosen = [store.get(name) for name in arguments.names] or store.instances()
    failed: TouchplateError | None = None
    for instance in chosen:
        try:
            refresh(instance, transport, now())
            print(f"refreshed {instance.name}")
        except TouchplateError as error:
            print(f"not refreshed: {instance.name}", file=sys.stderr)
            failed = failed or error
    if failed is not None:
        raise failed


def _export(arguments: Namespace, store: TrustStore) -> None:
    instance = store.only() if arguments.name is None else store.get(arguments.name)
    data = _trust_config(instance) if arguments.trust_config else _trusted_root(instance)
    if arguments.output is None:
        sys.stdout.buffer.write(data)
        return
    from pathlib import Path

    from touchplate.storage.files import save_file

    save_file(Path(arguments.output), data, overwrite=True)
    print(f"wrote {printable(arguments.output)}")


def _trusted_root(instance: Instance) -> bytes:
    instance.trusted_root()  # read, so that nothing is handed on that cannot be
    return instance.trusted_root_bytes()


def _trust_config(instance: Instance) -> bytes:
    """Put together what was fetched, with members that we do not know."""
    import json

    from touchplate.formats.signing_config import CLIENT_TRUST_MEDIA_TYPE

    instance.signing_config()
    members = {
        "mediaType": CLIENT_TRUST_MEDIA_TYPE,
        "trustedRoot": json.loads(_trusted_root(instance)),
        "signingConfig": json.loads(instance.signing_config_bytes()),
    }
    return json.dumps(members, indent=2).encode() + b"\n"


def _remove(arguments: Namespace, store: TrustStore) -> None:
    from touchplate.trust.add import remove_instance

    for name in arguments.names:
        remove_instance(store, name)
        print(f"removed {printable(name)}")
