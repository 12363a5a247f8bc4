"""The certificate authority: short-lived certificates for identities, after Fulcio v1 and v2.

    request -> identity -> key -> precertificate -> SCT -> certificate

- `issue`: that flow
- `request`: what clients send; `proof`: that they hold the key
- `profile`: the certificate; `authority`: the chain that signs it
- `answer`, `fault`: what is answered; `routes`: HTTP; `grpc`: the same by gRPC
- `settings`: what the operator chooses

A certificate is handed out only when its precertificate is durable and integrated in the CT log.
"""

from touchplate.ca.authority import Authority, create_chain
from touchplate.ca.issue import Draft, Issuance, Issued, Issuing
from touchplate.ca.profile import Precertificate
from touchplate.ca.request import SigningRequest
from touchplate.ca.settings import CaSettings

__all__ = [
    "Authority",
    "CaSettings",
    "Draft",
    "Issuance",
    "Issued",
    "Issuing",
    "Precertificate",
    "SigningRequest",
    "create_chain",
]
