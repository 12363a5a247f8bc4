"""docs/explanation/verification.md lists the steps of a verdict."""

from tests.docs.pages import DOCS, rows_of
from touchplate.testing import World
from touchplate.verify import Artifact, identity, verify


def test_every_step() -> None:
    """The table has the steps that a verification takes, in their order, and no other."""
    with World() as world:
        bundle = world.sign(b"release", "maker@example.com")
        policy = identity("maker@example.com", world.issuer)
        verdict = verify(bundle, Artifact.from_bytes(b"release"), policy, world.trusted_root)

    rows = rows_of(DOCS / "explanation" / "verification.md")

    assert [step.strip("`") for step, _ in rows] == [step.name for step in verdict.steps]
