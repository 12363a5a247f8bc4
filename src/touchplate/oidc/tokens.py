"""Compact JWTs (RFC 7519): read within limits, and proven with an issuer's key.

An `UnverifiedToken` is only what somebody sent; `check_token` makes `Claims` of it.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

from touchplate.errors import MalformedError, RefusedError
from touchplate.formats.jsontext import parse_json
from touchplate.oidc import base64url
from touchplate.oidc.jwk import ALGORITHMS
from touchplate.oidc.keys import IssuerKeys

MAX_TOKEN: Final = 16 * 1024
_MAX_KNOWN_HEADER: Final = 512
NOT_BEFORE_LEEWAY: Final = timedelta(minutes=5)

# Keys that may have signed a token with this `kid` (None: the token names none). For an issuer
# elsewhere it may fetch the keys again, once, when the `kid` is not known.
FindKeys = Callable[[str | None], IssuerKeys]


class UnverifiedToken(NamedTuple):
    """What a token says. Nothing of it is proven."""

    issuer: str
    algorithm: str
    key_id: str | None
    claims: Mapping[str, Any]
    signing_input: bytes
    signature: bytes


class Claims(NamedTuple):
    """What an issuer said: signature, audience and times of the token hold."""

    issuer: str
    subject: str
    values: Mapping[str, Any]

    def text(self, name: str) -> str:
        """Give a claim that must be a non-empty string (TOKEN_REFUSED)."""
        value = self.values.get(name)
        if not isinstance(value, str) or not value:
            raise RefusedError("TOKEN_REFUSED", f"the token has no claim {name!r}")
        return value


def parse_token(text: str) -> UnverifiedToken:
    """Read a compact JWT of at most 16 KiB with exactly two dots (TOKEN_MALFORMED)."""
    # Counted before anything is split: tokens with millions of dots have stopped other servers.
    if len(text) > MAX_TOKEN:
        raise _malformed(f"longer than {MAX_TOKEN} characters")
    if text.count(".") != 2:
        raise _malformed("not three parts between two dots")
    head, body, tail = text.split(".")
    # One issuer's tokens have the same header for as long as its key signs.
    algorithm, key_id = (
        _known_header(head) if len(head) <= _MAX_KNOWN_HEADER else _parse_header(head)
    )
    claims = parse_json(
        _decode(body), what="token claims", max_bytes=MAX_TOKEN, error="TOKEN_MALFORMED"
    )
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or not issuer:
        raise _malformed("no issuer")
    signed = text[: -1 - len(tail)].encode()
    return UnverifiedToken(issuer, algorithm, key_id, claims, signed, _decode(tail))


def _parse_header(head: str) -> tuple[str, str | None]:
    """Read algorithm and name of the key."""
    header = parse_json(
        _decode(head), what="token header", max_bytes=MAX_TOKEN, error="TOKEN_MALFORMED"
    )
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or not (key_id is None or isinstance(key_id, str)):
        raise _malformed("header names no algorithm, or a key that is no text")
    if "crit" in header:
        raise _malformed("header asks for extensions (crit) that are not supported")
    return algorithm, key_id


_known_header = lru_cache(maxsize=256)(_parse_header)  # an error is not kept


def _decode(part: str) -> bytes:
    try:
        return base64url.decode(part)
    except ValueError as error:
        raise _malformed("a part is not base64url without padding") from error


def check_token(
    token: UnverifiedToken,
    *,
    audience: str,
    find_keys: FindKeys,
    at: datetime,
) -> Claims:
    """Prove the token's signature, audience and times at `at`, or raise TOKEN_REFUSED.

    The algorithm must be one that the issuer says that it signs with, and one of our own table. The
    caller has chosen the issuer by the token's `iss`. What costs nothing is looked at first: no key
    is fetched for a token that is expired anyway.
    """
    if token.algorithm not in ALGORITHMS:
        raise _wrong_algorithm(token)
    _check_audience(token.claims.get("aud"), audience)
    _check_times(token.claims, at)
    subject = token.claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise _refused("no subject")
    issuer = find_keys(token.key_id)
    if token.algorithm not in issuer.algorithms:
        raise _wrong_algorithm(token)
    _check_signature(token, issuer)
    return Claims(token.issuer, subject, token.claims)


def _check_signature(token: UnverifiedToken, issuer: IssuerKeys) -> None:
    for key in issuer.keys:
        if token.key_id is not None and key.key_id != token.key_id:
            continue
        if key.is_signature(token.algorithm, token.signature, token.signing_input):
            return
    raise _refused("no key of its issuer made the signature")


def _check_audience(found: object, expected: str) -> None:
    audiences = found if isinstance(found, list) else [found]
    if not expected or expected not in audiences:
        raise RefusedError("TOKEN_REFUSED", "the token is for another audience", expected=expected)


def _check_times(claims: Mapping[str, Any], at: datetime) -> None:
    now = at.timestamp()
    expires, not_before = _number(claims, "exp"), _number(claims, "nbf")
    if expires is None or now > expires:
        raise _refused("expired, or without an expiry")
    if not_before is not None and now + NOT_BEFORE_LEEWAY.total_seconds() < not_before:
        raise _refused("not valid yet")


def _number(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refused(f"{name} is not a number")
    return value


def _wrong_algorithm(token: UnverifiedToken) -> RefusedError:
    return _refused(f"algorithm {token.algorithm[:20]!r} is not one that its issuer uses")


def _malformed(reason: str) -> MalformedError:
    return MalformedError("TOKEN_MALFORMED", f"identity token: {reason}")


def _refused(reason: str) -> RefusedError:
    return RefusedError("TOKEN_REFUSED", f"identity token: {reason}")
