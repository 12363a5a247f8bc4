"""HTTP both ways: `http` is the client's seam, `asgi` the server's. Errors are always ours."""
