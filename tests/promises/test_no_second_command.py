"""No second command: for every accepted value, a real bash hands pytest exactly the intended arguments."""

import itertools
import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.table import table
from tp_mcp.api.guard import (
    PytestArguments,
    guard_pytest_arguments,
    guard_restore_command,
    guard_test_ids,
    intended_ids,
)
from tp_mcp.errors import InputError

pytestmark = pytest.mark.slow


ROOT = "/home/controller/tests"
REPORT = "data/test_446_report_2026-05-29_21:26:50.html"
RACK = "/etc/racks/AT16.yaml"
FEWEST_ACCEPTED = 5_000
LOCALES = ("C.UTF-8", "C")
TOLD = "told at the end"


class Seen(Protocol):
    argvs: list[tuple[str, ...]]
    others: list[str]
    files: set[str]
    complaints: str


class Bash(Protocol):
    @property
    def version(self) -> str: ...
    def run(self, lines: list[str], *, locale: str = ...) -> Seen: ...


@dataclass(frozen=True)
class Run:
    """The two script lines that TP makes of accepted values, and the argument vectors that were intended."""

    lines: tuple[str, str]
    intended: tuple[tuple[str, ...], tuple[str, ...]]


def run_of(carried: list[str], ids: list[str], argument: PytestArguments, extra: PytestArguments) -> Run:
    names = " ".join(f"{ROOT}/{each}" for each in carried)
    roots = tuple(f"{ROOT}/{each}" for each in ids)
    return Run(
        (
            f"pytest {names} {argument.carried} --collect-only",
            f"pytest {names} {argument.carried} --html={REPORT} --rack-file {RACK} {extra.carried}",
        ),
        (
            (*roots, *argument.argv, "--collect-only"),
            (*roots, *argument.argv, f"--html={REPORT}", "--rack-file", RACK, *extra.argv),
        ),
    )


def assert_bash_does_as_intended(bash: Bash, runs: list[Run]) -> None:
    lines = [line for run in runs for line in run.lines]
    intended = [argv for run in runs for argv in run.intended]
    for locale in LOCALES:
        seen = bash.run(lines, locale=locale)
        assert seen.others == [], "bash ran another command"
        for line, meant, got in itertools.zip_longest(lines, intended, seen.argvs):
            assert got == meant, line
        assert seen.files == set()
        assert seen.complaints == ""


NOTHING = PytestArguments()

CORPUS: dict[str, Any] = json.loads(Path(__file__).with_name("no_second_command.json").read_text())
"""Values written by hand: what people really send and what is meant by it, pieces of shell syntax and what they are put
into, and values that must be refused."""


def accepted_or_none(guard: Callable[[str], object], value: str) -> object | None:
    try:
        return guard(value)
    except InputError:
        return None


def guard_argument(value: str) -> PytestArguments:
    return guard_pytest_arguments("argument", value)


@pytest.mark.parametrize(
    ("line", "sign"),
    [
        ("pytest a; touch owned", "others"),
        ("pytest $(touch owned)", "others"),
        ("pytest `: x`", "others"),
        ("pytest a | :", "others"),
        ("pytest a & :", "others"),
        ("pytest a > owned", "files"),
        ("pytest a\n: b", "others"),
        ("pytest 'a", "complaints"),
        ("pytest a (b)", "complaints"),
    ],
)
def test_the_harness_sees_a_second_command_a_file_and_a_broken_line(bash: Bash, line: str, sign: str) -> None:
    assert getattr(bash.run([line]), sign)


@table("word", ["*", "[a]", "?", "~", "{a,b}", "$IFS_PROBE", "a\\b", "#a", "'a'", "a=~", "x*"])
def test_the_harness_sees_a_word_that_bash_changes(bash: Bash, word: str) -> None:
    assert bash.run([f"pytest {word}"]).argvs != [(word,)] or word == "x*"


def test_what_people_really_send_is_carried_as_they_mean_it(bash: Bash) -> None:
    for text, argv in CORPUS["legitimate_arguments"].items():
        assert guard_argument(text).argv == tuple(argv), text
    for text, test_id in CORPUS["legitimate_ids"].items():
        assert intended_ids([text]) == (test_id,), text
    runs = [
        run_of(["a.py"], ["a.py"], guard_argument(each), guard_argument(each))
        for each in CORPUS["legitimate_arguments"]
    ]
    ids = list(CORPUS["legitimate_ids"])
    runs += [run_of(list(guard_test_ids([each])), list(intended_ids([each])), NOTHING, NOTHING) for each in ids]
    runs.append(run_of(list(guard_test_ids(ids)), list(intended_ids(ids)), NOTHING, NOTHING))
    assert_bash_does_as_intended(bash, runs)


