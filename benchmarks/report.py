"""`python -m benchmarks.report`: reading reports of 100 MB and 50,000 tests, of both generations of pytest-html.

Two large reports are made of the rows of real ones. Reading generation 4 is held against `json.loads` of its data,
which has been taken out of the file and decoded before; reading generation 3 against `html.parser` going over it with
nothing to do. Both floors are measured in the same process, in turn with ours, and the best times are compared; at most
1.5 is wanted. The memory is that of a process of its own which reads the file by its path: its peak above the start, as
a multiple of the file; at most 3 is wanted. BeautifulSoup gets a tenth of each file, and so do we for that comparison.
"""

import gc
import html
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

from bs4 import BeautifulSoup

from tp_mcp.triage.report_parser import parse_report

FIXTURES = Path(__file__).parents[1] / "tests" / "triage" / "fixtures"
SOURCES = {3: FIXTURES / "3.2-self-contained.html", 4: FIXTURES / "4.1-self-contained.html"}
TESTS = 50_000
MEGABYTES = 100
PART = 10
ROUNDS = {3: 3, 4: 9}
LINE = (
    "INFO     fswlib.cli:cli.py:41 10.15.52.152 # show switch vlan {} -> port3 is up, tagged, name 'corp' <ok> & done\n"
)
KILOBYTE = 1_024


def main() -> None:
    """Make the reports, measure, and print."""
    if sys.argv[1:2] == ["--memory"]:
        print(_peak_of_reading(Path(sys.argv[2])))
        return
    with tempfile.TemporaryDirectory() as directory:
        for generation in (4, 3):
            path = Path(directory) / f"{generation}.html"
            path.write_text(large_report(generation, TESTS, MEGABYTES * 1_000_000), encoding="utf-8")
            _time(generation, path.read_bytes())
            _memory(path)
            small = large_report(generation, TESTS // PART, MEGABYTES * 1_000_000 // PART).encode()
            _against_soup(generation, small)


def large_report(generation: int, tests: int, size: int) -> str:
    """Return a report of so many tests and about so many bytes, its rows those of a real one with longer logs."""
    source = SOURCES[generation].read_text(encoding="utf-8")
    return _large_4(source, tests, size) if generation == 4 else _large_3(source, tests, size)


def _large_4(source: str, tests: int, size: int) -> str:
    found = _blob(source)
    data = json.loads(html.unescape(found[1]))
    rows = [(key, row) for key, rows in data["tests"].items() for row in rows]
    longer = html.escape(_lines(max(size // tests - len(found[1]) // len(rows), 0)))
    written: dict[str, list[dict[str, object]]] = {}
    for number in range(tests):
        key, row = rows[number % len(rows)]
        test_id = f"Tests_CLI/area{number % 50}/{number}/{key}"
        row_id = f"Tests_CLI/area{number % 50}/{number}/{row['testId']}"
        written[test_id] = [{**row, "testId": row_id, "log": row["log"] + longer}]
    blob = html.escape(json.dumps({**data, "tests": written}), quote=False).replace("'", "&#39;").replace('"', "&#34;")
    return source[: found.start(1)] + blob + source[found.end(1) :]


def _large_3(source: str, tests: int, size: int) -> str:
    begin, end = source.index("<tbody"), source.rindex("</tbody>") + len("</tbody>")
    rows = re.findall(r"<tbody.*?</tbody>", source[begin:end], re.DOTALL)
    longer = html.escape(_lines(max(size // tests - (end - begin) // len(rows), 0))) + "</div></td></tr></tbody>"
    written = (
        rows[number % len(rows)]
        .replace('"col-name">', f'"col-name">Tests_CLI/area{number % 50}/{number}/')
        .replace("</div></td></tr></tbody>", longer)
        for number in range(tests)
    )
    return source[:begin] + "\n      ".join(written) + source[end:]


def _lines(size: int) -> str:
    # Short of the size: escaping makes it longer.
    return "".join(LINE.format(number) for number in range(round(size / len(html.escape(LINE)))))


def _blob(source: str) -> re.Match[str]:
    found = re.search(r'data-jsonblob="([^"]*)"', source)
    if found is None:
        raise RuntimeError("there is no data in the report")
    return found


def _time(generation: int, document: bytes) -> None:
    floor: Callable[[], object]
    if generation == 4:
        data = html.unescape(_blob(document.decode())[1])
        name, floor = f"json.loads of its {len(data) / 1e6:.0f} MB of data", lambda: json.loads(data)
    else:
        text = document.decode()
        name, floor = "a bare pass of html.parser", lambda: _bare_pass(text)
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(ROUNDS[generation]):
        bare.append(_seconds(floor))
        ours.append(_seconds(lambda: parse_report(document)))
    report = parse_report(document)
    ratio = min(ours) / min(bare)
    print(
        f"generation {generation}: {len(document) / 1e6:.0f} MB, {len(report.tests):,} rows, {report.left_out} left out"
    )
    print(f"  reading it {min(ours):.2f} s, {name} {min(bare):.2f} s: ratio {ratio:.2f}")


def _memory(path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.report", "--memory", str(path)]
    peak = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"  peak memory above the start {peak / 1e6:.0f} MB: {peak / path.stat().st_size:.2f} times the file")


def _against_soup(generation: int, document: bytes) -> None:
    ours = min(_seconds(lambda: parse_report(document)) for _ in range(5))
    soup = _seconds(lambda: _soup_rows(generation, document))
    print(f"  a tenth of it: BeautifulSoup {soup:.2f} s, ours {ours:.3f} s: {soup / ours:.0f} times as long")


def _soup_rows(generation: int, document: bytes) -> list[tuple[str, str]]:
    soup = BeautifulSoup(document, "html.parser")
    if generation == 4:
        container = soup.select_one("#data-container")
        tests = json.loads(str(container["data-jsonblob"]))["tests"] if container else {}
        return [(key, row["result"]) for key, rows in tests.items() for row in rows]
    found = soup.select("tbody.results-table-row")
    return [(row.select(".col-name")[0].text, row.select(".col-result")[0].text) for row in found]


def _bare_pass(text: str) -> None:
    parser = HTMLParser()
    parser.feed(text)
    parser.close()


def _seconds(work: Callable[[], object]) -> float:
    gc.collect()
    began = time.perf_counter()
    result = work()
    took = time.perf_counter() - began
    # What freeing takes is not part of reading.
    del result
    return took


def _peak_of_reading(path: Path) -> int:
    start = _memory_of("VmRSS")
    report = parse_report(path)
    if not report.tests:
        raise RuntimeError("the report has no tests")
    return _memory_of("VmHWM") - start


def _memory_of(name: str) -> int:
    found = re.search(rf"^{name}:\s*(\d+) kB$", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"this system does not tell a process's {name}")
    return int(found[1]) * KILOBYTE


if __name__ == "__main__":
    main()
