"""What an operator may choose about timestamps."""

from dataclasses import dataclass

from touchplate.formats.timestamp_builder import DEFAULT_POLICY


@dataclass(frozen=True, slots=True)
class StampSettings:
    """Settings of a timestamp authority; the defaults are upstream's."""

    # Policy of responses whose request names none.
    default_policy: str = DEFAULT_POLICY
    # Policies that a request may name. The default one belongs here too.
    accepted_policies: tuple[str, ...] = (DEFAULT_POLICY,)
    # Where certificates are asked for, give the authorities too, not only the signing one.
    include_chain: bool = False
    # How a fault is told: "http" by a status and JSON, as upstream does, "rfc3161" by a response
    # that rejects, with status 200.
    rejections: str = "http"
