"""`tp-mcp serve`, which notes when it had read each of TP's answers that shows an end.

`python -m benchmarks.noting_server FILE` appends a line to FILE for each: the execution's number and the time, seconds
since the epoch, at which the poller has the answer.
"""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from pydantic import JsonValue

from tp_mcp.cli import main
from tp_mcp.jobs.tp_reader import TpReader


def noting(file: IO[str]) -> None:
    """Let the reader note the ends that it reads."""
    read = TpReader.read

    async def read_and_note(self: TpReader, tool: str, args: Mapping[str, JsonValue], identity: str = "") -> JsonValue:
        answer = await read(self, tool, args, identity)
        if isinstance(answer, dict) and answer.get("status") == "Done":
            file.write(f"{args['exec_id']} {time.time()!r}\n")
        return answer

    TpReader.read = read_and_note  # type: ignore[method-assign]  # to note, and nothing else


if __name__ == "__main__":
    path = sys.argv.pop(1)
    sys.argv.insert(1, "serve")
    with Path(path).open("w", buffering=1, encoding="utf-8") as noted:
        noting(noted)
        main()
