"""The certificate authority: short-lived certificates for identities, after Fulcio v1 and v2.

    request -> identity -> key -> precertificate -> SCT -> certificate

- `issue`: that flow, `desk`: the same for many at a time
- `request`: what clients send; `proof`: that they hold the key
- `profile`: the certificate, `template`: its bytes; `authority`: the chain that signs it
- `answer`, `fault`: what is answered; `routes`: HTTP; `grpc`: the same by gRPC
- `settings`: what the operator chooses

A certificate is handed out only when its precertificate is durable and integrated in the CT log.
"""

from touchplate.ca.authority import Authority, create_chain, extend_chain, split_chains
from touchplate.ca.issue import Draft, Issuance, Issued, Issuing, Submit
from touchplate.ca.profile import Precertificate
from touchplate.ca.request import SigningRequest
from touchplate.ca.settings import IssueSettings

__all__ = [
    "Authority",
    "Draft",
    "Issuance",
    "IssueSettings",
    "Issued",
    "Issuing",
    "Precertificate",
    "SigningRequest",
    "Submit",
    "create_chain",
    "extend_chain",
    "split_chains",
]
