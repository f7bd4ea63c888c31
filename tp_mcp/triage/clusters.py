"""Clusters of failures that share a reason.

Failures are joined

1. if exception and masked message are equal; if the message has too few words of its own, the deepest frame in the
   tests' own code must be equal too;
2. if the same test, whatever its parameters, failed with the same message apart from quoted text; or if any test did,
   and the message ends in a reason after a colon that quotes nothing: "'show vlan' failed: certificate has expired";
3. if their messages quote the same line of trouble, or match a rule whose matches share one reason;
4. if a message has too few words of its own, but the test's output contains a line of trouble that exactly one cluster
   quotes.

A line of trouble has enough words, one of them a word for trouble, and no passing test of the run wrote it. Clustering
is deterministic: the same report gives the same clusters.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tp_mcp.triage.report_parser import ReportedTest
from tp_mcp.triage.rules import Decision, Kind, decide
from tp_mcp.triage.signature import Failure, Signature, failures_of, mask, without_parameters, without_quoted
from tp_mcp.triage.traceback import CAPTURED_MAX_CHARACTERS

TELLING_MIN_WORDS = 3
"""Words of its own that a message needs to identify a reason without its location."""

TROUBLE_MIN_WORDS = 3
"""Words of its own that a line of trouble needs; a shorter one could belong to any trouble."""

REASON_MIN_WORDS = 2
"""Words of its own that the text after a colon needs to identify a reason."""

PASSING_TESTS_LOOKED_AT = 300
"""Number of passing tests whose output counts as normal."""

COLONS_MAX = 4
"""Number of colons in a line after which quoted text of another program may begin."""

OUTPUT_MAX_LINES = 400
"""Number of lines at the end of a test's output that are searched."""

FAILURES_MAX = 20_000
"""Limit of the clustered failures of a run."""

_TROUBLE = re.compile(
    r"err(?:or)?\b|fail|critical|alert|emerg|panic|fatal|refus|time[d ]?-?out|not (?:loaded|found|run|start|ready)"
    r"|unreach|denied|exception|cannot|could not|unable|lost|mismatch|corrupt|invalid|missing|exceed|abort|crash|leak"
    r"|reject|expired|stuck|dropped|\bdown\b|\bno \w|overflow|exhaust|unexpected|violat|bad\b|fault|abandon",
    re.IGNORECASE,
)
_ABOUT_THE_TEST = re.compile(
    r"screenshot|diagnostic|artifact|collecting|saving|saved|dumping |test (?:failed|case)|teardown|traceback|retry",
    re.IGNORECASE,
)
_LINES = re.compile(r"\\n|\n")
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")
_NAMES_WHAT_IS_MISSING = frozenset({"KeyError", "AttributeError", "NameError", "ImportError", "ModuleNotFoundError"})
_WORD = re.compile(r"[A-Za-z]{2,}")
_PLACEHOLDER = re.compile(r"<[a-z]+>")
_NO_WORDS = frozenset(
    {"assert", "assertionerror", "not", "is", "in", "and", "or", "none", "true", "false", "where", "len"}
)
_SAYS_NOTHING = frozenset(
    re.findall(
        r"\w+",
        """
        command cmd fail failed failure error errno code return returned status exit result output line
        the an at of on in to for with by from and or not no got but was were is are has had have
        expected should must be
        """,
    )
)
_LOG_PREFIX = re.compile(r"^(?:[A-Z]{4,8} [\w.-]+:[\w.-]+:<n> |<time> )+")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Failures that share a reason.

    Attributes:
        failures: failed rows, those with the most frequent signature first.
        signatures: signatures of the failures, the most frequent first.
        decision: kind of cause that most of the failures have.
        decided_by: failure whose line led to the decision.
        trouble: most informative line that most of the failures quote; empty if there is none.
    """

    failures: tuple[Failure, ...]
    signatures: tuple[Signature, ...]
    decision: Decision
    decided_by: Failure
    trouble: str

    @property
    def id(self) -> str:
        """Return the id of its most frequent signature."""
        return self.signatures[0].id

    @property
    def telling_line(self) -> str:
        """Return the most informative line of the first failure, unchanged. Data from outside."""
        failure = self.failures[0]
        lines = [line.strip() for line in failure.traceback.message.split("\n") if line.strip()]
        for line in lines[1:] if self.trouble else ():
            if self.trouble in map(_line, _parts(without_parameters(line, failure.test))):
                return line
        name = failure.traceback.exception
        return ": ".join(part for part in (name, *lines[:1]) if part) or "no message"

    @property
    def test_ids(self) -> tuple[str, ...]:
        """Return the ids of the tests, without duplicates."""
        return tuple(dict.fromkeys(failure.test.test_id for failure in self.failures))


class _Groups:
    """Disjoint sets (union-find)."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def of(self, index: int) -> int:
        while self._parent[index] != index:
            self._parent[index] = self._parent[self._parent[index]]
            index = self._parent[index]
        return index

    def join(self, indexes: Iterable[int]) -> None:
        first, *rest = [self.of(index) for index in indexes]
        for other in rest:
            self._parent[self.of(other)] = self.of(first)


