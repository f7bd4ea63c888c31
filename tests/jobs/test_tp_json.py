"""TP's own JSON as models and words."""

import pytest

from tp_mcp.api.models import ExecutionStarted
from tp_mcp.errors import TpNotJsonError
from tp_mcp.jobs.tp_json import WORD_MAX_CHARACTERS, parsed, word


def test_an_answer_of_the_promised_shape_becomes_its_model() -> None:
    assert parsed(ExecutionStarted, {"exec_id": 446, "more": 1}).exec_id == 446


@pytest.mark.parametrize(
    ("answer", "where"), [([], "no object"), (None, "no object"), ({}, "exec_id"), ({"exec_id": 0}, "exec_id")]
)
def test_any_other_says_where_it_differs(answer: object, where: str) -> None:
    with pytest.raises(TpNotJsonError, match=f"unexpected shape \\({where}\\)"):
        parsed(ExecutionStarted, answer)  # type: ignore[arg-type] # the list is one of JSON values


def test_a_word_is_short_and_printable() -> None:
    assert word("SUC\x1b[31mCESS\n\u202e!") == "SUCCESS !"
    assert word(None) == "None"
    assert len(word("x" * 5000)) <= WORD_MAX_CHARACTERS


def test_a_word_that_is_cut_never_keeps_a_password_without_what_it_is_known_by() -> None:
    assert "hunter2" not in word("execute restore image scp /builds/fsw/6957/image.out 10.1.1.1 builder hunter2")
