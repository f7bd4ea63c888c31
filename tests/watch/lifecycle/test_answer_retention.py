"""What is kept of an answer."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue, TypeAdapter

from tests.support.examples import examples
from tp_mcp.watch.lifecycle.answer_retention import (
    KEPT_MAX_CHARACTERS,
    KEPT_MAX_DEPTH,
    KEPT_MAX_VALUES,
    LOG_NOT_KEPT,
    kept,
)


def test_an_ordinary_answer_is_kept_as_it_is() -> None:
    answer: JsonValue = {
        "exec_id": 446,
        "status": "Done",
        "devices": [{"ip": "10.0.0.1", "up": True, "load": 0.5}, None],
    }
    assert kept(answer) == answer


def test_a_long_text_is_cut_and_says_so() -> None:
    copy = kept({"words": "x" * 4096})
    assert isinstance(copy, dict)
    assert len(str(copy["words"])) <= KEPT_MAX_CHARACTERS
    assert "characters left out" in str(copy["words"])


def test_a_log_is_not_kept_but_its_size_is() -> None:
    answer: JsonValue = {
        "log_size": 4096,
        "login": "bob",
        "per_device": [{"log_tail": "FSW # execute restore image scp /a h u hunter2", "error_log": ["hunter2"]}],
        "Log": {"text": "hunter2"},
        "log_tail": "",
    }
    assert kept(answer) == {
        "log_size": 4096,
        "login": "bob",
        "per_device": [{"log_tail": LOG_NOT_KEPT, "error_log": LOG_NOT_KEPT}],
        "Log": LOG_NOT_KEPT,
        "log_tail": "",
    }


@pytest.mark.parametrize("hidden", ["", "\x1b[0m", "\u200b"])
@pytest.mark.parametrize("before", range(0, KEPT_MAX_CHARACTERS, 40))
def test_a_cut_never_leaves_a_password_without_what_it_is_known_by(before: int, hidden: str) -> None:
    command = f"exec{hidden}ute restore image scp /builds/image.out 10.1.1.1 builder hunter2"
    copy = json.dumps(kept({"words": "x" * before + f" {command} " + "y" * (KEPT_MAX_CHARACTERS - before)}))
    assert "hunter2" not in copy


def test_long_lists_and_objects_are_cut_and_say_so() -> None:
    many = kept(list(range(5000)))
    assert isinstance(many, list)
    assert many[:3] == [0, 1, 2]
    assert many[-1] == "[... 4,501 values left out ...]"
    wide = kept({str(number): number for number in range(5000)})
    assert isinstance(wide, dict)
    assert wide["..."] == "[... 4,501 values left out ...]"


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a": ', "}")])
def test_what_is_nested_too_deeply_is_left_out(opening: str, closing: str) -> None:
    answer = json.loads(opening * 300 + "1" + closing * 300)
    text = json.dumps(kept(answer))
    assert text.count(opening.strip()) <= KEPT_MAX_DEPTH + 1
    assert "1 values left out" in text


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 2**63, -(10**400), 1e300])
def test_a_number_that_no_store_can_keep_is_not_kept(number: float) -> None:
    assert kept({"n": number}) == {"n": None}


def test_a_lone_surrogate_is_replaced() -> None:
    assert kept({"a\ud800": "b\udfff"}) == {"a?": "b?"}


def values(value: Any) -> int:
    if isinstance(value, list):
        return 1 + sum(map(values, value))
    if isinstance(value, dict):
        return 1 + sum(map(values, value.values()))
    return 1


@examples(100)
@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(alphabet=st.characters(), max_size=9)),
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(max_size=4), inner)),
        max_leaves=80,
    )
)
def test_whatever_is_kept_is_small_and_survives_being_written(answer: Any) -> None:
    copy = kept(answer)
    assert values(copy) <= KEPT_MAX_VALUES + KEPT_MAX_DEPTH
    adapter: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)
    assert adapter.validate_json(adapter.dump_json(copy)) == copy
