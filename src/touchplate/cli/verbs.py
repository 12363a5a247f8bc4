"""The verbs of the command, one row each; the module is `touchplate.cli.MODULE`."""

# verb: module, and what `touchplate --help` says about it.
VERBS = {
    "sign": ("sign", "sign files with a short-lived certificate"),
    "verify": ("verify", "prove who signed a file, without network"),
    "trust": ("trust", "choose the instances that this machine trusts"),
    "search": ("search", "search a transparency log: what was signed in a name"),
    "serve": ("serve", "run an instance: authority, logs, timestamps, issuer, trust root"),
    "rotate": ("rotate", "exchange the keys that your own instance signs with"),
    "log": ("log", "look after the logs of your own instance"),
    "ct": ("ct", "look after the certificate log of your own instance"),
    "backup": ("backup", "write your own instance to one file, while it runs"),
    "restore": ("restore", "restore an instance from a backup"),
    "keys": ("keys", "try, make and list the keys of your own instance"),
    "token": ("token", "mint an identity token of your own instance"),
    "version": ("version", "say which version this is"),
}
