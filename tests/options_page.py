"""`python -m tests.options_page`: writes docs/pytest-options.md from the guard's own table."""

import sys
from pathlib import Path

from tp_mcp.api.guard.pytest_options import FORBIDDEN, KNOWN, Option, Takes

PAGE = Path(__file__).parents[1] / "docs" / "pytest-options.md"

_VALUES = {
    Takes.NOTHING: "nothing",
    Takes.WHOLE_NUMBER: "a whole number",
    Takes.NUMBER: "a number",
    Takes.WORKERS: "a whole number, `auto` or `logical`",
    Takes.LEVEL: "a log level, such as `DEBUG` or `10`",
    Takes.NAME: "a name of letters, digits, `_`, `.` and `-`",
    Takes.EXPRESSION: "names joined by `and`, `or`, `not` and parentheses",
    Takes.PATH: "a file or directory below the tests root",
    Takes.PATTERN: "a path below the tests root with `*`, `?`, `[...]`",
    Takes.TEST_ID: "a test id",
    Takes.TEXT: "any printable text",
}

_HEAD = """\
# pytest options that a run may use

`argument` and `extra_pytest_options` of `run_pytest` accept only the options of the first table. Positional arguments,
abbreviations and unknown options are refused before anything is sent. The operator can allow further long options of a
test suite, `TP_MCP_ALLOWED_PYTEST_OPTIONS=--rack-slot,--topology`; they are written `--name` or `--name=value`. The
options of the second table can never be allowed: each would make pytest load, write, configure or wait for something on
the controller, where it runs as root. This includes `--junitxml`; `tp-mcp report EXEC_ID --format junit` writes the
results of a run as JUnit XML instead.

`python -m tests.options_page` writes this page from the guard's own table.

## Allowed

| option | takes |
|---|---|
"""

_MIDDLE = """
## Never allowed

| option | why |
|---|---|
"""


def page() -> str:
    """Return the page."""
    options = dict.fromkeys(KNOWN.values())
    allowed = [f"| {_names(option.names)} | {_takes(option)} |" for option in options]
    reasons: dict[str, list[str]] = {}
    for name, why in FORBIDDEN.items():
        reasons.setdefault(why, []).append(name)
    never = [f"| {_names(names)} | {why} |" for why, names in reasons.items()]
    return _HEAD + "\n".join(allowed) + "\n" + _MIDDLE + "\n".join(never) + "\n"


def _names(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _takes(option: Option) -> str:
    if option.takes is Takes.CHOICE:
        several = "letters of " if "-r" in option.names else ""
        return several + ", ".join(f"`{choice}`" for choice in option.choices)
    most = "" if option.most is None else f", at most {option.most:,}"
    return _VALUES[option.takes] + most


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.name} is written.\n")
