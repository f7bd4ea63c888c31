import inspect

import pytest

from tp_mcp import errors


def classes() -> list[type[errors.TpMcpError]]:
    return [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, errors.TpMcpError)]


def test_an_error_reads_as_what_was_wrong_and_what_to_do() -> None:
    error = errors.InvalidArgumentError("lab is missing.", remedy="list_labs shows them.")
    assert str(error) == "lab is missing. list_labs shows them."
    assert str(errors.StoreError("It is closed.")) == "It is closed."


def test_a_failure_of_tp_says_whether_it_may_have_acted() -> None:
    assert not errors.TpRefusedError("refused").may_have_acted
    assert errors.TpTimeoutError("late", may_have_acted=True).may_have_acted


@pytest.mark.parametrize("kind", classes(), ids=lambda kind: kind.__name__)
def test_every_error_stands_in_the_tree_that_the_module_draws(kind: type[errors.TpMcpError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")
    assert kind.__doc__
