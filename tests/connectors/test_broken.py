"""Every broken manifest says in itself what is wrong with which of its lines: `# FAULT: <key>: <what begins so>`."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tp_mcp.cli.commands import app
from tp_mcp.connectors.examination import examine

BROKEN = sorted((Path(__file__).parent / "broken").glob("*.yaml"))


def faults(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        for fault in re.split(r"\s+# FAULT: ", line)[1:]:
            yield number, fault


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_each_fault_is_told_with_its_line_and_key_and_nothing_else_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = examine(text)
    assert found.manifest is None
    told = [(problem.line, str(problem)) for problem in found.problems]
    expected = list(faults(text))
    assert len(expected) >= 1
    unmatched = [each for each in expected if not any(one[0] == each[0] and one[1].startswith(each[1]) for one in told)]
    assert unmatched == []
    assert len(told) == len(expected), told


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_the_command_names_file_and_line_and_exits_with_1(path: Path) -> None:
    result = CliRunner().invoke(app, ["connector", "check", str(path)])
    assert result.exit_code == 1
    expected = {number for number, _ in faults(path.read_text(encoding="utf-8"))}
    told = {
        int(number) for number in re.findall(rf"^error: {re.escape(str(path))}:(\d+): ", result.stdout, re.MULTILINE)
    }
    assert told == expected
    assert f"{path} cannot be used" in result.stdout
