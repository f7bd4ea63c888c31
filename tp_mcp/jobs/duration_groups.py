"""Which jobs take about as long as one another: the groups whose durations tell what is usual."""

from collections.abc import Sequence

from tp_mcp.watch.model.idempotency import call_key


def upgrade_groups(testbed: str) -> tuple[str, ...]:
    """Return the groups of an upgrade: those of the same testbed."""
    return (f"upgrade:{testbed}",)


def run_groups(lab: str, test_ids: Sequence[str], options: Sequence[str]) -> tuple[str, ...]:
    """Return the groups of a run: the same tests with the same options on the same lab, then any run there."""
    same = call_key("run", {"testcase": list(test_ids), "options": list(options)})
    return (f"run:{lab}:{same}", f"run:{lab}")
