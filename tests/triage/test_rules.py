import re
from collections import Counter

import pytest

from tests.triage.rows import failing, failure
from tp_mcp.triage.rules import RULES, Decision, Kind, decide


@pytest.mark.parametrize(
    ("message", "kind", "rule"),
    [
        ("NameError: name 'x' is not defined", Kind.TEST, "test-code"),
        ("ModuleNotFoundError: No module named 'x'", Kind.TEST, "test-import"),
        ("fixture 'hub' not found", Kind.TEST, "test-fixture-missing"),
        ("TypeError: f() takes 1 positional argument but 2 were given", Kind.TEST, "test-call"),
        ("AttributeError: 'NoneType' object has no attribute 'group'", Kind.TEST, "test-attribute"),
        ("GeneratorError: traffic generator at 10.1.1.1 is silent", Kind.ENVIRONMENT, "lab-equipment"),
        ("gaierror: [Errno -2] Name or service not known", Kind.ENVIRONMENT, "dns"),
        ("AuthenticationException: Authentication failed.", Kind.ENVIRONMENT, "ssh-login"),
        ("SSHException: Error reading SSH protocol banner", Kind.ENVIRONMENT, "ssh"),
        ("ConsoleClosed: the appliance closed the console", Kind.ENVIRONMENT, "device-away"),
        ("ConnectionRefusedError: [Errno 111] Connection refused", Kind.ENVIRONMENT, "connection"),
        ("HubUnreachable: no selenium hub in the rack file", Kind.ENVIRONMENT, "browser-hub"),
        ("OSError: [Errno 28] No space left on device", Kind.ENVIRONMENT, "disk-full"),
        ("RuntimeError: the licence server gave none", Kind.ENVIRONMENT, "licence-server"),
        ("AssertionError: stpd: segmentation fault, core dumped", Kind.PRODUCT, "product-crash"),
        ("CommandError: 'show x' failed with code -61", Kind.PRODUCT, "product-refusal"),
        ("AssertionError: assert not ['level=critical daemon=x']", Kind.PRODUCT, "product-critical-log"),
        ("TimeoutError: timed out", Kind.ENVIRONMENT, "timeout"),
        ("KeyError: 'System name'", Kind.TEST, "unreadable-output"),
        ("AssertionError: assert 1 == 2", Kind.PRODUCT, "failed-check"),
        ("Failed: no user monitor", Kind.PRODUCT, "failed-check"),
        ("SomethingOdd: happened", Kind.UNKNOWN, ""),
    ],
)
def test_a_kind_is_told_by_a_rule_with_a_name(message: str, kind: Kind, rule: str) -> None:
    decision = decide(failure(failing("t.py::test_it", message)))
    assert (decision.kind, decision.rule) == (kind, rule)
    assert decision.line == ("" if kind is Kind.UNKNOWN else message)


def test_the_line_that_decided_may_be_in_the_output() -> None:
    test = failing("t.py::test_it", "Odd: x", captured="fine\nkernel panic - not syncing\nfine")
    assert decide(failure(test)) == Decision(Kind.PRODUCT, "product-crash-in-log", "kernel panic - not syncing")


def test_the_place_decides_where_the_words_do_not() -> None:
    assert decide(failure(failing("t.py::test_it", "Odd: x", phase="setup"))).rule == "fixture-setup"
    assert decide(failure(failing("t.py", "Odd: x", phase="collect"))).rule == "collection"


def test_every_rule_has_a_name_of_its_own_and_a_pattern_that_works() -> None:
    assert max(Counter(rule.name for rule in RULES).values()) == 1
    assert all(re.compile(pattern) for rule in RULES for pattern in rule.patterns)
