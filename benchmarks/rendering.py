"""`python -m benchmarks.rendering`: the CPU time that cutting a large log to a result takes.

Each log has 8.5 MB. `ratio` compares with one pass of `str.splitlines` and a length of each line over the same text, so
that it means the same on a slow machine.
"""

import time
from collections.abc import Callable

from tp_mcp.results.document import Document, LogExcerpt
from tp_mcp.results.fence import new_marker
from tp_mcp.results.fit import render

SIZE_BYTES = 8_500_000
RESULT_CHARACTERS = 2_000
TRIES = 3

LOGS = {
    "short lines": "line\n",
    "numbers and words": "2026-05-29 21:26:50 INFO  fsw.port  port 12 is up, 1000 Mbit/s\n",
    "some errors": "INFO fine\n" * 20 + "ERROR the port 7 is gone\n",
    "tracebacks": 'Traceback (most recent call last):\n  File "a.py", line 3, in f\n    g()\nValueError: no\n'
    + "fine\n" * 40,
    "not ASCII": "Prüfling grün 語\n",
    "one long line": "x" * 1_000,
}


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the least CPU time of some tries."""
    tries = []
    for _ in range(TRIES):
        begun = time.process_time()
        work()
        tries.append(time.process_time() - begun)
    return min(tries)


def row(name: str, piece: str) -> str:
    """Return a line of the table for a log that repeats `piece`."""
    text = piece * (SIZE_BYTES // len(piece.encode()))
    document = Document("Done.", (LogExcerpt("Log", text),))
    rendering = cpu_seconds(lambda: render(document, max_characters=RESULT_CHARACTERS, marker=new_marker()))
    plain = cpu_seconds(lambda: sum(map(len, text.splitlines())))
    return f"{name:<20} {text.count(chr(10)) + 1:>10,} {rendering:>10.2f} {plain:>8.2f} {rendering / plain:>8.1f}"


if __name__ == "__main__":
    print(f"{'log of 8.5 MB':<20} {'lines':>10} {'render, s':>10} {'plain, s':>8} {'ratio':>8}")
    for each, piece in LOGS.items():
        print(row(each, piece))
