"""The index of a served instance: workers are killed under load, and everything is found."""

import json
import os
import signal
import time
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.server.conftest import until
from touchplate.entries.terms import terms

if TYPE_CHECKING:
    from tests.server.conftest import Load, Server, Start

SECONDS = 90


def ask(server: "Server", query: str = "") -> dict[str, Any]:
    """Search; again if the worker that was asked had just been killed."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            status, body = server.get(f"/api/search?{query}")
        except (OSError, HTTPException):
            assert time.monotonic() < deadline, "nobody answers"
            time.sleep(0.1)
            continue
        assert status == 200, body
        answer: dict[str, Any] = json.loads(body)
        return answer


@pytest.mark.slow
def test_workers_killed(start: "Start", load: "type[Load]", tmp_path: Path) -> None:
    """Whichever worker follows the log, and is killed, every entry is found in the end."""
    server = start(tmp_path / "data", "--workers", "2")
    server.wait_until_ready()
    adding = load(server, 2, again=True)
    for _ in range(3):
        enough = len(adding.answered) + 20
        until(lambda: len(adding.answered) > enough)  # noqa: B023  called now
        os.kill(server.workers()[0], signal.SIGKILL)
    adding.stop()

    deadline = time.monotonic() + SECONDS
    while True:
        (tree,) = ask(server)["index"]
        if tree["indexed"] == tree["size"] > 0:
            break
        assert time.monotonic() < deadline, tree
        time.sleep(0.1)
    assert tree["behindSeconds"] == 0

    assert len(adding.answered) > 10
    for answered in adding.answered[:: max(1, len(adding.answered) // 50)]:
        (digest,) = terms(answered.body).digests
        (row,) = ask(server, f"digest={digest}")["rows"]
        assert row["logIndex"] == answered.index
    status, metrics = server.get("/metrics")
    assert status == 200
    assert b"touchplate_index_lag_entries{" in metrics
    assert server.stop() == 0


@pytest.mark.slow
def test_switched_off(start: "Start", tmp_path: Path) -> None:
    """With `[index] enabled = false` there is no search, in either API, and no index file."""
    data = tmp_path / "data"
    settings = tmp_path / "touchplate.toml"
    settings.write_text("[index]\nenabled = false\n")
    server = start(data, "--config", str(settings))
    server.wait_until_ready()

    assert server.get("/api/search")[0] == 404
    assert server.request("POST", "/api/v1/index/retrieve", b'{"email":"a@b.example"}')[0] == 501
    assert not (data / "index.db").exists()
    assert b"touchplate_index" not in server.get("/metrics")[1]
