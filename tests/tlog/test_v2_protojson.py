"""The spellings of protobuf JSON: what an entry request may look like, and what it may not.

Each row is sent to the service, read by both readers, and where protobuf's own library has the same
rule held against it.
"""

import json
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from tests.tlog.service import Service
from touchplate.entries.create_entry import parse_request
from touchplate.errors import TouchplateError
from touchplate.protobuf.sigstore_rekor_v2_pb2 import CreateEntryRequest
from touchplate.tlog import TlogSettings
from touchplate.tlog.grpc import read_request as read_message
from touchplate.tlog.v2_request import read_common, read_request

Worked = Callable[[str], bytes]
ENTRIES = "/api/v2/log/entries"
SETTINGS = TlogSettings()

DIGEST = "61TKl1ZugjkAFtHl8YtgaWRtKsDNdIZH8/qF8DzMmW4="
SIGNATURE = (
    "MEYCIQDK4MMVo04w+dVw2py2MwszQPwHxeo2vqVWdM2sflyRcAIhAPl4Exu6JQg1Zqcsj4j4im5rB9HGry0Ow0c82I4G"
    "u90G"
)
KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAESAWoZdVAbtTA6izCGczr408p8rwu+XhHHWV8k7KhXwUgxttPGZD931MS"
    "xJFmm3m8McEFZr0irAcBas1sPCj5pA=="
)
NAME = "PKIX_ECDSA_P256_SHA_256"


def url_safe(text: str) -> str:
    """Give the same bytes in the other alphabet."""
    return urlsafe_b64encode(b64decode(text)).decode()


def request(
    top: str = "hashedRekordRequestV002",
    *,
    digest: str = f'"digest":"{DIGEST}"',
    content: str = f'"content":"{SIGNATURE}"',
    key: str = f'"publicKey":{{"rawBytes":"{KEY}"}}',
    details: str = f'"keyDetails":"{NAME}"',
    signature: str = "",
    more: str = "",
    after: str = "",
) -> str:
    """Write the worked example, with members replaced by their whole text."""
    verifier = ",".join(filter(None, (key, details)))
    signature = signature or f'"signature":{{{content},"verifier":{{{verifier}}}}}'
    entry = ",".join(filter(None, (digest, signature)))
    return f'{{"{top}":{{{entry}}}{more}}}{after}'


ACCEPTED = {
    "as clients write it": request(),
    "snake_case at the top": request("hashed_rekord_request_v002"),
    "snake_case raw_bytes": request(key=f'"public_key":{{"raw_bytes":"{KEY}"}}'),
    "snake_case below camelCase": request(key=f'"publicKey":{{"raw_bytes":"{KEY}"}}'),
    "snake_case key_details": request(details=f'"key_details":"{NAME}"'),
    "all snake_case": request(
        "hashed_rekord_request_v002",
        key=f'"public_key":{{"raw_bytes":"{KEY}"}}',
        details=f'"key_details":"{NAME}"',
    ),
    "enum by number": request(details='"keyDetails":5'),
    "enum by number, snake_case": request(details='"key_details":5'),
    "digest without padding": request(digest=f'"digest":"{DIGEST.rstrip("=")}"'),
    "digest URL-safe": request(digest=f'"digest":"{url_safe(DIGEST)}"'),
    "signature URL-safe": request(content=f'"content":"{url_safe(SIGNATURE)}"'),
    "key URL-safe, no padding": request(
        key=f'"publicKey":{{"rawBytes":"{url_safe(KEY).rstrip("=")}"}}'
    ),
    "null is unset: the other key": request(
        key=f'"x509Certificate":null,"publicKey":{{"rawBytes":"{KEY}"}}'
    ),
    "null is unset: the other request": request(more=',"dsseRequestV002":null'),
    "details before the key": request(
        key=f'"keyDetails":"{NAME}"', details=f'"publicKey":{{"rawBytes":"{KEY}"}}'
    ),
    "spaces and lines": json.dumps(json.loads(request()), indent=3),
    "spaces around": f" \t\r\n{request()} \n",
    "escapes in names": request().replace('"digest"', '"d\\u0069gest"'),
    "escapes in values": request().replace(NAME, NAME.replace("P", "\\u0050")),
}

