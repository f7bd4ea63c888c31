"""Failures that nobody looked at while the rules were written: faults put by chance into libraries that have tests.

Each library is got from the package index as its authors released it. A fault goes into one function, drawn by a seed:
it returns nothing, raises, decides the other way round, or counts one further. What a fault breaks alone tells which
failures are its own where several are in one run. A fault that breaks nothing, or nearly everything, is no cause to
tell from others and is not used.
"""

import ast
import random
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tp_mcp.errors import ReportError
from tp_mcp.triage.report_parser import Report, parse_report

LIBRARIES = (("netaddr", "1.3.0", "netaddr"), ("humanize", "4.9.0", "src/humanize"))
SEED = 20_260_529
TRIED_OF_LIBRARY = 60
CAUSES_OF_LIBRARY = 12
CAUSES_OF_RUN = 4
FEWEST_BROKEN = 2
LARGEST_SHARE_BROKEN = 0.4
RUN_SECONDS = 120
AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class Fault:
    """A change of one function.

    Attributes:
        path: its module, below the library.
        line: where the function begins.
        kind: what is changed.
    """

    path: str
    line: int
    kind: str

    def applied(self, tree: ast.Module) -> ast.Module:
        """Return the module with the fault in it; as it was where there is nothing to change."""
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.lineno == self.line:
                _break(node, self.kind)
        return ast.fix_missing_locations(tree)


KINDS = ("returns nothing", "raises", "decides otherwise", "counts further")


def _break(function: ast.FunctionDef, kind: str) -> None:
    if kind == "returns nothing":
        function.body = [ast.Return(ast.Constant(None))]
    elif kind == "raises":
        message = ast.Constant(f"{function.name} met a state it does not know")
        error = ast.Call(ast.Name("RuntimeError", ast.Load()), [message], [])
        function.body = [ast.Raise(error, None)]
    elif kind == "decides otherwise":
        decision = next((node for node in ast.walk(function) if isinstance(node, ast.If)), None)
        if decision is not None:
            decision.test = ast.UnaryOp(ast.Not(), decision.test)
    else:
        number = next((node for node in ast.walk(function) if _is_number(node)), None)
        if isinstance(number, ast.Constant) and isinstance(number.value, int):
            number.value += 1


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int


class Library:
    """A released library, its tests, and copies with faults in them."""

    def __init__(self, name: str, version: str, package: str, directory: Path) -> None:
        """Get the release.

        Raises:
            subprocess.CalledProcessError: the package index does not give it.
        """
        got = directory / name
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", str(got)]
        subprocess.run([*command, f"{name}=={version}"], check=True, capture_output=True)
        with tarfile.open(next(got.glob("*.tar.gz"))) as archive:
            archive.extractall(got, filter="data")
        self._root = next(path for path in got.iterdir() if path.is_dir())
        self._package = package
        self._directory = directory

    def faults(self) -> Iterator[Fault]:
        """Return every fault that there can be, in an order drawn by the seed."""
        found = []
        for path in sorted((self._root / self._package).rglob("*.py")):
            if "test" in str(path.relative_to(self._root)):
                continue
            tree = ast.parse(path.read_text("utf-8"))
            found += [
                Fault(str(path.relative_to(self._root)), node.lineno, kind)
                for node in ast.walk(tree)
                if isinstance(node, ast.FunctionDef)
                for kind in KINDS
            ]
        random.Random(SEED).shuffle(found)  # noqa: S311 -- draws faults, guards nothing
        yield from found

    def report(self, faults: Sequence[Fault], name: str) -> Report | None:
        """Return the report of a run of the tests with faults put in; None where there is none."""
        copy = self._directory / f"run-{self._root.name}-{name}"
        shutil.copytree(self._root, copy)
        for path in {fault.path for fault in faults}:
            tree = ast.parse((copy / path).read_text("utf-8"))
            for fault in faults:
                if fault.path == path:
                    tree = fault.applied(tree)
            (copy / path).write_text(ast.unparse(tree), "utf-8")
        report = copy / "report.html"
        own = ["-c", "/dev/null", f"--rootdir={copy}", "-p", "no:cacheprovider", "-q", "--import-mode=importlib"]
        tests = next(path for path in (copy / "tests", copy / self._package / "tests") if path.exists())
        command = [sys.executable, "-m", "pytest", *own, f"--html={report}", "--self-contained-html", str(tests)]
        try:
            source = str((copy / self._package).parent)
            environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": source}
            subprocess.run(command, cwd=copy, env=environment, capture_output=True, timeout=RUN_SECONDS, check=False)
            return parse_report(report.read_bytes())
        except (subprocess.TimeoutExpired, FileNotFoundError, ReportError):
            return None
        finally:
            shutil.rmtree(copy)


def unseen_runs(directory: Path) -> Iterator[tuple[Report, dict[str, str]]]:
    """Return runs with several faults each, and the fault that each failing test is known to be broken by."""
    for name, version, package in LIBRARIES:
        library = Library(name, version, package, directory)
        sound = library.report((), "sound")
        if sound is None:
            raise RuntimeError(f"the tests of {name} cannot be run")
        always = {test.test_id for test in sound.failures}
        causes = _causes(library, always, tests=len(sound.tests))
        for start in range(0, len(causes), CAUSES_OF_RUN):
            together = dict(list(causes.items())[start : start + CAUSES_OF_RUN])
            report = library.report(tuple(together), f"together-{start}")
            if report is None:
                continue
            known = {}
            for test in report.failures:
                broken_by = [fault for fault, broken in together.items() if test.test_id in broken]
                if len(broken_by) == 1 and test.test_id not in always:
                    known[test.test_id] = f"{name} {broken_by[0]}"
            yield report, known


def _causes(library: Library, always: set[str], *, tests: int) -> dict[Fault, frozenset[str]]:
    """Return the first faults that break something, but not nearly everything, with the tests that they break."""
    tried = [fault for fault, _ in zip(library.faults(), range(TRIED_OF_LIBRARY), strict=False)]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        reports = threads.map(lambda each: library.report((each[1],), str(each[0])), enumerate(tried))
        causes: dict[Fault, frozenset[str]] = {}
        for fault, report in zip(tried, reports, strict=True):
            if report is None:
                continue
            broken = frozenset(test.test_id for test in report.failures) - always
            if FEWEST_BROKEN <= len(broken) <= LARGEST_SHARE_BROKEN * tests and len(causes) < CAUSES_OF_LIBRARY:
                causes[fault] = broken
    return causes
