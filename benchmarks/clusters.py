"""`python -m benchmarks.clusters`: how well failures are put together by their reason.

The sample suite runs, as a real pytest, on builds with one defect each, which tells what each defect breaks; then on
the bad builds, which have several. What fails there belongs to the one of its build's defects that breaks it alone, and
what also fails on a good build has a cause of its own. A test that two defects of one build break is left out.

purity        failures that are in a cluster most of which has their cause
completeness  failures that are in the largest cluster of their cause

Both are counted run by run, because a triage is about one run.

With `--unseen` the same is counted on the runs of `benchmarks.unseen`, which needs a package index and some minutes.
The rules were written before those runs were made for the first time, and none of their failures was read.
"""

import asyncio
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.unseen import unseen_runs
from tp_mcp.simulator import Simulator, SimulatorOptions
from tp_mcp.simulator.testbeds.build_server import Build, BuildServer
from tp_mcp.simulator.testbeds.lab import Device, Lab
from tp_mcp.triage.clusters import clusters_of
from tp_mcp.triage.report_parser import Report, parse_report

TESTS = ("Tests_CLI", "Tests_GUI", "Tests_HA", "Tests_Switch")
GOOD = "6955"
SPEED = 2_000.0
WANTED = 0.95
AT_ONCE = 3
USER = "demo"


@dataclass(frozen=True, slots=True)
class Score:
    """What was counted over some runs.

    Attributes:
        runs: how many.
        failures: labelled failures in them.
        causes: how many causes those have.
        clusters: how many clusters they were put into.
        pure: failures in a cluster most of which has their cause.
        complete: failures in the largest cluster of their cause.
    """

    runs: int = 0
    failures: int = 0
    causes: int = 0
    clusters: int = 0
    pure: int = 0
    complete: int = 0

    def __str__(self) -> str:
        """Return the two numbers and what they are of."""
        return (
            f"{self.runs} runs, {self.failures} failures, {self.causes} causes, {self.clusters} clusters: "
            f"purity {self.pure / self.failures:.3f}, completeness {self.complete / self.failures:.3f}"
        )


def score(runs: Iterable[Sequence[tuple[str, str]]]) -> Score:
    """Return the score of runs, each of which is a list of (cause, cluster), one for each failure."""
    total = Score()
    causes: set[str] = set()
    for run in runs:
        by_cluster: defaultdict[str, Counter[str]] = defaultdict(Counter)
        by_cause: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for cause, cluster in run:
            by_cluster[cluster][cause] += 1
            by_cause[cause][cluster] += 1
        causes |= set(by_cause)
        total = Score(
            runs=total.runs + 1,
            failures=total.failures + len(run),
            causes=len(causes),
            clusters=total.clusters + len(by_cluster),
            pure=total.pure + sum(max(counted.values()) for counted in by_cluster.values()),
            complete=total.complete + sum(max(counted.values()) for counted in by_cause.values()),
        )
    return total


def labelled(report: Report, causes: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return (cause, cluster) of each failure whose cause is known."""
    return [
        (causes[failure.test.test_id], cluster.id)
        for cluster in clusters_of(report.tests)
        for failure in cluster.failures
        if failure.test.test_id in causes
    ]


async def report_of(build: Build) -> Report:
    """Return the report of a real run of the sample suite on a build."""
    async with Simulator(SimulatorOptions(speed=SPEED)) as simulator:
        simulator.state.builds = BuildServer({build.number: build}, {})
        name = f"AT{build.number}_Bench"
        device = Device(
            f"at{build.number}-nac-1", f"10.15.{int(build.number) % 200}.{len(build.defects) + 2}", build.number
        )
        simulator.state.add_lab(Lab(name=name, controller="10.15.52.159", devices=(device,), users=(USER,)))
        body = {"user": USER, "lab": name, "testcase": list(TESTS), "argument": ""}
        execution = simulator.start_execution(USER, body)
        await simulator.workers.join(execution.exec_id)
        ended = simulator.state.executions.get(execution.exec_id)
        return parse_report((simulator.controller.server_root / ended.report_file_path).read_bytes())


def broken(report: Report) -> frozenset[str]:
    """Return the tests that failed."""
    return frozenset(test.test_id for test in report.failures)


async def sample_suite() -> tuple[Score, int]:
    """Return the score of the sample suite, and how many failures have no single cause."""
    bad = [build for build in BuildServer().builds.values() if build.defects]
    defects = sorted({defect for build in bad for defect in build.defects})
    limit = asyncio.Semaphore(AT_ONCE)

    async def run(build: Build) -> Report:
        async with limit:
            return await report_of(build)

    alone = [Build(f"{7000 + number}", "7.6.6", frozenset({defect})) for number, defect in enumerate(defects)]
    good, *reports = await asyncio.gather(*(run(build) for build in (Build(GOOD, "7.6.5"), *alone, *bad)))
    always = broken(good)
    breaks = {defect: broken(report) - always for defect, report in zip(defects, reports, strict=False)}
    runs, unlabelled = [], 0
    for build, report in zip(bad, reports[len(alone) :], strict=True):
        causes = {test: test for test in always}
        for test in broken(report) - always:
            named = [defect for defect in build.defects if test in breaks[defect]]
            if len(named) == 1:
                causes[test] = named[0]
            else:
                unlabelled += 1
        runs.append(labelled(report, causes))
    return score(runs), unlabelled


def main() -> int:
    """Print the figures; return 1 where they are below what is wanted."""
    found, unlabelled = asyncio.run(sample_suite())
    print(f"sample suite    {found}; {unlabelled} failures of two causes at once left out")
    if "--unseen" in sys.argv:
        with TemporaryDirectory(prefix="tp-mcp-unseen-") as directory:
            unseen = score(labelled(report, causes) for report, causes in unseen_runs(Path(directory)))
        print(f"never looked at {unseen}")
    return 0 if min(found.pure, found.complete) >= WANTED * found.failures else 1


if __name__ == "__main__":
    sys.exit(main())
