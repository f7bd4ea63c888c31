"""Checks that several tests make."""

import re


def fields(output):
    """Return the `name: value` lines of an output as a dict."""
    pairs = (line.split(": ", 1) for line in output.splitlines() if ": " in line)
    return {name.strip(): value.strip() for name, value in pairs}


def table(cli, command, pattern):
    """Return the rows of a table that match a pattern, as tuples."""
    return _parse_rows(cli.run_ok(command), re.compile(pattern))


def _parse_rows(output, pattern):
    return [match.groups() for match in map(pattern.fullmatch, output.splitlines()) if match]


def assert_in_table(cli, command, pattern, row):
    rows = table(cli, command, pattern)
    assert row in rows, f"{row} is missing in the output of {command!r}"


def assert_not_in_table(cli, command, pattern, row):
    rows = table(cli, command, pattern)
    assert row not in rows, f"{row} is still in the output of {command!r}"
