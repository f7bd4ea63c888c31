import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tp_mcp.triage.junit import junit_xml
from tp_mcp.triage.report_parser import ReportedTest, parse_report

Case = tuple[str, str, str]
ATTRIBUTES = {
    "testsuites": {"name"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    "properties": set[str](),
    "property": {"name", "value"},
    "testcase": {"classname", "name", "time"},
    "failure": {"message"},
    "error": {"message"},
    "skipped": {"message", "type"},
}
"""What the elements have that Jenkins, GitLab and pytest itself know of."""


def read(*tests: ReportedTest, name: str = "suite") -> ElementTree.Element:
    return ElementTree.fromstring(junit_xml(tests, name=name, timestamp="2026-05-28T18:14:19+00:00"))


def cases(root: ElementTree.Element) -> Counter[Case]:
    found: Counter[Case] = Counter()
    for case in root.iter("testcase"):
        kinds = [each.tag for each in case if each.tag in {"failure", "error", "skipped"}] or ["passed"]
        found.update((case.get("classname", ""), case.get("name", ""), kind) for kind in kinds)
    return found


def test_it_has_the_same_cases_as_the_one_that_pytest_writes_of_the_same_run(
    real_report: Callable[..., bytes], tmp_path: Path
) -> None:
    path = tmp_path / "junit.xml"
    document = real_report("--self-contained-html", f"--junit-xml={path}")
    pytests = ElementTree.parse(path).getroot()
    ours = ElementTree.fromstring(junit_xml(parse_report(document).tests, name="pytest", timestamp=""))
    # A teardown that fails after a pass: pytest lets the error stand for both, the report has a row for each.
    passed_first = ("test_cli", "test_teardown", "passed")
    assert cases(ours) - Counter([passed_first]) == cases(pytests)
    for attribute in ("failures", "errors", "skipped"):
        [suite] = ours.iter("testsuite")
        [other] = pytests.iter("testsuite")
        assert suite.get(attribute) == other.get(attribute), attribute


def test_messages_are_the_lines_that_failed(real_report: Callable[..., bytes]) -> None:
    root = read(*parse_report(real_report("--self-contained-html")).tests)
    said = {case.get("name", ""): case[0].get("message") for case in root.iter("testcase") if len(case)}
    assert said["test_deep"] == 'AssertionError: state & "more"'
    assert said["test_setup"] == 'failed on setup with "OSError: no device"'
    assert said["test_teardown"] == 'failed on teardown with "OSError: lost device"'
    assert said["test_broken"] == "collection failure with \"ModuleNotFoundError: No module named 'no_such_module'\""
    assert said["test_skip"] == "later"
    [deep] = (case for case in root.iter("testcase") if case.get("name") == "test_deep")
    assert 'E       AssertionError: state & "more"' in (deep[0].text or "")


def test_every_element_and_attribute_is_one_that_is_known(real_report: Callable[..., bytes]) -> None:
    root = read(*parse_report(real_report("--self-contained-html")).tests)
    for element in root.iter():
        assert set(element.attrib) <= ATTRIBUTES[element.tag], element.tag
    [suite] = root
    assert [len(list(root.iter("testcase")))] == [int(suite.get("tests", ""))]
    assert re.fullmatch(r"\d+\.\d{3}", suite.get("time", ""))


def test_a_test_that_was_run_again_is_one_case_and_its_attempts_are_counted() -> None:
    rerun = ReportedTest("a.py::t", "rerun", "call", 0.5)
    root = read(ReportedTest("a.py::t", "passed", "call", 0.25), rerun, rerun)
    assert cases(root) == Counter([("a", "t", "passed")])
    assert [(each.get("name"), each.get("value")) for each in root.iter("property")] == [("reruns", "2")]
    assert root[0].get("time") == "1.250"


@pytest.mark.parametrize(
    ("test_id", "names"),
    [
        ("Tests_CLI/a/test_b.py::TestC::test_d[x/y.py::z[1]]", ("Tests_CLI.a.test_b.TestC", "test_d[x/y.py::z[1]]")),
        ("test_b.py::test_d", ("test_b", "test_d")),
        ("Tests_CLI/test_b.py", ("", "Tests_CLI.test_b")),
    ],
)
def test_names_are_pytest_s_own(test_id: str, names: tuple[str, str]) -> None:
    [case] = read(ReportedTest(test_id, "passed", "call", None)).iter("testcase")
    assert (case.get("classname"), case.get("name")) == names
    assert case.get("time") is None


def test_what_must_not_be_shown_is_taken_out_of_every_text() -> None:
    test = ReportedTest("a.py::t[s3cret]", "failed", "call", 0.1, "E   login: s3cret\n\na.py:1: Error")
    document = junit_xml([test], name="s3cret", timestamp="", clean=lambda text: text.replace("s3cret", "***"))
    assert b"s3cret" not in document
    assert document.count(b"***") == 4


OUTCOMES = st.sampled_from(["passed", "failed", "error", "skipped", "xfailed", "xpassed", "rerun"])


@given(st.text(), st.text(), OUTCOMES)
def test_any_id_and_any_log_give_a_document_that_can_be_read(test_id: str, log: str, outcome: str) -> None:
    test = ReportedTest(test_id, outcome, "call", 0.1, log)  # type: ignore[arg-type] # one of the outcomes
    root = read(test, name=log.encode("utf-8", "replace").decode())
    assert len(list(root.iter("testcase"))) == (outcome != "rerun")


def test_what_xml_forbids_is_left_out() -> None:
    test = ReportedTest("a.py::t[\x00]", "failed", "call", 0.1, "E   a\x00b\x1b\ufffe\ud800c\n\U0001f600")
    [case] = read(test).iter("testcase")
    assert case.get("name") == "t[]"
    assert case[0].text == "E   abc\n\U0001f600"