def test_an_id_that_needs_no_quotes_gets_none() -> None:
    assert guard_test_ids(["/Tests_CLI/test_cli.py::TestLogin::test_ssh"]) == (
        "Tests_CLI/test_cli.py::TestLogin::test_ssh",
    )
    assert guard_test_ids(["a/b.py::test[a b]"]) == ("a/b.py::test'[a b]'",)
    assert guard_test_ids(["my dir/b.py"]) == ("'my dir'/b.py",)


@table("value", CORPUS["refused_arguments"])
def test_an_argument_that_cannot_be_carried_is_refused(value: str) -> None:
    with pytest.raises(InputError, match=r"\S"):
        guard_argument(value)


@table("value", CORPUS["refused_ids"])
def test_an_id_that_cannot_be_carried_is_refused(value: str) -> None:
    with pytest.raises(InputError, match=r"\S"):
        guard_test_ids([value])


@table("value", CORPUS["refused_commands"])
def test_a_command_that_is_not_one_restore_line_is_refused(value: str) -> None:
    with pytest.raises(InputError, match=r"\S"):
        guard_restore_command(value)


def test_an_accepted_command_is_inert_even_in_a_shell(bash: Bash) -> None:
    lines = [guard_restore_command(each).line() for each in CORPUS["legitimate_commands"]]
    seen = bash.run([f"pytest {line}" for line in lines])
    assert seen.argvs == [tuple(each.split()) for each in CORPUS["legitimate_commands"]]
    assert seen.others == []


def test_a_corpus_of_attacks_is_refused_or_carried_as_text(
    bash: Bash, record_property: Callable[[str, object], None]
) -> None:
    runs: list[Run] = []
    raw: list[str] = []
    tried = 0
    for template, attack in itertools.product(CORPUS["argument_templates"], CORPUS["shell"]):
        value = template.replace("{}", attack)
        tried += 1
        carried = accepted_or_none(guard_argument, value)
        if isinstance(carried, PytestArguments):
            raw.append(value)
            runs.append(run_of(["a.py"], ["a.py"], carried, carried))
    # What was accepted is safe to run as it was written, so bash itself can say what it means.
    assert bash.run([f"pytest {each}" for each in raw]).argvs == [guard_argument(each).argv for each in raw]
    for template, attack in itertools.product(CORPUS["id_templates"], CORPUS["shell"]):
        value = template.replace("{}", attack)
        tried += 1
        ids = accepted_or_none(lambda each: guard_test_ids([each]), value)
        if isinstance(ids, tuple):
            assert intended_ids([value]) == (value.removeprefix("/").removesuffix("/"),)
            runs.append(run_of(list(ids), list(intended_ids([value])), NOTHING, NOTHING))
    assert_bash_does_as_intended(bash, runs)
    assert len(runs) > 300, "most of the corpus has to get as far as bash where quotes hold it"
    assert tried - len(runs) > 1_000
    record_property(
        TOLD, f"attacks tried: {tried}; refused: {tried - len(runs)}; accepted and run by bash: {len(runs)}"
    )


# ---------------------------------------------------------------- generated values

ATOMS = [
    *"abzAZ09 _-.:/=,+%@^~!#$&*()[]{}<>|;'\"`?\\",
    "ä",
    "中",
    "$(",
    "${",
    "&&",
    "::",
    "$'",
    '\\"',
    "\\\\",
    "owned",
    "'\\''",
    "..",
    "--",
]
TEXTS = st.text("".join(each for each in ATOMS if len(each) == 1), max_size=10) | st.lists(
    st.sampled_from(ATOMS), max_size=5
).map("".join)
NAMES = st.sampled_from(["a", "test_x", "Tests_CLI", "Tests CLI", "x-1.0", "größe", "a=b,c", "p+q%r@s", "_"])
IDENTIFIERS = st.sampled_from(["test_a", "TestB", "_c", "größe", "t1"])
FLAGS = [
    "-v",
    "-x",
    "-xvs",
    "-l",
    "--lf",
    "--collect-only",
    "--tb=short",
    "--maxfail=2",
    "-rA",
    "-n4",
    "--strict-markers",
]


def escaped(text: str) -> str:
    return "".join(each if each.isalnum() else f"\\{each}" for each in text) or "''"


def double_quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def single_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


QUOTINGS = st.sampled_from([shlex.quote, single_quoted, double_quoted, escaped])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@st.composite
def test_ids(draw: st.DrawFn) -> str:
    test_id = draw(PATHS) + ".py"
    for name in draw(st.lists(IDENTIFIERS, min_size=1, max_size=2)):
        test_id += f"::{name}"
    return test_id + draw(TEXTS.map(lambda text: f"[{text}]") | st.just(""))


test_ids.__test__ = False  # type: ignore[attr-defined]  # a strategy, whatever its name


