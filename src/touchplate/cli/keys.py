"""Try, make and list the keys of your own instance, wherever they rest.

A key is named by its URI: file:, pkcs11:, awskms:, gcpkms:, azurekms: or hashivault:. Passphrases
and PINs are read from where the URI says, and are never shown.
"""

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any, Final

from touchplate.cli.failure import advice_of, report, status_of
from touchplate.cli.service import add_folder, load_instance, load_server
from touchplate.cli.text import printable

if TYPE_CHECKING:
    from touchplate.keystore import Probe

KINDS: Final = {
    "p256": "ecdsa-p256",
    "p384": "ecdsa-p384",
    "p521": "ecdsa-p521",
    "ed25519": "ed25519",
    "rsa-2048": "rsa-2048",
    "rsa-3072": "rsa-3072",
    "rsa-4096": "rsa-4096",
}
LIST = "list the keys of an instance: names, kinds, where they rest; no key store is asked"


def add_arguments(parser: ArgumentParser) -> None:
    """Add one parser for each action."""
    actions = parser.add_subparsers(required=True, metavar="check|create|list")
    check = _add(actions, "check", "sign a probe with a key and check the signature", _check)
    check.add_argument("uri", metavar="URI", help="the key")
    create = _add(actions, "create", "make a key; one that is there is never replaced", _create)
    create.add_argument("uri", metavar="URI", help="where it is to be")
    create.add_argument("--kind", choices=KINDS, default="p256", help="what kind of key (p256)")
    listing = _add(actions, "list", LIST, _list)
    add_folder(listing)


def _add(actions: Any, name: str, summary: str, act: Any) -> ArgumentParser:  # noqa: ANN401  argparse's own
    each: ArgumentParser = actions.add_parser(name, help=summary, description=summary)
    each.set_defaults(act=act)
    each.add_argument("--json", action="store_true", help="print one JSON document")
    return each


def run(arguments: Namespace) -> int:
    """Do what the action says."""
    return int(arguments.act(arguments))


def _check(arguments: Namespace) -> int:
    from touchplate.keystore import probe_uri

    secrets = load_server("secrets").OperatorSecrets(os.environ)
    return _tell(arguments, probe_uri(arguments.uri, secrets=secrets))


def _create(arguments: Namespace) -> int:
    from touchplate.keystore import create_signer, probe_signer

    secrets = load_server("secrets").OperatorSecrets(os.environ)
    signer = create_signer(arguments.uri, KINDS[arguments.kind], secrets=secrets)
    return _tell(arguments, probe_signer(signer))


def _list(arguments: Namespace) -> int:
    settings = load_instance(arguments)
    rows = load_server("key_list").list_keys(settings, os.environ)
    if arguments.json:
        fields = ("name", "kind", "key_id", "uri")
        listed = [{each: getattr(row, each) for each in fields} for row in rows]
        print(json.dumps({"keys": listed}, indent=2))
        return 0
    for row in rows:
        kind, key_id = row.kind or "never opened", row.key_id[:16] or "-"
        print(f"{row.name:16}  {kind:12}  {key_id:16}  {printable(row.uri)}")
    return 0


def _tell(arguments: Namespace, probe: "Probe") -> int:
    """Say what is known of the key, and what is wrong with it; give the exit status."""
    from touchplate.keystore import shown_key_uri

    uri, public, fault = shown_key_uri(arguments.uri), probe.public_key, probe.fault
    status = 0 if fault is None else status_of(fault)
    if arguments.json:
        document: dict[str, object] = {"uri": uri, "works": fault is None}
        if public is not None:
            document |= {
                "kind": public.kind,
                "algorithm": probe.algorithm,
                "key_id": public.key_id.hex(),
                "public_key": public.pem(),
            }
        if fault is None:
            document["seconds"] = round(probe.seconds, 6)
        else:
            document |= {
                "step": probe.step,
                "code": fault.code,
                "message": str(fault),
                "hint": advice_of(fault),
            }
        print(json.dumps(document, indent=2))
        return status
    if public is not None:
        print(f"algorithm   {probe.algorithm}")
        print(f"public key  SHA-256 {public.key_id.hex()}")
    if fault is None:
        print(f"signs       yes, in {probe.seconds * 1000:.1f} ms")
        return 0
    done = {"load": "no: it cannot be opened", "sign": "no", "verify": "no: not with this key"}
    print(f"signs       {done[probe.step]}")
    sys.stdout.flush()
    return report(fault)
