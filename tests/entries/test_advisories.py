"""Mistakes that other logs made in taking entries, and published: each must fail here."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.entries.test_hashedrekord_v002 import request_by
from tests.entries.worked import Vector
from touchplate.entries.create_entry import admit_request
from touchplate.entries.proposed import parse_proposed
from touchplate.errors import TouchplateError
from touchplate.keys.signer import generate

Worked = Callable[[str], Vector]
V1 = ("hashedrekord_v001", "dsse_v001", "intoto_v002")
V2 = ("hashedrekord_v002", "hashedrekord_v002_dsse", "dsse_v002")
ODD: tuple[object, ...] = (None, {}, [], "", 0, True, [None], {"": None})


def admit(folder: str, request: object) -> None:
    """Hand a request to the log of its generation; only our own errors may come out."""
    data = json.dumps(request).encode()
    try:
        if folder in V1:
            parse_proposed(data).admit()
        else:
            admit_request(data, accept_dsse=True)
    except TouchplateError:
        return


def places(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """Give the path to each member and item."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, item in items:
        yield (*path, name)
        if isinstance(item, dict | list):
            yield from places(item, *path, name)


@pytest.mark.parametrize("folder", [*V1, *V2])
def test_cve_2023_33199_missing_members(worked: Worked, folder: str) -> None:
    """No member of a request is taken for granted: absent or of another kind, it is an error.

    The same: CVE-2026-23831, GHSA-843x-px86-vq42.
    """
    text = worked(folder).request
    for path in places(json.loads(text)):
        for odd in ("absent", *ODD):
            request = json.loads(text)
            holder = request
            for name in path[:-1]:
                holder = holder[name]
            if odd == "absent":
                del holder[path[-1]]
            else:
                holder[path[-1]] = odd
            admit(folder, request)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://169.254.169.254/", "file:///etc"])
def test_cve_2026_24117_key_by_url(worked: Worked, url: str) -> None:
    """A key is part of the request: an address of one is not looked at, let alone fetched."""
    request = json.loads(worked("hashedrekord_v001").request)
    request["spec"]["signature"]["publicKey"] = {"url": url}

    with pytest.raises(TouchplateError) as caught:
        parse_proposed(json.dumps(request).encode()).admit()
    assert caught.value.code == "REQUEST_MALFORMED"


def test_rekor_tiles_0e3a969_pure_ed25519() -> None:
    """A signature that needs the whole artifact cannot be checked by its digest: an error."""
    signer = generate("ed25519")
    digest = bytes(64)
    verifier = {
        "publicKey": {"rawBytes": b64encode(signer.public_key.spki).decode()},
        "keyDetails": "PKIX_ED25519",
    }
    content = b64encode(signer.sign(digest)).decode()
    request = request_by(generate("ecdsa-p256"))
    request["hashedRekordRequestV002"] = {
        "digest": b64encode(digest).decode(),
        "signature": {"content": content, "verifier": verifier},
    }
    data = json.dumps(request).encode()

    for allowed, code in ((None, "ALGORITHM_REFUSED"), ({"ed25519"}, "DIGEST_UNSUPPORTED")):
        with pytest.raises(TouchplateError) as caught:
            admit_request(data, *([] if allowed is None else [frozenset(allowed)]))
        assert caught.value.code == code
