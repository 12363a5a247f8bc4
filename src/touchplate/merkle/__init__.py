"""Merkle trees as RFC 6962 §2.1 defines them, and as C2SP tlog-tiles stores them. Pure.

- `tree`: leaf and node hashes, and the definitions, word for word, over a list of leaf hashes
- `proof`: checks of inclusion and consistency
- `tile`: tile paths and widths; roots and proofs from tiles that the caller reads
- `edge`: the right edge of a growing tree: what an append needs to know of it
"""
