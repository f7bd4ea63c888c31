"""Tests that go through a table by themselves: one test to pytest, all its failing rows in one message."""

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import pytest

SHOWN_CHARACTERS = 300
"""How much of a row a failure shows."""


def table(names: str | tuple[str, ...], rows: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a test to run once with each row, as `parametrize` would make many tests of it.

    Args:
        names: the test's arguments that a row gives; a row is the value itself where it is one name.
        rows: the rows; there has to be one.
    """
    columns = (names,) if isinstance(names, str) else names
    listed = [(row,) if isinstance(names, str) else tuple(row) for row in rows]
    assert listed, "a table without rows tests nothing"

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @wraps(test)
        def run(*args: Any, **fixtures: Any) -> None:
            failures = []
            for row in listed:
                try:
                    test(*args, **dict(zip(columns, row, strict=True)), **fixtures)
                except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - every row is tried
                    failures.append(f"{repr(row)[:SHOWN_CHARACTERS]}: {type(error).__name__}: {error}")
            if failures:
                pytest.fail(f"{len(failures)} of {len(listed)} rows fail:\n" + "\n".join(failures), pytrace=False)

        signature = inspect.signature(test)
        kept = [parameter for name, parameter in signature.parameters.items() if name not in columns]
        run.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
        return run

    return decorate
