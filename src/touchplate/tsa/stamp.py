"""Making one timestamp: request -> checks -> TSTInfo -> signed attributes -> response."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from touchplate.errors import MalformedError, RefusedError, SettingsError
from touchplate.formats.certificate import Certificate, parse_certificate
from touchplate.formats.timestamp_builder import (
    ResponseTemplate,
    encode_response,
    encode_signed_attributes,
    encode_tst_info,
    make_template,
)
from touchplate.formats.timestamp_request import SHA1, TimestampRequest, is_oid
from touchplate.keys.algorithms import HASH_SIZES
from touchplate.keys.signer import Signer
from touchplate.tsa.authority import check_chain, random_serial
from touchplate.tsa.settings import StampSettings


class Draft(NamedTuple):
    """A timestamp that is not signed yet."""

    tst_info: bytes
    attributes: bytes
    with_certificates: bool


class Signed(NamedTuple):
    """A timestamp's content and the signature over its attributes."""

    draft: Draft
    signature: bytes


@dataclass(frozen=True, slots=True)
class Stamping:
    """What stamping needs; the server hands it in once, at start. Any thread may call it."""

    signer: Signer
    # Signing certificate first, root last.
    chain: tuple[Certificate, ...]
    template: ResponseTemplate
    now: Callable[[], datetime]
    settings: StampSettings
    new_serial: Callable[[], int]
    # Raises if the clock is not proven to be right; see `drift`.
    check_time: Callable[[datetime], None] | None = None

    @classmethod
    def load(
        cls,
        signer: Signer,
        chain: Sequence[bytes],
        now: Callable[[], datetime],
        settings: StampSettings | None = None,
        *,
        new_serial: Callable[[], int] = random_serial,
        check_time: Callable[[datetime], None] | None = None,
    ) -> "Stamping":
        """Check that `chain` (DER) is that of `signer` and usable now, and prepare the template.

        Raises SettingsError: SETTINGS_INVALID, KEY_NOT_FOUND.
        """
        settings = settings or StampSettings()
        if not all(is_oid(oid) for oid in (settings.default_policy, *settings.accepted_policies)):
            raise SettingsError("SETTINGS_INVALID", "a timestamp policy is no object identifier")
        certificates = tuple(parse_certificate(item) for item in chain)
        check_chain(signer, certificates, now())
        above = certificates[1:] if settings.include_chain else ()
        template = make_template(certificates[0], signer.algorithm, above)
        return cls(signer, certificates, template, now, settings, new_serial, check_time)

    def stamp(self, request: TimestampRequest) -> bytes:
        """Give the TimeStampResp (DER) for a request.

        Raises what `draft` raises, and what the signer raises.
        """
        return self.finish(self.sign(self.draft(request)))

    def draft(self, request: TimestampRequest) -> Draft:
        """Check the request and the clock, and put together what is to be signed.

        Raises what `check_request` and `check_time` raise, and SettingsError when the clock is
        outside of the certificate's validity.
        """
        self.check_request(request)
        # The only look at the clock: genTime and signingTime are the same second.
        clock = self.now()
        if self.check_time is not None:
            self.check_time(clock)
        at = clock.replace(microsecond=0)
        if not self.chain[0].not_before <= at <= self.chain[0].not_after:
            raise SettingsError("SETTINGS_INVALID", "the timestamp certificate is not valid now")
        policy = request.policy or self.settings.default_policy
        info = encode_tst_info(
            request, self.template, policy=policy, serial=self.new_serial(), at=at
        )
        attributes = encode_signed_attributes(
            info, self.template, hash_name=request.hash_name, at=at
        )
        return Draft(info, attributes, request.wants_certificates)

    def sign(self, draft: Draft) -> Signed:
        """Sign; raises what the signer raises."""
        return Signed(draft, self.signer.sign(draft.attributes))

    def finish(self, signed: Signed) -> bytes:
        """Give the TimeStampResp (DER)."""
        (info, attributes, with_certificates), signature = signed
        return encode_response(
            info, attributes, signature, self.template, with_certificates=with_certificates
        )

    def check_request(self, request: TimestampRequest) -> None:
        """Refuse what this authority does not stamp, in upstream's order and words.

        Raises RefusedError ALGORITHM_REFUSED, POLICY_OID_REFUSED, SERVICE_REFUSED, and
        MalformedError TIMESTAMP_MALFORMED.
        """
        if request.hash_name == SHA1:
            raise RefusedError("ALGORITHM_REFUSED", "Weak hash algorithm in timestamp request")
        if request.policy is not None and not is_oid(request.policy):
            raise MalformedError(
                "TIMESTAMP_MALFORMED", "OID should be comprised of at most 128 components"
            )
        if len(request.digest) != HASH_SIZES.get(request.hash_name):  # type: ignore[call-overload]  # any other name has no size
            raise MalformedError(
                "TIMESTAMP_MALFORMED",
                "Message digest has incorrect length for specified algorithm",
            )
        if request.policy not in (None, *self.settings.accepted_policies):
            raise RefusedError(
                "POLICY_OID_REFUSED",
                "unaccepted policy: requested TSA policy is not supported by the TSA",
            )
        if request.extensions is not None:
            raise RefusedError(
                "SERVICE_REFUSED",
                "unaccepted extension: requested extensions are not supported by the TSA",
            )