REFUSED = {
    "nothing": "",
    "a blank": " ",
    "no JSON": "hello",
    "half of it": request()[:-1],
    "an array": f"[{request()}]",
    "a string": json.dumps(request()),
    "null": "null",
    "a number": "1",
    "no member": "{}",
    "only null": '{"hashedRekordRequestV002":null}',
    "empty request": '{"hashedRekordRequestV002":{}}',
    "trailing garbage": request(after="x"),
    "a second document": request(after=request()),
    "trailing comma": request(more=","),
    "a byte order mark": "\ufeff" + request(),
    "comment": request(after="// yes"),
    "single quotes": request().replace('"', "'"),
    "unknown member at the top": request(more=',"more":1'),
    "unknown member at the top, null": request(more=',"more":null'),
    "unknown member of the entry": request(digest=f'"digest":"{DIGEST}","more":1'),
    "unknown member of the signature": request(content=f'"content":"{SIGNATURE}","more":1'),
    "unknown member of the verifier": request(details=f'"keyDetails":"{NAME}","more":1'),
    "unknown member of the key": request(key=f'"publicKey":{{"rawBytes":"{KEY}","more":1}}'),
    "name in another case": request(digest=f'"Digest":"{DIGEST}"'),
    "name in a wrong mixture": request(key=f'"publicKey":{{"raw_Bytes":"{KEY}"}}'),
    "digest twice": request(digest=f'"digest":"{DIGEST}","digest":"{DIGEST}"'),
    "digest twice, first null": request(digest=f'"digest":null,"digest":"{DIGEST}"'),
    "key twice, two spellings": request(
        key=f'"publicKey":{{"rawBytes":"{KEY}"}},"public_key":{{"rawBytes":"{KEY}"}}'
    ),
    "details twice, two spellings": request(details='"keyDetails":5,"key_details":5'),
    "raw bytes twice": request(key=f'"publicKey":{{"rawBytes":"{KEY}","raw_bytes":"{KEY}"}}'),
    "two of a oneof: the keys": request(
        key=f'"publicKey":{{"rawBytes":"{KEY}"}},"x509Certificate":{{"rawBytes":"{KEY}"}}'
    ),
    "two of a oneof: the requests": request(more=',"dsseRequestV002":{}'),
    "two of a oneof: one of them empty": request(
        key=f'"publicKey":{{"rawBytes":"{KEY}"}},"x509Certificate":{{}}'
    ),
    "no digest": request(digest=""),
    "digest null": request(digest='"digest":null'),
    "digest empty": request(digest='"digest":""'),
    "digest a number": request(digest='"digest":5'),
    "digest true": request(digest='"digest":true'),
    "digest an array": request(digest=f'"digest":["{DIGEST}"]'),
    "digest an object": request(digest='"digest":{}'),
    "digest not base64": request(digest='"digest":"%%%%"'),
    "digest of one character": request(digest='"digest":"A"'),
    "digest with padding inside": request(digest=f'"digest":"AAA=AAAA{DIGEST}"'),
    "digest with too much padding": request(digest=f'"digest":"{DIGEST}="'),
    "digest too short": request(digest=f'"digest":"{b64encode(bytes(31)).decode()}"'),
    "digest too long": request(digest=f'"digest":"{b64encode(bytes(33)).decode()}"'),
    "no signature": request(signature='"signature":null'),
    "signature a string": request(signature=f'"signature":"{SIGNATURE}"'),
    "signature an array": request(signature='"signature":[]'),
    "signature empty": request(signature='"signature":{}'),
    "content null": request(content='"content":null'),
    "content empty": request(content='"content":""'),
    "verifier null": request(signature=f'"signature":{{"content":"{SIGNATURE}","verifier":null}}'),
    "verifier an array": request(
        signature=f'"signature":{{"content":"{SIGNATURE}","verifier":[]}}'
    ),
    "no key": request(key=""),
    "key null": request(key='"publicKey":null'),
    "key a string": request(key=f'"publicKey":"{KEY}"'),
    "key empty": request(key='"publicKey":{}'),
    "raw bytes null": request(key='"publicKey":{"rawBytes":null}'),
    "raw bytes a number": request(key='"publicKey":{"rawBytes":1}'),
    "key as a certificate": request(key=f'"x509Certificate":{{"rawBytes":"{KEY}"}}'),
    "no details": request(details=""),
    "details null": request(details='"keyDetails":null'),
    "details 0": request(details='"keyDetails":0'),
    "details the empty string": request(details='"keyDetails":""'),
    "details unknown name": request(details='"keyDetails":"PKIX_ECDSA"'),
    "details in lower case": request(details=f'"keyDetails":"{NAME.lower()}"'),
    "details unknown number": request(details='"keyDetails":99'),
    "details a number as text": request(details='"keyDetails":"5"'),
    "details a broken number": request(details='"keyDetails":5.5'),
    "details true": request(details='"keyDetails":true'),
    "details an array": request(details=f'"keyDetails":["{NAME}"]'),
    "details of another key": request(details='"keyDetails":"PKIX_ECDSA_P384_SHA_384"'),
    "details of RSA, same hash": request(details='"keyDetails":"PKIX_RSA_PKCS1V15_2048_SHA256"'),
    "details deprecated": request(details='"keyDetails":"PKIX_ECDSA_P256_HMAC_SHA_256"'),
    "half a surrogate pair": request(more=',"\\ud800":1'),
    "NaN": request(details='"keyDetails":NaN'),
    "a control character": request(details='"keyDetails":"\x00"'),
}


