"""Every exception that leaves this package, in one tree.

    TouchplateError
    ├── MalformedError        these bytes are not what the format says    (the sender)
    ├── VerificationError     well formed, and not proven                 (nobody: do not trust it)
    │   └── PolicyError       proven, but not by whom you asked for
    ├── RefusedError          understood, and not allowed                 (the caller)
    ├── UnavailableError      try again; carries `retry_after`            (time)
    └── SettingsError         this deployment is set up wrongly           (the operator)

The branch says who must act. The `code` is stable: JSON output, HTTP problem details, metrics and
`docs/reference/errors.md` use it. `CODES` is the list of them; a code that is not there cannot be
raised.
"""

from datetime import timedelta
from typing import Final


class TouchplateError(Exception):
    """Something did not hold. `code` is stable; the text is for people, and names the value."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        expected: str | None = None,
        found: str | None = None,
        hint: str | None = None,
    ) -> None:
        """Say what failed; `expected` and `found` are the two values, `hint` is what to do."""
        if code not in CODES:
            raise AssertionError(f"error code {code!r} is not in errors.CODES")
        super().__init__(message)
        self.code = code
        self.message = message
        self.expected = expected
        self.found = found
        self.hint = hint

    def __str__(self) -> str:
        """Give the message with what was expected and found."""
        text = self.message
        if self.expected is not None:
            text += f" (expected {self.expected})"
        if self.found is not None:
            text += f" (found {self.found})"
        return text


class MalformedError(TouchplateError):
    """These bytes are not what their format says. The sender must act."""


class VerificationError(TouchplateError):
    """Well formed, and not proven. Do not trust it."""


class PolicyError(VerificationError):
    """Proven, but not by whom, or not what, the policy asks for."""


class RefusedError(TouchplateError):
    """Understood, and not allowed. The caller must ask for something else."""


class UnavailableError(TouchplateError):
    """It may work later; `retry_after` says when to try again, if that is known."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retry_after: timedelta | None = None,
        hint: str | None = None,
    ) -> None:
        """Say what is not available now."""
        super().__init__(code, message, hint=hint)
        self.retry_after = retry_after


class SettingsError(TouchplateError):
    """This deployment, or this machine, is set up wrongly. The operator must act."""


