"""`make chaos`, or `python -m tests.chaos`: do watches survive whatever goes wrong?

Several hundred jobs are started by real MCP clients through three server processes on one store, while servers are
killed, TP goes away, tokens expire, workers die and answers are lost. Then it is checked against TP's own record. What
is wrong is told, one line each; the last line has the counts, and the exit code is 1 if anything is wrong.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import anyio

from tests.chaos.check import check
from tests.chaos.run import Plan, run


def main() -> int:
    """Run once and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="what is drawn is drawn from it")
    parser.add_argument("--watches", type=int, default=Plan.watches, help="how many jobs are started")
    parser.add_argument("--seconds", type=float, default=Plan.storm_seconds, help="how long things go wrong")
    parser.add_argument("--keep", type=Path, help="an empty directory to keep the store and the servers' logs in")
    given = parser.parse_args()
    plan = Plan(seed=given.seed, watches=given.watches, storm_seconds=given.seconds)
    began = time.monotonic()

    def say(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:5.0f} s  {text}\n")
        sys.stdout.flush()

    say(f"seed {plan.seed}: {plan.watches} jobs in {plan.storm_seconds:g} s")
    with tempfile.TemporaryDirectory() as temporary:
        directory = given.keep or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        findings = check(anyio.run(run, plan, directory, say))
    for wrong in findings.wrong:
        sys.stdout.write(f"WRONG {wrong}\n")
    sys.stdout.write(f"{findings.last_line()}\n")
    return 1 if findings.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
