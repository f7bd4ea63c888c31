"""No second command, by lists: forbidden options in every spelling, look-alikes, very long values, restore commands."""

import contextlib
import itertools
import posixpath
from collections.abc import Callable, Iterator

import pytest

from tests.promises.test_no_second_command import CORPUS, NOTHING, TOLD, Bash, assert_bash_does_as_intended, run_of
from tp_mcp.api.guard import (
    PytestArguments,
    guard_image,
    guard_pytest_arguments,
    guard_restore_command,
    guard_test_ids,
    intended_ids,
)
from tp_mcp.api.guard.pytest_options import FORBIDDEN, KNOWN
from tp_mcp.errors import InputError

pytestmark = pytest.mark.slow


DASHES = "\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d\u00ad"
INVISIBLE = ("\u200b", "\u2060", "\ufeff", "\u00a0", "\u3000", "\u202e", "\u2028", "\x00", "\x7f", "\U000e0041")
LONG = 100_000
HOST, DIRECTORY = "10.15.1.2", "/builds"
FIELDS = ("/builds/fsw/image.out", HOST, "autobuild", "s3cr3t")
HOSTS = (
    *(f"{HOST}.evil.example", f"evil.example#{HOST}", f"{HOST}@evil.example", f"user@{HOST}", f"{HOST}0", f"0{HOST}"),
    *(f"{HOST}:22", f"[{HOST}]", "168755458", "0x0a0f0102", "\uff11\uff10.15.1.2", f"{HOST}\u200b", f"{HOST}.", "::1"),
    *("10.15.1.2,evil.example", "-oProxyCommand=x", "$(x)", "10.15.1.\u0662"),
)
PATHS = (
    *("/etc/passwd", "/builds", "/buildsevil/x", "/builds/../etc/x", "/builds/./../x", "/builds//../../x", "builds/x"),
    *(
        "/builds/x/../../etc",
        "/Builds/x",
        "/builds\u2215..\u2215x",
        "/builds/%2e%2e/x",
        "//builds/x",
        "~/x",
        "/builds/\u2025/x",
    ),
)


def spellings(option: str) -> Iterator[str]:
    """Yield texts in which pytest, or bash before it, might find an option."""
    yield from (
        option,
        f"{option}=x",
        f"{option} x",
        f"-x {option} x",
        f"'{option}' x",
        f'"{option}"=x',
        f"--  {option}",
    )
    for position in range(1, len(option)):
        head, tail = option[:position], option[position:]
        yield from (f"{head}\\{tail} x", f"{head}''{tail}=x", f'{head}"{tail}" x', f"{head}\\\n{tail} x")
        yield from (f"{head}{each}{tail} x" for each in INVISIBLE)
    if option.startswith("--"):
        # What argparse would take for it, where abbreviations are on.
        yield from (f"{option[:length]}=x" for length in range(4, len(option)) if option[:length] not in KNOWN)
        yield option.upper()
        yield from (f"{dash}{dash}{option[2:]}=x" for dash in DASHES)
    else:
        yield from (f"{option}x", f"-x{option[1]}x", f"-vvs{option[1]} x", f"-x{option[1]}")


def assert_refused(name: str, text: str) -> None:
    try:
        carried = guard_pytest_arguments(name, text)
    except InputError:
        return
    raise AssertionError(f"{text!r} is carried as {carried.argv}")


def test_no_spelling_of_a_forbidden_option_is_carried(record_property: Callable[[str, object], None]) -> None:
    tried = 0
    for option in FORBIDDEN:
        for text in spellings(option):
            tried += 1
            for name in ("argument", "extra_pytest_options"):
                assert_refused(name, text)
    assert tried > 5_000
    record_property(TOLD, f"spellings of forbidden options tried and refused: {tried}")


def test_look_alikes_and_long_values_are_refused_or_carried_as_they_are(
    bash: Bash, record_property: Callable[[str, object], None]
) -> None:
    plain = ["a.py::test_a[x]", "Tests_CLI/test_cli.py", "-k radius", "--log-format=x", "-x"]
    odd = [
        f"{text[:place]}{sign}{text[place:]}"
        for text in plain
        for sign in (*INVISIBLE, *DASHES, "\u0430", "\u2215", "\u037e", "\uff1b", "\uff04(x)", "\u2018")
        for place in range(len(text) + 1)
    ]
    odd += [sign * LONG for sign in ("a", "-x ", "a/", "(", "'", "\\", "\u00e9")] + [
        "a" * size for size in (999, 1_001, 4_001)
    ]
    runs = []
    for text in odd:
        with contextlib.suppress(InputError):
            runs.append(run_of(list(guard_test_ids([text])), list(intended_ids([text])), NOTHING, NOTHING))
        with contextlib.suppress(InputError):
            carried: PytestArguments = guard_pytest_arguments("argument", text)
            runs.append(run_of(["a.py"], ["a.py"], carried, carried))
    assert_bash_does_as_intended(bash, runs)
    assert len(runs) > 50
    record_property(TOLD, f"look-alikes and long values tried: {2 * len(odd)}; accepted and run by bash: {len(runs)}")


def commands() -> Iterator[str]:
    for place, attack in itertools.product(range(4), (*CORPUS["shell"], *HOSTS, *PATHS, *INVISIBLE, "", "x" * LONG)):
        fields = list(FIELDS)
        for value in (attack, fields[place] + attack, attack + fields[place]):
            yield " ".join(("execute restore image scp", *fields[:place], value, *fields[place + 1 :]))
    for attack in CORPUS["shell"]:
        yield f"execute restore image scp {' '.join(FIELDS)}{attack}"
        yield f"{attack}execute restore image scp {' '.join(FIELDS)}"


def test_a_command_that_passes_is_one_line_from_a_host_and_a_directory_that_are_allowed(
    bash: Bash, record_property: Callable[[str, object], None]
) -> None:
    tried = 0
    accepted: list[str] = []
    for text in commands():
        tried += 1
        try:
            command = guard_restore_command(text)
            guard_image(command, hosts=(HOST,), paths=(DIRECTORY,))
        except InputError:
            continue
        assert command.host == HOST
        assert posixpath.normpath(command.path).startswith(f"{DIRECTORY}/")
        accepted.append(command.line())
    seen = bash.run([f"pytest {line}" for line in accepted])
    assert seen.others == []
    assert seen.argvs == [tuple(line.split()) for line in accepted]
    assert all(len(argv) == 8 for argv in seen.argvs)
    assert 0 < len(accepted) < tried / 4
    record_property(
        TOLD, f"restore commands tried: {tried}; refused: {tried - len(accepted)}; the rest is one line each"
    )
