"""docs/reference/metrics.md lists every metric, with its kind and its labels."""

import re

from tests.docs.pages import DOCS, REPOSITORY, rows_of
from touchplate.testing import World

PAGE = DOCS / "reference" / "metrics.md"
PARTS = ("bucket", "sum", "count")
SAMPLE = re.compile(r"([a-z0-9_]+)(?:\{(.*)\})? \S+")


def shown(sample: str) -> str:
    """Give a sample's name and labels as the page writes them."""
    found = SAMPLE.fullmatch(sample)
    assert found is not None, sample
    labels = re.findall(r'([a-z_]+)="', found[2] or "")
    return found[1] + (f"{{{','.join(labels)}}}" if labels else "")


def test_every_metric() -> None:
    """What is served has a row with its kind, and each row names what the code makes."""
    rows = {row[0].strip("`"): row[1] for row in rows_of(PAGE)}
    with World() as world:
        for version in (1, 2):
            world.sign(b"%d" % version, tlog_version=version)
        world.transport.request("GET", f"{world.url}/checkpoint")
        world.deployment.health.metrics.observe_grpc("a.B", "Call", "OK")
        text = world.transport.request("GET", f"{world.url}/metrics").body.decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, flags=re.MULTILINE))
    served = {shown(line) for line in text.splitlines() if not line.startswith("#")}

    assert served <= rows.keys()
    histograms = {name for name, kind in kinds.items() if kind == "histogram"}
    kinds |= {f"{name}_{part}": "histogram" for name in histograms for part in PARTS}
    assert {name: kinds[name.partition("{")[0]] for name in served} == {
        name: kind for name, kind in rows.items() if name in served
    }
    source = "".join(path.read_text() for path in (REPOSITORY / "src").rglob("*.py"))
    # What needs time sources, witnesses or a full memory.
    for name in rows.keys() - served:
        assert name.partition("{")[0] in source, name
        assert name.startswith(("touchplate_time_", "touchplate_witness_", "touchplate_other_"))
