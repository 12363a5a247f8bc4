"""`touchplate log check` of a log that has witnesses."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tests.clients.loopback import make_witness, serving_all
from touchplate.formats.note import parse_vkey
from touchplate.merkle.tree import leaf_hash
from touchplate.server.checking import check_logs
from touchplate.server.data import DataFolder
from touchplate.server.opening import open_deployment
from touchplate.server.settings import ServeSettings, WitnessSettings, parse_origin
from touchplate.tilelog.bundle import encode_record
from touchplate.tilelog.entry import Leaf, Submission


def test_policy(tmp_path: Path) -> None:
    """What is published is held to the policy: enough witnesses, unless it may do without."""
    data, policy, other = tmp_path / "data", tmp_path / "policy", tmp_path / "other"
    witness, stranger = make_witness("north", []), make_witness("south", [])
    witness.now = stranger.now = partial(datetime.now(UTC).timestamp)
    with serving_all([witness, stranger]):
        policy.write_text(f"{witness.line()}quorum north\n")
        other.write_text(
            f"{witness.line()}{stranger.line()}group both all north south\nquorum both\n"
        )
        asked = WitnessSettings(policy=policy, deadline_seconds=10.0)
        settings = ServeSettings(data, witness=asked)
        with DataFolder.serve(data) as folder:
            deployment = open_deployment(
                *(folder, parse_origin("https://log.example.org")),
                follows=False,
                settings=settings,
                now=partial(datetime.now, UTC),
            )
            vkey = deployment.shards.active.key.vkeys()[-1]
            witness.logs = {"log.example.org": parse_vkey(vkey)}
            leaf = Leaf(b"{}", encode_record(b"{}"))
            deployment.tlog.append(Submission(leaf_hash(b"{}"), lambda _, __: leaf)).result(30)
            deployment.close()

    def faults(given: WitnessSettings) -> list[str]:
        found = check_logs(data, ServeSettings(data, witness=given), {}, names=("tlog",))
        return [fault.text for fault in found["tlog"].faults]

    assert faults(asked) == []
    assert faults(WitnessSettings(policy=other)) == ["is cosigned by too few: north"]
    assert faults(WitnessSettings(policy=other, mode="fail-open")) == []