EXPRESSIONS = st.recursive(
    st.sampled_from(["radius", "TestA", "a.b", "x-1", "maß"]),
    lambda inner: (
        st.tuples(inner, st.sampled_from([" and ", " or ", " and not "]), inner).map("".join) | inner.map("({})".format)
    ),
    max_leaves=4,
)
OPTIONS = st.one_of(
    st.sampled_from(FLAGS).map(lambda flag: [flag]),
    st.tuples(st.sampled_from(["-k", "-m"]), EXPRESSIONS).map(list),
    st.tuples(st.sampled_from(["--only-rerun", "--rerun-except", "--log-format", "--log-cli-format"]), TEXTS).map(list),
    st.tuples(st.sampled_from(["--only-rerun=", "--log-date-format="]), TEXTS).map(lambda parts: ["".join(parts)]),
    test_ids().map(lambda test_id: ["--deselect", test_id]),
    PATHS.map(lambda path: [f"--ignore={path}"]),
)


@st.composite
def arguments(draw: st.DrawFn) -> tuple[str, tuple[str, ...]]:
    """A text as somebody may write it, in one of many quotings, and the words that were meant by it."""
    words = [word for option in draw(st.lists(OPTIONS, max_size=3)) for word in option]
    return " ".join(draw(QUOTINGS)(word) for word in words), tuple(words)


@st.composite
def requests(draw: st.DrawFn) -> tuple[list[str], tuple[str, tuple[str, ...]], tuple[str, tuple[str, ...]]]:
    return draw(st.lists(test_ids(), min_size=1, max_size=2)), draw(arguments()), draw(arguments())


def test_generated_values_reach_pytest_as_they_were_meant(
    bash: Bash, record_property: Callable[[str, object], None]
) -> None:
    accepted = refused = 0

    @settings(max_examples=95, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(requests(), min_size=20, max_size=25))
    def run(batch: list[tuple[list[str], tuple[str, tuple[str, ...]], tuple[str, tuple[str, ...]]]]) -> None:
        nonlocal accepted, refused
        runs: list[Run] = []
        for ids, *texts in batch:
            carried = guard_test_ids(ids)
            assert intended_ids(ids) == tuple(ids)
            accepted += len(ids)
            guarded: list[PytestArguments] = []
            for text, words in texts:
                arguments = accepted_or_none(guard_argument, text)
                if isinstance(arguments, PytestArguments):
                    assert arguments.argv == words
                    accepted += 1
                    guarded.append(arguments)
                else:
                    refused += 1
                    guarded.append(NOTHING)
            runs.append(run_of(list(carried), ids, guarded[0], guarded[1]))
        assert_bash_does_as_intended(bash, runs)

    run()
    assert accepted >= FEWEST_ACCEPTED
    assert refused > 0
    record_property(TOLD, f"generated values accepted and run by {bash.version}: {accepted}; refused: {refused}; each "
                    "argument vector on both script lines as intended, no other command, no file")  # fmt: skip


def test_generated_text_that_is_accepted_means_to_the_guard_what_it_means_to_bash(
    bash: Bash, record_property: Callable[[str, object], None]
) -> None:
    accepted = refused = 0
    pieces = st.sampled_from(
        ["-k ", "-v ", "--only-rerun ", "--log-format=", "-x", " ", "a", "'", "'", '"', '"', *ATOMS]
    )
    texts = st.one_of(
        st.lists(pieces, max_size=8).map("".join),
        st.lists(pieces, max_size=8).map(lambda parts: f"--only-rerun '{''.join(parts)}'"),
        st.lists(pieces, max_size=8).map(lambda parts: f'--log-format="{"".join(parts)}" -v'),
    )

    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(texts, min_size=60, max_size=80))
    def run(batch: list[str]) -> None:
        nonlocal accepted, refused
        passed = [(text, guarded) for text in batch if (guarded := accepted_or_none(guard_argument, text)) is not None]
        accepted += len(passed)
        refused += len(batch) - len(passed)
        # What was accepted is safe to run as it was written, so bash itself can say what it means.
        seen = bash.run([f"pytest {text}" for text, _ in passed])
        assert seen.others == []
        assert seen.argvs == [guarded.argv for _, guarded in passed if isinstance(guarded, PytestArguments)]
        assert_bash_does_as_intended(
            bash, [run_of(["a"], ["a"], each, each) for _, each in passed if isinstance(each, PytestArguments)]
        )

    run()
    assert accepted > 500
    record_property(
        TOLD, f"generated texts accepted and compared with bash's own reading: {accepted}; refused: {refused}"
    )


def test_a_scratch_directory_has_what_patterns_would_match(bash: Bash, tmp_path: Path) -> None:
    assert len(bash.run(["pytest *"]).argvs[0]) > 5
    assert (tmp_path / "scratch" / "a").exists()
