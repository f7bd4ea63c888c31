"""Known pytest options with the kinds of their values, and options that are never carried.

Sources: `pytest --help` of pytest 9.2 with pytest-html, pytest-xdist and pytest-timeout, and the documentation of
pytest-rerunfailures (`--reruns` and related options) and pytest-repeat (`--count`).
"""

from dataclasses import dataclass
from enum import Enum, auto

WORKERS_MOST = 64
"""Limit of parallel pytest processes on the controller."""

VERBOSITY_MOST = 10
FAILURES_MOST = 10_000
DURATIONS_MOST = 10_000
REPEATS_MOST = 1_000
RERUNS_MOST = 100
DELAY_MOST_SECONDS = 3_600
TEST_MOST_SECONDS = 86_400
SESSION_MOST_SECONDS = 604_800


class Takes(Enum):
    """Kind of an option's value."""

    NOTHING = auto()
    WHOLE_NUMBER = auto()
    NUMBER = auto()
    WORKERS = auto()
    """A number of processes, `auto` or `logical`."""
    CHOICE = auto()
    LEVEL = auto()
    """A log level: a name or a number."""
    NAME = auto()
    EXPRESSION = auto()
    """An expression of `-k` and `-m`: names, `and`, `or`, `not`, parentheses."""
    PATH = auto()
    """A file or directory below the tests root."""
    PATTERN = auto()
    """A path below the tests root with `*`, `?` and `[...]`, which pytest expands itself."""
    TEST_ID = auto()
    TEXT = auto()
    """Any printable text."""


@dataclass(frozen=True, slots=True)
class Option:
    """A pytest option.

    Attributes:
        names: all spellings, such as `-x` and `--exitfirst`.
        choices: allowed values, for CHOICE.
        most: greatest allowed number, for WHOLE_NUMBER, NUMBER and WORKERS.
    """

    names: tuple[str, ...]
    takes: Takes = Takes.NOTHING
    choices: tuple[str, ...] = ()
    most: int | None = None


_KNOWN = (
    Option(("-k",), Takes.EXPRESSION),
    Option(("-m",), Takes.EXPRESSION),
    Option(("-v", "--verbose")),
    Option(("-q", "--quiet")),
    Option(("--verbosity",), Takes.WHOLE_NUMBER, most=VERBOSITY_MOST),
    Option(("-x", "--exitfirst")),
    Option(("--maxfail",), Takes.WHOLE_NUMBER, most=FAILURES_MOST),
    Option(("-s",)),
    Option(("--capture",), Takes.CHOICE, ("fd", "sys", "no", "tee-sys")),
    Option(("--show-capture",), Takes.CHOICE, ("no", "stdout", "stderr", "log", "all")),
    Option(("-l", "--showlocals")),
    Option(("--no-showlocals",)),
    Option(("--tb",), Takes.CHOICE, ("auto", "long", "short", "line", "native", "no")),
    Option(("--full-trace",)),
    Option(("--xfail-tb",)),
    Option(("-r", "--report-chars"), Takes.CHOICE, tuple("fEsxXpPwaAN")),
    Option(("--no-header",)),
    Option(("--no-summary",)),
    Option(("--no-fold-skipped",)),
    Option(("--force-short-summary",)),
    Option(("--disable-warnings", "--disable-pytest-warnings")),
    Option(("--collect-only", "--co")),
    Option(("--setup-show",)),
    Option(("--setup-only",)),
    Option(("--setup-plan",)),
    Option(("--durations",), Takes.WHOLE_NUMBER, most=DURATIONS_MOST),
    Option(("--durations-min",), Takes.NUMBER, most=TEST_MOST_SECONDS),
    Option(("--runxfail",)),
    Option(("--continue-on-collection-errors",)),
    Option(("--keep-duplicates",)),
    Option(("--lf", "--last-failed")),
    Option(("--ff", "--failed-first")),
    Option(("--nf", "--new-first")),
    Option(("--lfnf", "--last-failed-no-failures"), Takes.CHOICE, ("all", "none")),
    Option(("--sw", "--stepwise")),
    Option(("--sw-skip", "--stepwise-skip")),
    Option(("--deselect",), Takes.TEST_ID),
    Option(("--ignore",), Takes.PATH),
    Option(("--ignore-glob",), Takes.PATTERN),
    Option(("--strict",)),
    Option(("--strict-config",)),
    Option(("--strict-markers",)),
    Option(("--log-level",), Takes.LEVEL),
    Option(("--log-format",), Takes.TEXT),
    Option(("--log-date-format",), Takes.TEXT),
    Option(("--log-cli-level",), Takes.LEVEL),
    Option(("--log-cli-format",), Takes.TEXT),
    Option(("--log-cli-date-format",), Takes.TEXT),
    Option(("--log-disable",), Takes.NAME),
    Option(("--self-contained-html",)),
    Option(("-n", "--numprocesses"), Takes.WORKERS, most=WORKERS_MOST),
    Option(("--maxprocesses",), Takes.WHOLE_NUMBER, most=WORKERS_MOST),
    Option(("--dist",), Takes.CHOICE, ("load", "loadscope", "loadfile", "loadgroup", "worksteal", "each", "no")),
    Option(("--reruns",), Takes.WHOLE_NUMBER, most=RERUNS_MOST),
    Option(("--reruns-delay",), Takes.NUMBER, most=DELAY_MOST_SECONDS),
    Option(("--only-rerun",), Takes.TEXT),
    Option(("--rerun-except",), Takes.TEXT),
    Option(("--count",), Takes.WHOLE_NUMBER, most=REPEATS_MOST),
    Option(("--repeat-scope",), Takes.CHOICE, ("function", "class", "module", "session")),
    Option(("--timeout",), Takes.NUMBER, most=TEST_MOST_SECONDS),
    Option(("--timeout-method",), Takes.CHOICE, ("signal", "thread")),
    Option(("--session-timeout",), Takes.NUMBER, most=SESSION_MOST_SECONDS),
)

