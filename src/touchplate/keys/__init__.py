"""Keys: the algorithms we allow, and signing and checking with one key. Pure.

`algorithms` is the table, `public` checks, `signer` signs, `ed25519ph` is the one scheme that our
cryptography library lacks. Where private keys rest is `touchplate.keystore`.
"""
