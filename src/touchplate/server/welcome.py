"""What a server says when it starts: where it is, and what to do next."""

import shlex

from touchplate.server.settings import Origin, ServeSettings
from touchplate.server.uris import shown

EXAMPLE_EMAIL = "you@example.org"


def welcome(origin: Origin, fingerprint: str, settings: ServeSettings, *, first: bool) -> list[str]:
    """Give the lines for the operator; the first one is `touchplate serves at URL`.

    After a first start the lines say how to sign and to verify; each is a command that works.
    """
    url = origin.url
    data, storage = settings.data, settings.storage
    lines = [
        f"touchplate serves at {url}",
        f"data folder: {data}",
        *(f"database: {shown(uri)}" for uri in (storage.database,) if uri),
        *(f"objects: {shown(uri)}" for uri in (storage.objects,) if uri),
        f"fingerprint of the trust root: sha256:{fingerprint}",
    ]
    if not origin.protects:
        lines.append("warning: http:// to another machine can be read and changed on the way")
    if not first:
        return lines
    folder = shlex.quote(str(data))
    return [
        *lines,
        "",
        "Next, trust it on each machine that signs or verifies:",
        f"  touchplate trust add {url} --fingerprint {fingerprint}",
        "mint an identity token and sign a file:",
        f"  touchplate token --data {folder} --email {EXAMPLE_EMAIL} --output token",
        f"  touchplate sign FILE --instance {url} --identity-token token",
        "and verify it anywhere, without network:",
        f"  touchplate verify FILE --identity {EXAMPLE_EMAIL} --issuer {url}/oidc",
    ]
