import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import markupsafe
import pytest
import stamina
from pydantic import JsonValue

from tests.support.process import hosted
from tests.support.world import World, collected_tree, open_world


@pytest.fixture(scope="session")
def tree() -> JsonValue:
    return collected_tree()


@pytest.fixture
async def world(tmp_path: Path, tree: JsonValue) -> AsyncIterator[World]:
    async with hosted(open_world(tmp_path, tree=tree)) as opened:
        yield opened


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Retries keep their number but do not wait."""
    with stamina.set_testing(True, attempts=10, cap=True):
        yield


@pytest.fixture
def report_html() -> Callable[[Sequence[tuple[str, str, str]]], str]:
    """Make a pytest-html report of rows: test id, result, log."""

    def make(rows: Sequence[tuple[str, str, str]]) -> str:
        tests: dict[str, list[dict[str, object]]] = {}
        for test_id, result, log in rows:
            cells = [f'<td class="col-result">{result}</td>', f'<td class="col-testId">{test_id}</td>']
            row: dict[str, object] = {
                "extras": [],
                "result": result,
                "testId": test_id,
                "resultsTableRow": cells,
                "log": log,
            }
            tests.setdefault(test_id, []).append(row)
        data = {"environment": {}, "tests": tests, "renderCollapsed": ["passed"], "initialSort": "result", "title": ""}
        return f'<html><div id="data-container" data-jsonblob="{markupsafe.escape(json.dumps(data))}"></div></html>'

    return make
