"""The kinds of jobs that there are. This is the one place where a kind is registered."""

from typing import Any

from tp_mcp.jobs.kind import JobKind
from tp_mcp.jobs.pytest_run.pytest_kind import PytestRuns
from tp_mcp.jobs.upgrade.upgrade_kind import Upgrades
from tp_mcp.watch.model.watch import Watch

UPGRADES = Upgrades()
PYTEST_RUNS = PytestRuns()

KINDS: dict[str, JobKind[Any]] = {kind.name: kind for kind in (UPGRADES, PYTEST_RUNS)}
"""By name."""


def kind_of(watch: Watch) -> JobKind[Any] | None:
    """Return the kind of a watch's job; None for a watch of something else, such as the state of the labs."""
    return KINDS.get(watch.kind)


def kind_started_by(tool: str) -> JobKind[Any] | None:
    """Return the kind of job that a tool starts; None for a tool that starts none."""
    return next((kind for kind in KINDS.values() if kind.tool == tool), None)
