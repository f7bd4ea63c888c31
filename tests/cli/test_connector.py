"""Trying a connector out from the command line, against a server on this machine."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.connectors.products.stubs import Answer, Asked, IssueTracker, Stub, serving
from tp_mcp.cli.commands import app

ISSUES = Path(__file__).parents[1] / "connectors" / "products" / "issues.yaml"


def run(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(app, ["connector", *arguments], input=answer)


def settings_in(directory: Path, stub: Stub) -> str:
    path = directory / "settings.toml"
    path.write_text(f'base_url = "{stub.url}"\ntoken = "issues-s3cret"\n', encoding="utf-8")
    return str(path)


def test_the_connection_is_tested_with_the_settings_of_a_file(tmp_path: Path) -> None:
    with serving(IssueTracker()) as stub:
        result = run("test", str(ISSUES), "--settings", settings_in(tmp_path, stub))
    assert (result.exit_code, result.stdout) == (0, "Authenticated as ann\n")


def test_a_tool_is_called_and_its_answer_printed(tmp_path: Path) -> None:
    with serving(IssueTracker()) as stub:
        settings = settings_in(tmp_path, stub)
        result = run("call", str(ISSUES), "list_issues", '{"page": 3}', "--settings", settings)
    assert result.exit_code == 0
    assert result.stdout.startswith('X-Total: 5\nX-Next-Page: \n\n[\n  {\n    "iid": 5,')


def test_a_tool_that_changes_the_world_is_asked_about_first(tmp_path: Path) -> None:
    with serving(IssueTracker()) as stub:
        call = ("call", str(ISSUES), "create_issue", '{"title": "x"}', "--settings", settings_in(tmp_path, stub))
        assert run(*call, answer="n\n").exit_code == 1
        assert stub.asked == []
        assert '"iid": 9' in run(*call, answer="y\n").stdout
        assert '"iid": 9' in run(*call, "--yes").stdout
    assert len(stub.asked) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("call", str(ISSUES), "list_issues", "[1]"), "The arguments are not a JSON object."),
        (("call", str(ISSUES), "list_issues", "{"), "The arguments are not a JSON object."),
        (("call", str(ISSUES), "list_isues"), "has no tool 'list_isues' (the nearest is list_issues)"),
        (("call", str(ISSUES), "get_issue", '{"iid": "x"}'), "iid must be of type integer"),
        (("test", "missing.yaml"), "missing.yaml cannot be read"),
    ],
)
def test_what_is_wrong_is_told_and_the_command_fails(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    with serving(IssueTracker()) as stub:
        result = run(*arguments, "--settings", settings_in(tmp_path, stub))
    assert result.exit_code == 1
    assert said in result.stderr
    assert stub.asked == []


def test_what_a_server_says_does_not_steer_the_terminal(tmp_path: Path) -> None:
    def answer(_asked: Asked) -> Answer:
        return 200, {"data": {"issues": [{"title": "\x9b2Ja\u202eb"}]}}, {"X-Total": "\x1b[2J1"}

    with serving(answer) as stub:
        result = run("call", str(ISSUES), "list_issues", "--settings", settings_in(tmp_path, stub))
    assert result.exit_code == 0
    assert not {"\x1b", "\x9b", "\u202e"} & set(result.stdout)
    assert '"title"' in result.stdout


def test_settings_that_are_missing_or_cannot_be_read_are_told(tmp_path: Path) -> None:
    result = run("test", str(ISSUES))
    assert (result.exit_code, "needs the setting base_url" in result.stderr) == (1, True)
    broken = tmp_path / "settings.toml"
    broken.write_text('token = "issues-s3cret', encoding="utf-8")
    result = run("test", str(ISSUES), "--settings", str(broken))
    assert (result.exit_code, "cannot be read" in result.stderr) == (1, True)
    assert "s3cret" not in result.stderr
