"""HTTP, both ways: `http` asks other services, `asgi` is the form in which our own roles answer.

`http` is the one client of the package: timeouts, size limits, errors translated. `asgi` holds the values
that pass between a role's `routes.py` and the server that carries them (`touchplate.server.app`).
"""
