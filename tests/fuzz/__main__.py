"""`make fuzz`, or `python -m tests.fuzz`: what do the tools do with hostile arguments?

Every tool is called through the real server by a real client, with values drawn from its schema and spoilt. What is
wrong is told, one line each; the last line has the counts, and the exit code is 1 if anything is wrong.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.fuzz.run import run
from tests.support.world import collected_tree


def main() -> int:
    """Run once and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="what is drawn is drawn from it")
    parser.add_argument("--calls", type=int, default=5_000, help="how many calls are made")
    given = parser.parse_args()
    tree = collected_tree()
    with tempfile.TemporaryDirectory() as directory:
        findings = asyncio.run(run(given.seed, given.calls, Path(directory), tree=tree))
    for wrong in findings.wrong:
        sys.stdout.write(f"WRONG: {wrong}\n")
    sys.stdout.write(f"seed {given.seed}: {findings.told()}\n")
    return 1 if findings.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
