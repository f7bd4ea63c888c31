import os
import subprocess
import sys
from pathlib import Path

from tp_mcp.simulator.controller.controller import PREFIX, new_scratch_directory


def test_what_a_killed_process_left_is_cleared_away_and_nothing_else(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    left, living, foreign = (
        tmp_path / f"{PREFIX}{process.pid}-abc",
        tmp_path / f"{PREFIX}{os.getppid()}-abc",
        tmp_path / f"{PREFIX}notes",
    )
    for directory in (left, living, foreign):
        (directory / "runs").mkdir(parents=True)
    made = new_scratch_directory(tmp_path)
    assert made.is_dir()
    assert made.name.startswith(f"{PREFIX}{os.getpid()}-")
    assert not left.exists()
    assert living.exists()
    assert foreign.exists()
