"""`python -m benchmarks.watches`: what watching costs, against a bare httpx2 loop that makes the same GETs.

1,000 watches on 200 targets, then 10,000 watches on 10,000, each every 15 s, in one process, in front of a server in
another one. Ours and the bare loop run at the same time in processes of their own, so that whatever else the machine
does meets both alike; compared is the CPU time of each GET. A poll is late by what passed between the time it was due
and its start. Bytes are what the interpreter allocated for a watch that was polled once. The last line is the ratio of
1,000 on 200; wanted are at most 1.5, a p99 under 1 s and under 3,000 bytes each. It takes about two minutes.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SIZES = ((1_000, 200), (10_000, 10_000))
LIMIT_SECONDS = 150.0


@contextmanager
def spawned(module: str, *arguments: object) -> Iterator["subprocess.Popen[str]"]:
    """Run a module in a process of its own until the end of the block."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def result_of(process: "subprocess.Popen[str]") -> dict[str, float]:
    """Return what a process printed.

    Raises:
        RuntimeError: it printed nothing.
    """
    printed, _ = process.communicate(timeout=LIMIT_SECONDS)
    if not printed:
        raise RuntimeError("a benchmark's process ended without a result")
    result: dict[str, float] = json.loads(printed)
    return result


def compare(watches: int, targets: int) -> float:
    """Measure one size, print it, and return the ratio of CPU times."""
    with spawned("benchmarks.upstream") as upstream:
        if upstream.stdout is None:
            raise RuntimeError("the upstream has no pipe")
        port = int(upstream.stdout.readline())
        with (
            spawned("benchmarks.watching", "ours", port, watches, targets) as watching,
            spawned("benchmarks.watching", "floor", port, watches, targets) as looping,
        ):
            ours, floor = result_of(watching), result_of(looping)
    print(f"{watches:,} watches on {targets:,} targets:")
    for name, result in (("bare loop", floor), ("tp-mcp", ours)):
        each = result["cpu_seconds"] / result["polls"]
        print(
            f"  {name:9}  {result['polls']:6,.0f} GETs, {each * 1e3:.2f} ms CPU each; "
            f"late: median {result['late_median'] * 1e3:.0f} ms, p99 {result['late_p99'] * 1e3:.0f} ms"
        )
    ratio = (ours["cpu_seconds"] / ours["polls"]) / (floor["cpu_seconds"] / floor["polls"])
    print(f"  ratio {ratio:.2f}", flush=True)
    return ratio


def main() -> None:
    """Measure and print."""
    gate, *_ = [compare(*size) for size in SIZES]
    with spawned("benchmarks.watching", "bytes", 0, *SIZES[0]) as counting:
        print(f"{result_of(counting)['bytes_each']:,.0f} bytes for each of {SIZES[0][0]:,} watches, polled once")
    print(f"ratio {gate:.3f}")


if __name__ == "__main__":
    main()