def clusters_of(tests: Sequence[ReportedTest]) -> tuple[Cluster, ...]:
    """Return the clusters of a run, the largest first."""
    failures = failures_of(tests)[:FAILURES_MAX]
    if not failures:
        return ()
    written = _written_by_passing(tests)
    quoted = _quoted_trouble(failures, written)
    decisions = [decide(failure) for failure in failures]
    groups = _Groups(len(failures))
    for keys in (
        [_key(failure) for failure in failures],
        [_shape(failure) for failure in failures],
        [_reason(failure) for failure in failures],
        [decision.rule if decision.one_reason else None for decision in decisions],
    ):
        _join_equal(groups, keys)
    by_line: dict[str, list[int]] = defaultdict(list)
    for index, lines in enumerate(quoted):
        for line in lines:
            by_line[line].append(index)
    for indexes in by_line.values():
        groups.join(indexes)
    _join_silent(groups, failures, by_line, written)
    together: dict[int, list[int]] = defaultdict(list)
    for index in range(len(failures)):
        together[groups.of(index)].append(index)
    found = [
        _cluster([failures[index] for index in each], [decisions[index] for index in each], [quoted[i] for i in each])
        for each in together.values()
    ]
    return tuple(sorted(found, key=lambda cluster: (-len(cluster.failures), cluster.failures[0].test.test_id)))


def _join_equal(groups: _Groups, keys: Sequence[Hashable | None]) -> None:
    alike: dict[Hashable, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        if key is not None:
            alike[key].append(index)
    for indexes in alike.values():
        groups.join(indexes)


def _key(failure: Failure) -> Hashable:
    signature = failure.signature
    if signature.exception in _NAMES_WHAT_IS_MISSING or _is_telling(signature.message):
        return signature.exception, signature.message
    return signature.exception, signature.message, signature.frame or failure.function, signature.phase


def _shape(failure: Failure) -> Hashable:
    signature = failure.signature
    first = without_quoted(signature.message.split("\n", 1)[0])
    return failure.function, signature.exception, first, signature.frame


def _reason(failure: Failure) -> Hashable | None:
    """Return the failed action and its reason, without the quoted objects; None if the message has no such form."""
    what, _, why = without_quoted(failure.signature.message.split("\n", 1)[0]).partition(": ")
    if "<q>" not in what or "<q>" in why or _TROUBLE.search(what) is None:
        return None
    own = {word.lower() for word in _words(why)} - _SAYS_NOTHING
    return (failure.signature.exception, what, why) if len(own) >= REASON_MIN_WORDS else None


def _is_telling(message: str) -> bool:
    return len(_words(without_quoted(message))) >= TELLING_MIN_WORDS


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(_PLACEHOLDER.sub(" ", text)) if word.lower() not in _NO_WORDS]


def _quoted_trouble(failures: Sequence[Failure], written: Mapping[str, int]) -> list[tuple[str, ...]]:
    """Return the lines of trouble in each failure's message."""
    every = [dict.fromkeys(_message_lines(failure)) for failure in failures]
    counted = Counter(line for lines in every for line in lines)
    # A line that passing tests write more often than failing ones quote it is normal.
    return [tuple(line for line in lines if counted[line] > written.get(line, 0)) for lines in every]


