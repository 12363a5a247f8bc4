"""Speak to a certificate authority, transparency log, timestamp authority or witness elsewhere.

One module for each; a client holds a URL and a transport and nothing else. What a service answers
is parsed within limits and held against what was asked (key, body, imprint, nonce, proof) before it
is returned, so a mixed-up answer is RESPONSE_MALFORMED or the code of the check that failed.
Whether the service may be trusted at all is for `touchplate.verify` with a trusted root.
"""
