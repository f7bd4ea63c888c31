import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SUITE = """
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


@pytest.fixture(scope="session")
def real_report(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """Return a function that runs the suite with a real pytest and pytest-html, and gives the report's bytes."""
    directory = tmp_path_factory.mktemp("suite")
    (directory / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (directory / "test_cli.py").write_text(SUITE, encoding="utf-8")
    (directory / "test_broken.py").write_text("import no_such_module\n", encoding="utf-8")
    written: dict[tuple[str, ...], bytes] = {}

    def run(*options: str) -> bytes:
        if options not in written:
            written[options] = _run(directory, options)
        return written[options]

    return run


@pytest.fixture(scope="session")
def line_of() -> Callable[[str], int]:
    """Return a function that gives the number of the suite's only line that holds a text."""

    def find(text: str) -> int:
        (number,) = (number for number, line in enumerate(SUITE.split("\n"), start=1) if text in line)
        return number

    return find


def _run(directory: Path, options: tuple[str, ...]) -> bytes:
    report = directory / "report.html"
    report.unlink(missing_ok=True)
    # Nothing of the run that tests this may reach the run that is tested: plug-ins, options, coverage.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV_"))}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    plugins = ("-p", "pytest_html.plugin", "-p", "pytest_metadata.plugin", "-p", "no:cacheprovider")
    command = (
        sys.executable,
        "-m",
        "pytest",
        *plugins,
        f"--html={report}",
        "--continue-on-collection-errors",
        *options,
    )
    ended = subprocess.run(command, cwd=directory, env=environment, capture_output=True, timeout=60, check=False)
    assert ended.returncode == 1, ended.stdout.decode() + ended.stderr.decode()
    return report.read_bytes()