def _message_lines(failure: Failure) -> Iterator[str]:
    for text in (failure.words, *failure.traceback.causes):
        for part in _parts(text):
            if _is_trouble(line := _line(part)):
                yield line


def _parts(text: str) -> Iterator[str]:
    """Yield each line of a text, and its parts that may be output of other programs: quotes, text after colons."""
    for line in _LINES.split(text):
        yield line
        for match in _QUOTED.finditer(line):
            yield from _LINES.split(match[1] or match[2] or "")
        rest = line
        for _ in range(COLONS_MAX):
            _, colon, rest = rest.partition(": ")
            if not colon:
                break
            yield rest


def _is_trouble(line: str) -> bool:
    if _TROUBLE.search(line) is None or _ABOUT_THE_TEST.search(line):
        return False
    return len({word.lower() for word in _words(line)} - _SAYS_NOTHING) >= TROUBLE_MIN_WORDS


def _line(text: str) -> str:
    return _LOG_PREFIX.sub("", mask(text)).strip(" .,:;()[]{}'\"")


def _output_lines(log: str) -> Iterator[str]:
    for line in log[-CAPTURED_MAX_CHARACTERS:].split("\n")[-OUTPUT_MAX_LINES:]:
        if _TROUBLE.search(line):
            yield from (_line(part) for part in _parts(line))


def _written_by_passing(tests: Sequence[ReportedTest]) -> Mapping[str, int]:
    """Return how many passing tests wrote each line, from a sample of them."""
    passing = [test for test in tests if test.outcome == "passed" and test.markup]
    step = max(len(passing) // PASSING_TESTS_LOOKED_AT, 1)
    return Counter(line for test in passing[::step] for line in set(_output_lines(test.log)))


def _join_silent(
    groups: _Groups, failures: Sequence[Failure], by_line: Mapping[str, list[int]], written: Mapping[str, int]
) -> None:
    """Join failures with an uninformative message to the only cluster that quotes a line of their output."""
    speaking = {index for indexes in by_line.values() for index in indexes}
    silent = [
        index
        for index, failure in enumerate(failures)
        if index not in speaking and not _is_telling(failure.signature.message)
    ]
    wrote = {
        index: [line for line in dict.fromkeys(_output_lines(failures[index].traceback.captured)) if _is_trouble(line)]
        for index in silent
    }
    counted = Counter(line for lines in wrote.values() for line in lines)
    unspoken: dict[str, list[int]] = defaultdict(list)
    for index, lines in wrote.items():
        meant = {groups.of(by_line[line][0]) for line in lines if line in by_line}
        own = [line for line in lines if counted[line] > written.get(line, 0)]
        if len(meant) == 1:
            groups.join((meant.pop(), index))
        elif not meant and own:
            # Nobody quotes it; failures with the same last line of trouble share a reason.
            unspoken[own[-1]].append(index)
    for indexes in unspoken.values():
        groups.join(indexes)


def _cluster(failures: Sequence[Failure], decisions: Sequence[Decision], trouble: Sequence[Sequence[str]]) -> Cluster:
    by_signature = Counter(failure.signature for failure in failures)
    order = {signature: place for place, (signature, _) in enumerate(by_signature.most_common())}
    rules = Counter(decision.rule for decision in decisions if decision.kind is not Kind.UNKNOWN)
    chosen = rules.most_common(1)[0][0] if rules else ""
    decided = next(index for index, decision in enumerate(decisions) if decision.rule == chosen)
    lines = Counter(line for each in trouble for line in each)
    half = [(line, count) for line, count in lines.items() if 2 * count >= len(failures)]
    return Cluster(
        failures=tuple(sorted(failures, key=lambda failure: order[failure.signature])),
        signatures=tuple(order),
        decision=decisions[decided],
        decided_by=failures[decided],
        trouble=max(half, key=lambda each: (each[1], len(each[0])))[0] if half else "",
    )
