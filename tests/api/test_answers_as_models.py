"""TP's answers as models."""

import pytest

from tp_mcp.api.lenient import parsed
from tp_mcp.api.models import ExecutionStarted
from tp_mcp.errors import TpNotJsonError


def test_an_answer_of_the_promised_shape_becomes_its_model() -> None:
    assert parsed(ExecutionStarted, {"exec_id": 446, "more": 1}).exec_id == 446


@pytest.mark.parametrize(
    ("answer", "where"), [([], "no object"), (None, "no object"), ({}, "exec_id"), ({"exec_id": 0}, "exec_id")]
)
def test_any_other_says_where_it_differs(answer: object, where: str) -> None:
    with pytest.raises(TpNotJsonError, match=f"unexpected shape \\({where}\\)"):
        parsed(ExecutionStarted, answer)  # type: ignore[arg-type] # the list is one of JSON values
