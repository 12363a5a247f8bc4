"""The certificate authority: short-lived certificates for identities, after Fulcio v1 and v2.

    request -> identity -> key -> precertificate -> SCT -> certificate

`issue` is that flow; `request` reads what clients send, `proof` has them show that they hold the
key, `profile` is the certificate, `authority` the chain that signs it, `routes` HTTP. A certificate
is handed out only when its precertificate is durable and integrated in the CT log.
"""

from touchplate.ca.authority import Authority, create_chain
from touchplate.ca.issue import Issuance, Issued, Issuing
from touchplate.ca.profile import Precertificate
from touchplate.ca.request import SigningRequest

__all__ = [
    "Authority",
    "Issuance",
    "Issued",
    "Issuing",
    "Precertificate",
    "SigningRequest",
    "create_chain",
]
