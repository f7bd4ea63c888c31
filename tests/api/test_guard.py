"""What the guard says: the reason, and the right spelling."""

import pytest

from tests.support.table import table
from tp_mcp.api.guard import guard_pytest_arguments, guard_report_path, guard_restore_command, guard_test_ids
from tp_mcp.api.guard.plain_text import SHOWN_CHARACTERS, shown
from tp_mcp.api.guard.pytest_options import FORBIDDEN, KNOWN
from tp_mcp.errors import ConfigurationError, InputError, InvalidArgumentError, UnsafeArgumentError


def refusal(kind: type[InputError], text: object, *, allowed: frozenset[str] = frozenset()) -> str:
    with pytest.raises(kind) as caught:
        guard_pytest_arguments("argument", text, extra_allowed_options=allowed)
    assert type(caught.value) is kind
    return str(caught.value)


def id_refusal(kind: type[InputError], text: str) -> str:
    with pytest.raises(kind) as caught:
        guard_test_ids(["ok.py", text])
    assert type(caught.value) is kind
    assert "testcase[1]" in caught.value.message
    return str(caught.value)


@table(
    ("text", "words"),
    [
        ("-k a; reboot", "';' outside quotes at position 4"),
        ("-k $HOME", "'$' outside quotes"),
        ('-k "$HOME"', "'$' in double quotes"),
        ("-k '*' x*", "'*' outside quotes"),
        ("-k 'a", "opens a ' at position 3 that is never closed"),
        ('-k "a', 'opens a " at position 3 that is never closed'),
        ('-k "a\\', "never closed"),
        ("-v\\", "ends in a backslash"),
        ("-v\n-x", "U+000A at position 2"),
        ("-v\x00", "U+0000"),
        ("-v\t-x", "U+0009"),
        ("@args", "reads arguments from a file"),
        ("-k @args", "reads arguments from a file"),
        ("-p x", "-p, which is never sent: it makes pytest load"),
        ("-xvpx", "-p, which is never sent"),
        ("--rootdir=/", "--rootdir, which is never sent"),
        ("--rack-file x", "TP's framework sets it itself"),
        ("--ignore=/etc", "an absolute path"),
        ("--ignore=a/../..", "could leave the tests root"),
    ],
)
def test_an_unsafe_argument_is_refused_with_the_reason(text: str, words: str) -> None:
    assert words in refusal(UnsafeArgumentError, text)


@table(
    ("text", "words"),
    [
        (7, "argument must be a string; 7 was given"),
        ("x" * 4_001, "4001 characters long; at most 4000"),
        ("-v Tests_CLI/test_cli.py", "Pass test ids in testcase"),
        ("-k radius and not flaky", "Quote a value with spaces, as in -k 'radius and not flaky'"),
        ("--maxfial=1", "Did you mean --maxfail?"),
        ("--zzzz", "The operator of this server can allow more"),
        ("-z", "unknown option '-z'"),
        ("--tb=loud", "Allowed: auto, long, short, line, native, no."),
        ("-rQ", "Allowed: f, E, s, x"),
        ("--maxfail", "needs a value, otherwise it would consume the framework's next argument"),
        ("-v -k", "-k needs a value"),
        ("-k -v", "which pytest would read as an option"),
        ("-k= a", "neither an option nor the value of one"),
        ("--maxfail=many", "Pass a whole number, such as 3."),
        ("--timeout=1m", "Pass a number, such as 30 or 0.5."),
        ("--log-level=very.loud", "Pass a log level"),
        ("-n '4 4'", "Pass a whole number, auto or logical."),
        ("--log-disable='a b'", "Pass a name or number"),
        ("-n 999999999", "is '999999999'; the limit is 64. Write -n 64, or less."),
        ("--numprocesses=65", "Write --numprocesses=64, or less."),
        ("--maxprocesses=65", "Write --maxprocesses=64, or less."),
        ("--count=999999999", "the limit is 1,000. Write --count=1000, or less."),
        ("--verbosity=999999999", "Write --verbosity=10, or less."),
        ("--maxfail=10001", "Write --maxfail=10000, or less."),
        ("--durations=10001", "Write --durations=10000, or less."),
        ("--durations-min=86400.5", "Write --durations-min=86400, or less."),
        ("--reruns=101", "Write --reruns=100, or less."),
        ("--reruns-delay=3601", "Write --reruns-delay=3600, or less."),
        ("--timeout=86400.1", "Write --timeout=86400, or less."),
        ("--session-timeout=604801", "Write --session-timeout=604800, or less."),
        ("-x=1", "unknown option '-='"),
        ("--verbose=1", "Write --verbose alone."),
        ("-k 'a b'", "'and' or 'or' is missing before 'b'"),
        ("-k 'and a'", "a name is missing before 'and'"),
        ("-k 'a or'", "it ends too early"),
        ("-k '(a'", "it ends too early"),
        ("-k 'a)'", "its parentheses do not match"),
        ("-k 'not ()'", "a name is missing before ')'"),
        ("-k 'a@b'", "'@' has no meaning there"),
        ("-m 'mark(x=1)'", "'and' or 'or' is missing before '('"),
        ("--deselect=x.txt::a", "must be a .py file"),
        ("-qq", "quietens pytest 2 times"),
    ],
)
def test_a_wrong_argument_is_refused_with_what_would_be_right(text: object, words: str) -> None:
    assert words in refusal(InvalidArgumentError, text)