# code: what it means, in one sentence. docs/reference/errors.md says what to do about each.
CODES: Final[dict[str, str]] = {
    # formats: bytes that are not what they should be
    "BACKUP_INVALID": "The backup is damaged, cut short, or not one of ours.",
    "JSON_MALFORMED": "The text is not the JSON that the format asks for.",
    "DER_MALFORMED": "The bytes are not the DER structure that the format asks for.",
    "BUNDLE_MALFORMED": "The bundle lacks a field, or holds one of the wrong form.",
    "BUNDLE_VERSION": "The bundle's media type is none that exists.",
    "BUNDLE_VERSION_RULE": "The bundle breaks a rule of its own version.",
    "BUNDLE_LIMIT": "The bundle holds more than the limits allow.",
    "TRUST_ROOT_INVALID": "The trusted root is malformed or incomplete.",
    "SIGNING_CONFIG_INVALID": "The signing config is malformed or names no usable service.",
    "CERTIFICATE_MALFORMED": "A certificate does not parse, or holds a malformed extension.",
    "NOTE_MALFORMED": "The signed note does not have the form of C2SP signed-note.",
    "CHECKPOINT_MALFORMED": "The checkpoint does not have the form of C2SP tlog-checkpoint.",
    "POLICY_MALFORMED": "The witness policy does not have the form of C2SP tlog-policy.",
    "TIMESTAMP_MALFORMED": "The RFC 3161 message does not parse.",
    "TIME_MALFORMED": "The answer of a time server does not parse.",
    "SCT_MALFORMED": "The signed certificate timestamp list does not parse.",
    "ENTRY_MALFORMED": "The log entry's body does not have the form of its kind.",
    "STATEMENT_INVALID": "The signed payload is not an in-toto statement.",
    "DIGEST_MALFORMED": "The digest argument is not ALGORITHM:HEX of the right length.",
    "TOKEN_MALFORMED": "The identity token is not a compact JWT.",
    "REQUEST_MALFORMED": "The request does not have the form that the endpoint asks for.",
    "RESPONSE_MALFORMED": "A service answered with something that its protocol does not allow.",
    "LIMIT_EXCEEDED": "The input is larger, deeper or longer than the limit named.",
    # verification: well formed, and not proven
    "KEY_MODE_MISMATCH": "The bundle has a key where the policy names an identity, or the reverse.",
    "KEY_UNREADABLE": "The public key cannot be read or is of a kind that is not supported.",
    "DSSE_SIGNATURE_COUNT": "The DSSE envelope does not hold exactly one signature.",
    "TIMESTAMP_INVALID": "A timestamp does not verify against a trusted timestamp authority.",
    "SET_INVALID": "The log's inclusion promise (signed entry timestamp) does not verify.",
    "NO_VERIFIED_TIME": "No trusted source says when the signature was made.",
    "CA_NOT_VALID_AT_TIME": "No trusted certificate authority was valid at the time of signing.",
    "CERT_CHAIN": "The certificate does not chain to a trusted certificate authority.",
    "CERT_NOT_VALID_AT_TIME": "A certificate of the chain was not valid at a verified time.",
    "KEY_NOT_VALID_AT_TIME": "The public key that was given was not valid at a verified time.",
    "CERT_PROFILE": "The signing certificate is not a code signing certificate.",
    "SCT_INVALID": "No trusted certificate transparency log vouches for the certificate.",
    "IDENTITY_MISMATCH": "The certificate is for another identity than the policy asks for.",
    "ISSUER_MISMATCH": "The identity was vouched for by another issuer than the policy asks for.",
    "EXTENSION_MISMATCH": "A certificate extension has another value than the policy asks for.",
    "SECOND_FACTOR_MISSING": "The certificate does not prove a login with two factors.",
    "LOG_UNKNOWN": "No log entry of the bundle is from a log that the trusted root lists.",
    "LOG_THRESHOLD": "Too few distinct logs or timestamp authorities vouch for this.",
    "CHECKPOINT_KEYHINT": "The checkpoint holds no signature line by the log's name and key.",
    "CHECKPOINT_SIGNATURE": "The log's signature on the checkpoint does not verify.",
    "WITNESS_QUORUM": "Too few witnesses of the policy cosigned the checkpoint.",
    "CHECKPOINT_ROOT_MISMATCH": "The inclusion proof and the checkpoint speak of different trees.",
    "INCLUSION_PROOF_MISSING": "The log entry holds no inclusion proof with a checkpoint.",
    "INCLUSION_PROOF_INVALID": "The inclusion proof does not lead to the checkpoint's root.",
    "CONSISTENCY_PROOF_INVALID": "The consistency proof does not connect the two trees.",
    "ENTRY_KIND_UNSUPPORTED": "The log entry is of a kind that cannot vouch for this content.",
    "ENTRY_KIND_MISMATCH": "The log entry's body is of another kind than the bundle says.",
    "ENTRY_DIGEST_MISMATCH": "The log entry is about another artifact.",
    "ENTRY_SIGNATURE_MISMATCH": "The log entry is about another signature.",
    "ENTRY_KEY_MISMATCH": "The log entry is about another key or certificate.",
    "LOG_KEY_NOT_VALID_AT_TIME": "The log's key was not valid at the verified time.",
    "DIGEST_MISMATCH": "The artifact is not the one that was signed.",
    "DIGEST_UNSUPPORTED": "This signature cannot be checked from that digest alone.",
    "SIGNATURE_INVALID": "The signature does not verify with the key.",
    "SUBJECT_MISMATCH": "The statement has no subject with the artifact's digest.",
    "PREDICATE_MISMATCH": "The statement's predicate type is not the one that the policy asks for.",
    "TLOG_INVALID": "The log's tiles, entries and checkpoint do not agree.",
    # refused: understood, and not allowed
    "POLICY_EMPTY": "The policy names nobody; an empty policy is never accepted.",
    "ALGORITHM_REFUSED": "The key or hash algorithm is not allowed here.",
    "TOKEN_REFUSED": "The identity token is expired, from an unknown issuer, or not valid.",
    "PROOF_REFUSED": "The proof that the caller holds the private key does not verify.",
    "ENTRY_REFUSED": "The log does not take this entry.",
    "ENTRY_EXISTS": "The log holds an equal entry already and does not return it.",
    "LOG_FROZEN": "This log takes no more entries.",
    "PROFILE_BROKEN": "A logged certificate is not as its authority issues them.",
    "CHAIN_REFUSED": "The certificate chain submitted does not lead to an accepted root.",
    "POLICY_OID_REFUSED": "The timestamp policy asked for is not offered.",
    "FILE_EXISTS": "The output file exists and overwriting was not asked for.",
    "SERVICE_REFUSED": "A service understood the request and did not allow it.",
    "TRUST_REFUSED": "The trust root fetched is not the one that was pinned, or went backwards.",
    "NOT_FOUND": "There is nothing under that name.",
    # unavailable: time must pass
    "SERVICE_UNAVAILABLE": "A service did not answer, or asks to be tried later.",
    "LOG_BUSY": "The log has too many entries waiting.",
    "TIME_UNPROVEN": "The clock is not proven to be right, so nothing is stamped.",
    "STORAGE_UNAVAILABLE": "The storage below the service failed.",
    # settings: the operator
    "SETTINGS_INVALID": "A setting is missing or has a value that is not allowed.",
    "DATA_FOLDER_UNSAFE": "The data folder or a key file is open to other users.",
    "KEY_NOT_FOUND": "A private key of the service is missing or does not fit its certificate.",
    "STATE_BEHIND": "The stored log is behind a checkpoint that was published.",
    "TRUST_UNKNOWN": "This machine does not trust any such instance yet.",
    "USAGE": "The command line is not one that the command understands.",
    "FILE_UNREADABLE": "A file cannot be read or written.",
}
