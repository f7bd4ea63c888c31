from pathlib import Path

import pytest

from tests.support.table import table


def test_every_row_is_tried_and_each_that_fails_is_shown() -> None:
    tried = []

    @table(("a", "b"), [(1, 1), (1, 2), ("x" * 1_000, 3), (4, 4)])
    def equal(a: object, b: object) -> None:
        tried.append((a, b))
        assert a == b

    with pytest.raises(pytest.fail.Exception, match=r"2 of 4 rows fail:\n\(1, 2\): AssertionError") as caught:
        equal()
    assert len(tried) == 4
    assert len(str(caught.value)) < 2_000


def test_an_error_that_did_not_come_fails_its_row() -> None:
    @table("value", [0])
    def refused(value: int) -> None:
        with pytest.raises(ValueError, match="no"):
            int(value)

    with pytest.raises(pytest.fail.Exception, match="1 of 1 rows fail"):
        refused()


def test_a_table_without_rows_is_refused() -> None:
    with pytest.raises(AssertionError, match="without rows"):
        table("value", [])


@table("outer", ["a", "b"])
@table("inner", [1, 2])
def test_tables_can_be_combined_and_fixtures_come_besides(outer: str, inner: int, tmp_path: Path) -> None:
    (tmp_path / f"{outer}{inner}").touch(exist_ok=False)
    assert len(list(tmp_path.iterdir())) == {"a1": 1, "a2": 2, "b1": 3, "b2": 4}[f"{outer}{inner}"]
