"""The composition root: makes one deployment of all roles, and serves it on one origin.

`settings` and `data` say where it lives, `build` puts it together, `app` routes requests to the
roles, `health` and `families` answer what no role does, `run` is the process. The only room besides
`cli` that reads the clock and the environment.
"""