def code_of(read: Callable[[], object]) -> object:
    """Give what a reader gives, or the code of its error."""
    try:
        return read()
    except TouchplateError as error:
        return error.code


def both(data: bytes) -> object:
    """Read by the route's reader; it must agree with the general one."""
    general = code_of(lambda: parse_request(data, accept_dsse=True))
    assert code_of(lambda: read_request(data, SETTINGS)) == general
    fast = read_common(data)
    assert fast is None or fast == general
    return general


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(service: Service, worked: Worked, name: str) -> None:
    """Every spelling leads to the same leaf, and protobuf's own library reads it alike."""
    data = ACCEPTED[name].encode()
    both(data)
    response = service.call("POST", ENTRIES, data)
    assert response.status == 201, response.body
    body = b64decode(json.loads(response.body)["canonicalizedBody"])
    assert body == worked("hashedrekord_v002/body.json")
    message = json_format.Parse(data, CreateEntryRequest())
    assert read_message(message, SETTINGS) == read_request(data, SETTINGS)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(fuzzed: Service, name: str) -> None:
    """Every other spelling is 400 with code 3, read fast or not, and nothing is logged."""
    data = REFUSED[name].encode()
    both(data)
    response = fuzzed.call("POST", ENTRIES, data)
    assert response.status == 400
    answer = json.loads(response.body)
    assert (answer["code"], answer["details"]) == (3, [])
    assert answer["message"]


def test_not_utf8(fuzzed: Service) -> None:
    """Bytes that are no UTF-8 are refused, also where the fast way would not look."""
    data = request().encode().replace(b'"digest"', b'"dig\xffst"')
    assert both(data) == "REQUEST_MALFORMED"
    assert fuzzed.call("POST", ENTRIES, data).status == 400


def test_common_shape_is_fast() -> None:
    """What clients write is read the fast way; otherwise this module would test only one."""
    fast = {name for name, text in ACCEPTED.items() if read_common(text.encode()) is not None}
    assert {"as clients write it", "spaces and lines", "details before the key"} <= fast
    assert not fast & {"all snake_case", "enum by number", "digest URL-safe"}


VALUES: st.SearchStrategy[object] = st.sampled_from(
    ["", "AA", "AA==", "A-_A", KEY, DIGEST, NAME, 5, 5.0, 99, None, True, {}, [], "5"]
)
NAMES = st.sampled_from(
    [
        *("digest", "signature", "content", "verifier", "publicKey", "public_key", "rawBytes"),
        *("raw_bytes", "keyDetails", "key_details", "x509Certificate", "more"),
    ]
)


@given(data=st.data())
def test_readers_agree(data: st.DataObject) -> None:
    """With members added, dropped or replaced anywhere, there is one answer.

    What protobuf's own library reads too, it reads alike.
    """
    document: Any = json.loads(request())
    for _ in range(data.draw(st.integers(1, 3))):
        inner = document
        for _ in range(data.draw(st.integers(0, 4))):
            below = [value for value in inner.values() if isinstance(value, dict)]
            inner = below[0] if below else inner
        name = data.draw(NAMES | st.sampled_from(list(inner) or ["digest"]))
        if data.draw(st.booleans()):
            inner.pop(name, None)
        else:
            inner[name] = deepcopy(data.draw(VALUES))
    text = json.dumps(document).encode()
    ours = both(text)
    if isinstance(ours, str):
        return
    message = json_format.Parse(text, CreateEntryRequest())
    assert read_message(message, SETTINGS) == ours
