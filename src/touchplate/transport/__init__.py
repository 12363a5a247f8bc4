"""HTTP both ways: `http` is the client's seam, `asgi` the server's. Errors are always ours.

`grpc` makes a service of a role's methods, and is loaded only where gRPC is served; `fault` is how
an API says no that both carry.
"""
