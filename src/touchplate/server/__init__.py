"""The composition root: makes one deployment of all roles, and serves it on one origin.

- `settings`, `config`, `reading`: what the operator says, and the file that says it
- `data`, `ownership`: the data folder, and whether storage elsewhere is this instance's
- `opening`, `build`: from a folder to a deployment
- `run`, `processes`, `serving`, `listen`: the process, or the workers and the parent that watches
- `app`, `families`, `limits`, `identities`: routes, and what the server itself answers
- `health`, `counts`: whether it works, and figures over all workers

The only room besides `cli` that reads the clock and the environment.
"""