@table(
    ("text", "argv"),
    [
        ("-v  ", ("-v",)),
        (r"-k a\ or\ b", ("-k", "a or b")),
        (r"""--only-rerun "a\"b\\c\$d\`e\f" """, ("--only-rerun", r'a"b\c$d`e\f')),
        ("""--only-rerun 'a'"'"'b'""", ("--only-rerun", "a'b")),
        ("--log-level=DEBUG --log-cli-level 10", ("--log-level=DEBUG", "--log-cli-level", "10")),
        ("--ignore-glob='**/[a-z]*_old?.py'", ("--ignore-glob=**/[a-z]*_old?.py",)),
        ("-k '' -m=", ("-k", "", "-m=")),
        ("-n auto --count=1000", ("-n", "auto", "--count=1000")),
        ("-n64 --numprocesses logical", ("-n64", "--numprocesses", "logical")),
    ],
)
def test_words_are_those_of_a_shell(text: str, argv: tuple[str, ...]) -> None:
    assert guard_pytest_arguments("argument", text).argv == argv


def test_quiet_and_verbose_make_up_for_each_other() -> None:
    assert guard_pytest_arguments("argument", "-qq --verbose -v -q").argv == ("-qq", "--verbose", "-v", "-q")


def test_the_table_of_options_does_not_contradict_itself() -> None:
    assert not set(KNOWN) & set(FORBIDDEN)
    assert all(name.startswith("-") for name in (*KNOWN, *FORBIDDEN))


@table("option", sorted(FORBIDDEN))
def test_no_operator_can_allow_what_is_forbidden(option: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be allowed"):
        guard_pytest_arguments("argument", "", extra_allowed_options=frozenset({option}))
    refusal(UnsafeArgumentError, option)


@table("option", ["", "x", "-x", "--", "--a b", "--a=b", "--$(a)", "--a\n"])
def test_only_long_options_can_be_allowed(option: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be allowed as a pytest option"):
        guard_pytest_arguments("argument", "", extra_allowed_options=frozenset({option}))


def test_an_allowed_option_is_carried_and_a_known_one_keeps_its_check() -> None:
    allowed = frozenset({"--slot", "--tb"})
    carried = guard_pytest_arguments("argument", "--slot --slot=\"a 'b'\"", extra_allowed_options=allowed)
    assert carried.argv == ("--slot", "--slot=a 'b'")
    assert "neither an option" in refusal(InvalidArgumentError, "--slot value", allowed=allowed)
    assert "--tb" in refusal(InvalidArgumentError, "--tb=loud", allowed=allowed)


@table(
    ("text", "words"),
    [
        ("--pdb", "reads a word that starts with '-' as an option"),
        ("@file", "reads arguments from a file"),
        ("a/../b.py", "could leave the tests root"),
        ("/etc/passwd", "an absolute path of the controller"),
        ("a\\b.py", "Write 'a/b.py'"),
        ("'a.py'", "quotes, patterns and shell syntax are not allowed"),
        ("a*.py", "patterns"),
        ("a.py\n", "U+000A"),
    ],
)
def test_an_unsafe_id_is_refused_with_the_right_spelling(text: str, words: str) -> None:
    assert words in id_refusal(UnsafeArgumentError, text)


@table(
    ("text", "words"),
    [
        ("", "the path is empty"),
        ("tests/Tests_CLI/a.py", "Write 'Tests_CLI/a.py'."),
        ("/tests", "omit 'tests/'"),
        ("a.txt::b", "must be a .py file"),
        ("a.py::b c", "names of classes and tests"),
        ("a.py::b[x", "must be closed at the end"),
        ("a.py[x]", "may only follow the name of a test"),
        ("x" * 1_001, "at most 1000"),
    ],
)
def test_a_wrong_id_is_refused_with_the_right_spelling(text: str, words: str) -> None:
    assert words in id_refusal(InvalidArgumentError, text)


@table(
    ("command", "words"),
    [
        (None, "must be a line of text"),
        ("execute restore image scp " + "a" * 1_000, "at most 1000"),
        ("execute restore image scp /a h u p\n", "only a single line"),
        ("reboot", "does not start with 'execute restore image scp'"),
        ("execute restore image scp /a h u", "has 7 words"),
        ("execute restore image scp a h u p", "The path"),
        ("execute restore image scp /a h_ u p", "The host"),
        ("execute restore image scp /a h u; p", "The user"),
        ("execute restore image scp /a h u p;", "The password"),
    ],
)
def test_a_refused_command_says_which_part_is_wrong(command: object, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        guard_restore_command(command)
    assert caught.value.remedy


def test_a_report_path_keeps_its_plain_spelling() -> None:
    assert guard_report_path("/data/a_2026-05-29_21:26:50.html") == "data/a_2026-05-29_21:26:50.html"


def test_a_refused_value_is_shown_in_part() -> None:
    assert shown("a" * 500) == f"'{'a' * (SHOWN_CHARACTERS - 1)}... (502 characters)"
    assert shown("\n\x1b") == r"'\n\x1b'"
    endless: list[object] = []
    for _ in range(100_000):
        endless = [endless]
    assert "type list" in shown(endless)
