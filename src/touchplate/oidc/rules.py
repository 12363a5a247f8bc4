"""What this deployment asks of an issuer's identities beyond what upstream's file can say."""

from dataclasses import dataclass

from touchplate.errors import RefusedError
from touchplate.oidc.identity import Identity


@dataclass(frozen=True, slots=True)
class IssuerRule:
    """One rule for the tokens of one row of the issuers; each member that is there must hold."""

    # The row: its URL, or its pattern, as the file writes it.
    issuer: str
    # The token's `acr` is one of these.
    require_acr: tuple[str, ...] = ()
    # The token's `amr` has all of these.
    require_amr: tuple[str, ...] = ()
    # The certificate's name (address, URI, user!domain) matches one of these, as a whole.
    allowed_subjects: tuple[str, ...] = ()

    def check(self, identity: Identity) -> None:
        """Refuse an identity that the rule does not allow (TOKEN_REFUSED)."""
        if self.require_acr and identity.acr not in self.require_acr:
            raise _refused("the login was of another class (acr) than is required here")
        missing = set(self.require_amr).difference(identity.amr)
        if missing:
            raise _refused(f"the login was without {', '.join(sorted(missing))} (amr)")
        if self.allowed_subjects and not any(
            matches(pattern, identity.san.value) for pattern in self.allowed_subjects
        ):
            raise _refused(f"{identity.san.value[:200]!r} is not among the allowed subjects")


def matches(pattern: str, text: str) -> bool:
    """Say whether the whole text matches, in linear time; `*` stands for any characters or none.

    Nothing else is special, and case matters.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, last = rest
    if not text.startswith(first) or len(text) < len(first) + len(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return text.endswith(last)


def _refused(reason: str) -> RefusedError:
    return RefusedError("TOKEN_REFUSED", f"identity token: {reason}")
