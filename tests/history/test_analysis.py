from pathlib import Path

from tests.support.process import ALICE, BASE_URL, LAB
from tests.support.world import open_world
from tests.triage.rows import row
from tp_mcp.api.models import Execution
from tp_mcp.history.analysis import RunTests
from tp_mcp.history.records import Run


async def test_an_execution_is_compared_with_the_twenty_before_it(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        executions = world.services.tp.executions
        for number in range(420, 446):
            run = Run(BASE_URL, number, LAB, "6957", float(number), {"t.py::a": "passed"})
            await executions.history.add(run, ALICE.principal)
        tests = RunTests((row("t.py::a", outcome="passed"),))
        analysis = await executions.analyse(446, Execution(lab=LAB), tests, principal=ALICE.principal)
        assert [each.exec_id for each in analysis.triage.earlier] == list(range(445, 425, -1))
