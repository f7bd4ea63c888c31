"""A small suite of tests that end in every way there is, with odd words in every place."""

TESTS = """
import logging
import sys

import pytest

log = logging.getLogger("ssh")


class TestShow:
    def test_ok(self):
        print('hello <b>&amp; "x"</b> grün')

    @pytest.mark.parametrize("cmd", ["a b", "<td>x</td>", "ü-語", "a/b::c", "x'&amp;\\"y", "][", "&#34;"])
    def test_param(self, cmd):
        assert cmd != "<td>x</td>"


def helper(state):
    log.warning("in helper %s", state)
    assert state == {"port": "up <1>"}, 'state & "more"'


def test_deep():
    print("before")
    print("E   a line that only looks like an error", file=sys.stderr)
    helper({"port": "down"})


def test_compare():
    assert [1, 2, 3] == [1, 2, 4]


def test_chain():
    try:
        int("x")
    except ValueError as error:
        raise RuntimeError("outer\\nsecond line") from error


@pytest.fixture
def bad_setup():
    raise OSError("no device")


@pytest.fixture
def bad_teardown():
    yield
    print("closing")
    raise OSError("lost device")


def test_setup(bad_setup):
    pass


def test_teardown(bad_teardown):
    pass


def test_both(bad_teardown):
    assert 0


def test_missing(no_such_fixture):
    pass


@pytest.mark.skip(reason="later")
def test_skip():
    pass


@pytest.mark.xfail(reason="known")
def test_xfail():
    assert 0


@pytest.mark.xfail
def test_xpass():
    pass


@pytest.mark.xfail(strict=True, reason="must fail")
def test_strict():
    pass


def test_group():
    raise ExceptionGroup("several", [ValueError("a"), TypeError("b")])


def test_explicit():
    pytest.fail("explicit failure", pytrace=False)


def test_long_message():
    raise ValueError("x" * 5000)
"""

BROKEN = "import no_such_module\n"

ODD = """
import pytest

IDS = ["a::setup", "::teardown", "back\\\\slash", "tab\\tnew\\nline", '<tbody class="failed results-table-row">',
       '"></div><div id="data-container" data-jsonblob="{}">', "\\x1b[31mred", "}], {", "long" * 60, "emoji\\U0001f600"]


@pytest.mark.parametrize("text", IDS)
def test_odd(text):
    print(text)
    assert text != IDS[0]
"""

FLAKY = """
attempts = {"n": 0}


def test_flaky():
    attempts["n"] += 1
    print("attempt", attempts["n"])
    assert attempts["n"] > 1


def test_never():
    assert 0, "again"
"""

RECORDER = """
import json
from pathlib import Path

import pytest

records = []


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report):
    # Before the report's own plug-in, which changes what it is given.
    record(report)


@pytest.hookimpl(tryfirst=True)
def pytest_collectreport(report):
    if report.failed:
        record(report, when="collect")


def record(report, when=None):
    records.append({
        "id": report.nodeid,
        "when": when or report.when,
        "outcome": report.outcome,
        "xfail": hasattr(report, "wasxfail"),
        "longrepr": report.longreprtext[:200],
        "sections": [[name, text[:200]] for name, text in report.sections],
    })


def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        Path("recorded.json").write_text(json.dumps(records, indent=1), encoding="utf-8")
"""
"""What pytest itself says of each test, written beside the report: the truth that a reading is held against."""

COLUMNS_3 = """
import pytest
from py.xml import html
from pytest_html import extras


def pytest_html_results_table_header(cells):
    cells.insert(0, html.th("Device"))
    cells.insert(2, html.th("Description"))


def pytest_html_results_table_row(report, cells):
    cells.insert(0, html.td("AT16 <1>", class_="col-device"))
    cells.insert(2, html.td("what it does", class_="col-description"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    attached = '<table><tbody class="mine"><tr><td class="x">1</td></tr></tbody></table><div class="log">fake</div>'
    report.extra = [*getattr(report, "extra", []), extras.html(attached), extras.text("some text", name="note")]
"""

COLUMNS_4 = """
import pytest
import pytest_html


def pytest_html_results_table_header(cells):
    cells.insert(0, "<th>Device</th>")
    cells.insert(2, "<th>Description</th>")


def pytest_html_results_table_row(report, cells):
    cells.insert(0, '<td class="col-device">AT16 &lt;1&gt;</td>')
    cells.insert(2, '<td class="col-description">what it does</td>')


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    attached = '<table><tbody class="mine"><tr><td class="x">1</td></tr></tbody></table><div class="log">fake</div>'
    extras = [pytest_html.extras.html(attached), pytest_html.extras.text("some text", name="note")]
    report.extras = [*getattr(report, "extras", []), *extras]
"""
