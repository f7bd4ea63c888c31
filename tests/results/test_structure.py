"""What is cut stays what it is: JSON stays JSON, a code fence is closed, a traceback keeps its ends."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from tp_mcp.results.document import Document, ItemList, LogExcerpt, Paragraph
from tp_mcp.results.fit import render
from tp_mcp.results.limits import MINIMUM_LIMIT
from tp_mcp.results.log_excerpt import _MARKS, cut_log, telling_lines
from tp_mcp.results.structure import JSON_MINIMUM, closed, fit_json, room_to_close, shorten_structure
from tp_mcp.results.text import Size, size_of

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.text(max_size=40), inner, max_size=30),
    max_leaves=60,
)


@examples(300)
@given(
    JSON.filter(lambda value: isinstance(value, list | dict)), st.integers(JSON_MINIMUM, 3_000), st.integers(40, 5_000)
)
def test_any_json_within_any_limit_is_json_and_marked_where_it_was_cut(
    value: Any, characters: int, octets: int
) -> None:
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode()
    limit = Size(characters, octets)
    cut = shorten_structure(text, limit)
    assert limit.holds(size_of(cut))
    assert type(json.loads(cut)) is type(value)
    if json.loads(cut) != json.loads(text):
        assert "..." in cut
    elif limit.holds(size_of(text)):
        assert cut == text


def test_a_long_list_loses_its_tail_and_says_how_many() -> None:
    cut = fit_json(json.dumps([{"name": f"test_{number}", "ok": True} for number in range(5_000)]), Size(2_000, 2_000))
    assert cut is not None
    *items, mark = json.loads(cut)
    assert items[0] == {"name": "test_0", "ok": True}
    assert mark == f"[... {5_000 - len(items):,} more ...]"
    assert len(cut) > 900


def test_a_large_object_says_how_many_names_are_left_out_and_a_long_text_loses_its_middle() -> None:
    value = {"log": "a" * 5_000 + "z"} | {f"key {number}": number for number in range(2_000)}
    cut = fit_json(json.dumps(value), Size(1_500, 1_500))
    assert cut is not None
    shown = json.loads(cut)
    assert shown["log"].startswith("aaa")
    assert shown["log"].endswith("z")
    assert "characters left out" in shown["log"]
    assert shown["..."] == f"{2_001 - (len(shown) - 1):,} more"


@pytest.mark.parametrize(
    "text", ["no json", "{no json}", '{"half": ', "[" * 100_000, '["' + "9" * 50 + '"', "[NaN, 1e999]", '{"n": NaN}']
)
def test_what_only_looks_like_json_is_cut_as_text(text: str) -> None:
    assert fit_json(text, Size(60, 60)) is None


def test_json_without_room_is_cut_as_text() -> None:
    assert fit_json("[1, 2]", Size(JSON_MINIMUM - 1, 100)) is None
    assert fit_json("9" * 90, Size(JSON_MINIMUM, 100)) is None
    assert fit_json("[" + "9" * 4_000 + "]", Size(60, 60)) == '["[... 1 more ...]"]'


def test_json_in_a_log_in_a_list_and_in_a_paragraph_stays_json() -> None:
    value = {"results": [{"test": f"test_{number}", "why": "x" * 200} for number in range(500)]}
    text = json.dumps(value)
    sections = (
        Paragraph(text),
        ItemList("Items", (text,)),
        LogExcerpt("Log", text),
        LogExcerpt("Lines", f"{text}\n{text}"),
    )
    rendered = render(Document("Conclusion.", sections), max_characters=6_000, marker="3f9a3f9a3f9a3f9a")
    shown = [json.loads(found) for found in re.findall(r'^(?:- )?(\{"results".*\})$', rendered, re.MULTILINE)]
    assert len(shown) == 5
    assert all("more ...]" in str(each["results"][-1]) or "left out" in str(each) for each in shown)


@pytest.mark.parametrize("mark", ["```", "~~~~"])
def test_a_code_fence_that_lost_its_end_is_closed(mark: str) -> None:
    text = f"before\n{mark}python\n" + "code\n" * 500 + f"{mark}\nafter"
    for section in (Paragraph(text), LogExcerpt("Log", text), ItemList("Items", (text,))):
        rendered = render(Document("Conclusion.", (section,)), max_characters=1_200, marker="3f9a3f9a3f9a3f9a")
        assert len(rendered) <= 1_200
        assert closed(rendered) == rendered
        assert rendered.count(mark) == 2


def test_a_fence_is_closed_by_one_of_its_own_kind() -> None:
    assert closed("```\n~~~\ncode") == "```\n~~~\ncode\n```"
    assert closed("```\n``` not an end\ncode\n`````") == "```\n``` not an end\ncode\n`````"
    assert closed("no fence") == "no fence"
    assert room_to_close("no fence") == Size(0, 0)
    assert room_to_close("`````\ncode") == Size(6, 6)


@examples(100)
@given(
    st.lists(st.sampled_from(["```", "~~~", "```py", "text", "  ```", "語" * 30, "x" * 200]), max_size=60).map(
        "\n".join
    ),
    st.integers(MINIMUM_LIMIT, 2_000),
)
def test_fences_stay_closed_within_any_limit(text: str, limit: int) -> None:
    rendered = render(
        Document("Conclusion.", (LogExcerpt("Log", text),)), max_characters=limit, marker="3f9a3f9a3f9a3f9a"
    )
    assert len(rendered) <= limit
    if "left out" in rendered:
        body = rendered.partition("instructions)\n")[2].rpartition("\n")[0]
        assert closed(body) == body


FRAMES = [line for number in range(900) for line in (f'  File "deep.py", line {number}, in again', "    again()")]
RECURSION = [
    "Traceback (most recent call last):",
    '  File "main.py", line 3, in <module>',
    "    begin()",
    *FRAMES,
    '  File "cli.py", line 48, in run',
    "    raise CommandError(code)",
    "CommandError: code -61",
]
NOISE = [f"DEBUG keepalive {number}" for number in range(500)]


@pytest.mark.parametrize("lead", ["", "    ", "  | "])
def test_a_traceback_keeps_its_error_and_its_first_and_last_frames(lead: str) -> None:
    cut = cut_log("\n".join(["starting", *(lead + line for line in RECURSION), *NOISE]), Size(1_500, 1_500))
    for expected in (*RECURSION[:3], *RECURSION[-3:]):
        assert f"\n{lead}{expected}\n" in cut
    assert "left out" in cut


def test_what_a_logger_puts_before_a_traceback_is_no_part_of_it() -> None:
    cut = cut_log("\n".join(["ERROR:root:" + RECURSION[0], *RECURSION[1:], *NOISE]), Size(1_500, 1_500))
    assert all(expected in cut for expected in (*RECURSION[1:3], *RECURSION[-3:]))


def test_a_failure_of_pytest_keeps_its_error_and_its_first_and_last_place() -> None:
    frames = [line for number in range(300) for line in (f"lib/deep.py:{number}: in again", "    again()", "_ _ _ _ _")]
    failure = ["____ test_radius ____", "", "tests/test_radius.py:12: in test_radius", "    run()", *frames]
    failure += ["E   CommandError: code -61", "E   and more", "", "lib/cli.py:48: CommandError"]
    around = ["noise"] * 300, ["---- Captured log ----", *(["noise ERROR"] * 300), "==== 1 failed ===="]
    cut = cut_log("\n".join([*around[0], *failure, *around[1]]), Size(1_200, 1_200))
    for expected in (failure[0], failure[2], *failure[-4:-2], failure[-1], "==== 1 failed ===="):
        assert expected in cut


def test_lines_are_told_in_the_order_of_what_they_tell() -> None:
    traceback = ["Traceback (most recent call last):", '  File "a.py", line 1, in f', "ValueError: x"]
    assert telling_lines(["an error here", *traceback, "INFO: fine"]) == [3, 1, 2, 0]
    assert telling_lines(traceback[:2]) == [0, 1]
    assert telling_lines(traceback[:1]) == [0]
    assert telling_lines(["fine"]) == []


@given(
    st.lists(
        st.sampled_from(["E   x", "> x", "=== a ===", "___ test_a ___", "a.py:3: x", "xerror", "fine", *RECURSION[:4]])
    )
)
def test_a_line_that_tells_something_has_one_of_the_marks_that_are_looked_for_first(lines: list[str]) -> None:
    marked = [index for index, line in enumerate(lines) if any(mark in line for mark in _MARKS)]
    assert telling_lines(lines, marked) == telling_lines(lines)
