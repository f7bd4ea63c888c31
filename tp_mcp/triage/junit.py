"""JUnit XML of a run's tests, in the form that pytest writes and CI servers read.

    <testsuites><testsuite name tests failures errors skipped time timestamp>
      <testcase classname="Tests_CLI.test_a.TestA" name="test_x[1]" time>  <failure message>the log</failure>

As in pytest, an expected failure counts as skipped and an unexpected pass as passed. An earlier attempt of a rerun test
is not a test case; the property `reruns` counts these attempts.
"""

import re
from collections.abc import Callable, Sequence
from xml.etree import ElementTree

from tp_mcp.triage.failing_line import failing_line
from tp_mcp.triage.test_report import ReportedTest

# XML 1.0, section 2.2: characters outside Char, which cannot be escaped in a document.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SKIPPED = re.compile(r"\('.*', \d+, ['\"](?:Skipped: )?(.*)['\"]\)\s*", re.DOTALL)

Clean = Callable[[str], str]


def junit_xml(
    tests: Sequence[ReportedTest],
    *,
    name: str,
    timestamp: str,
    properties: Sequence[tuple[str, str]] = (),
    clean: Clean = str,
) -> bytes:
    """Return the XML document, in UTF-8.

    Args:
        timestamp: start time, in ISO 8601; empty if unknown.
        properties: names and values of properties of the suite. Characters that XML forbids are removed everywhere.
        clean: removes secrets from a text of the report.
    """

    def allowed(text: str) -> str:
        return _FORBIDDEN.sub("", clean(text))

    cases = [test for test in tests if test.outcome != "rerun"]
    seconds = sum(test.duration_seconds or 0.0 for test in tests)
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(test.outcome == "failed" for test in cases)),
        "errors": str(sum(test.outcome == "error" for test in cases)),
        "skipped": str(sum(test.outcome in {"skipped", "xfailed"} for test in cases)),
        "time": f"{seconds:.3f}",
    }
    root = ElementTree.Element("testsuites", {"name": "tp-mcp"})
    suite = ElementTree.SubElement(root, "testsuite", {"name": allowed(name), **counts})
    if timestamp:
        suite.set("timestamp", timestamp)
    reruns = len(tests) - len(cases)
    children = ElementTree.SubElement(suite, "properties")
    for key, value in (*properties, *((("reruns", str(reruns)),) if reruns else ())):
        ElementTree.SubElement(children, "property", {"name": allowed(key), "value": allowed(value)})
    for test in cases:
        _add(suite, test, allowed)
    ElementTree.indent(root)
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _add(suite: ElementTree.Element, test: ReportedTest, allowed: Clean) -> None:
    class_name, name = _names(test.test_id)
    case = ElementTree.SubElement(suite, "testcase", {"classname": allowed(class_name), "name": allowed(name)})
    if test.duration_seconds is not None:
        case.set("time", f"{test.duration_seconds:.3f}")
    kind: dict[str, str] = {}
    match test.outcome:
        case "failed":
            tag, message = "failure", _message(test)
        case "error":
            where = "collection failure" if test.phase == "collect" else f"failed on {test.phase}"
            tag, message = "error", f'{where} with "{_message(test)}"'
        case "skipped":
            found = _SKIPPED.match(test.log)
            tag, message, kind = "skipped", found[1] if found else _message(test), {"type": "pytest.skip"}
        case "xfailed":
            tag, message, kind = "skipped", _message(test), {"type": "pytest.xfail"}
        case _:
            return
    ElementTree.SubElement(case, tag, {**kind, "message": allowed(message)}).text = allowed(test.log)


def _message(test: ReportedTest) -> str:
    line = failing_line(test)
    return line.message if line is not None else test.log.strip().split("\n", 1)[0]


def _names(test_id: str) -> tuple[str, str]:
    """Return class name and name of a test, as pytest does."""
    plain, bracket, parameters = test_id.partition("[")
    path, *names = plain.split("::")
    dotted = path.removesuffix(".py").replace("/", ".")
    if not names:
        # A file that pytest could not collect.
        return "", dotted + bracket + parameters
    return ".".join([dotted, *names[:-1]]), names[-1] + bracket + parameters
