"""Formats: bytes to frozen values and back, one module per specified format. Pure.

A parser refuses what its specification does not allow and bounds sizes before it works; nothing
here decides whether a value is to be trusted, only `checkpoint` and `note` check signatures, since
a note has no meaning without one.
"""
