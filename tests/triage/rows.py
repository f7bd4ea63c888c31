"""Failing rows of a report, as their parts tell them."""

from tp_mcp.triage.report_parser import Outcome, Phase, ReportedTest
from tp_mcp.triage.signature import Failure, failures_of


def row(test_id: str, log: str = "", *, outcome: Outcome = "failed", phase: Phase = "call") -> ReportedTest:
    return ReportedTest(test_id, outcome, phase, 0.1, log)


def failing(
    test_id: str,
    message: str,
    *,
    frame: str = "",
    captured: str = "",
    phase: Phase = "call",
    function: str = "test_it",
) -> ReportedTest:
    """Return a failing row with a long traceback; `message` has the lines that pytest marks with an E."""
    path = frame or test_id.split("::", maxsplit=1)[0]
    lines = [
        f"    def {function}():",
        ">       do()",
        *(f"E   {line}" for line in message.split("\n")),
        "",
        f"{path}:7: X",
    ]
    if captured:
        lines += ["----- Captured log call -----", captured]
    return row(test_id, "\n".join(lines), outcome="error" if phase != "call" else "failed", phase=phase)


def failure(test: ReportedTest) -> Failure:
    [only] = failures_of([test])
    return only