KNOWN: dict[str, Option] = {name: option for option in _KNOWN for name in option.names}
"""All known spellings with their options."""

_LOADS = "it makes pytest load or run something other than the tests"
_CONFIGURES = "it changes the configuration that TP's framework relies on"
_WRITES = "it makes pytest write or delete files on the controller"
_FRAMEWORK = "TP's framework sets it itself"
_WAITS = "it waits for input at the controller's keyboard"
_NO_TEST = "it prints something and ends without running a test"
_SENDS = "it sends results to another machine"

FORBIDDEN: dict[str, str] = {
    "-p": _LOADS,
    "--pyargs": _LOADS,
    "--import-mode": _LOADS,
    "--doctest-modules": _LOADS,
    "--doctest-glob": _LOADS,
    "--disable-plugin-autoload": _LOADS,
    "--noconftest": _LOADS,
    "-W": _LOADS,
    "--pythonwarnings": _LOADS,
    "--tx": _LOADS,
    "--px": _LOADS,
    "-f": _WAITS,
    "--looponfail": _WAITS,
    "--rsyncdir": _LOADS,
    "--css": _LOADS,
    "--metadata-from-json-file": _LOADS,
    "-c": _CONFIGURES,
    "--config-file": _CONFIGURES,
    "--rootdir": _CONFIGURES,
    "--confcutdir": _CONFIGURES,
    "-o": _CONFIGURES,
    "--override-ini": _CONFIGURES,
    "--pdb": _WAITS,
    "--pdbcls": _LOADS,
    "--trace": _WAITS,
    "--basetemp": _WRITES,
    "--junitxml": _WRITES,
    "--junit-xml": _WRITES,
    "--log-file": _WRITES,
    "--log-file-mode": _WRITES,
    "--debug": _WRITES,
    "--cache-clear": _WRITES,
    "--resultlog": _WRITES,
    "--result-log": _WRITES,
    "--report-log": _WRITES,
    "--alluredir": _WRITES,
    "--json-report-file": _WRITES,
    "--cov-report": _WRITES,
    "--cov-config": _CONFIGURES,
    "--html": _FRAMEWORK,
    "--rack-file": _FRAMEWORK,
    "--pastebin": _SENDS,
    "-h": _NO_TEST,
    "--help": _NO_TEST,
    "-V": _NO_TEST,
    "--version": _NO_TEST,
    "--fixtures": _NO_TEST,
    "--funcargs": _NO_TEST,
    "--fixtures-per-test": _NO_TEST,
    "--markers": _NO_TEST,
    "--cache-show": _NO_TEST,
}
"""Options that no operator can allow, with the reasons."""
