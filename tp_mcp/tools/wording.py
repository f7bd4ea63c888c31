"""Argument errors in words that a model can mend its call by."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import ErrorDetails

from tp_mcp.errors import InvalidArgumentError
from tp_mcp.results.text import nearest, shorten

GIVEN_MAX_CHARACTERS = 80
MAX_PROBLEMS = 5

_TYPE_WORDS = {
    "string_type": "a text in quotes",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "an object",
    "mapping_type": "an object",
    "model_type": "an object",
}


def argument_error(tool: str, arguments: type[BaseModel], error: ValidationError) -> InvalidArgumentError:
    """Return what is wrong with a call's arguments: which, what was given, and what is allowed."""
    details = error.errors(include_url=False)
    problems = [_problem(arguments, detail) for detail in details[:MAX_PROBLEMS]]
    if len(details) > MAX_PROBLEMS:
        problems.append(f"and {len(details) - MAX_PROBLEMS} more")
    names = ", ".join(arguments.model_fields) or "none"
    return InvalidArgumentError(
        f"{tool} was not called: {'; '.join(problems)}.",
        remedy=f"Its arguments are: {names}. Mend them and call again.",
    )


def _problem(arguments: type[BaseModel], detail: ErrorDetails) -> str:
    where = _path(detail)
    kind = detail["type"]
    if kind == "missing":
        return f"{where} is missing{_about(arguments, where)}"
    if kind == "extra_forbidden":
        suggestions = nearest(where, tuple(arguments.model_fields))
        meant = f"; did you mean {' or '.join(suggestions)}?" if suggestions else ""
        return f"there is no argument {where}{meant}"
    given = _given(detail["input"])
    context: Mapping[str, Any] = detail.get("ctx", {})
    if kind == "value_error":
        return f"{where}: {context['error']}"
    if kind == "literal_error":
        return f"{where} is {given}, but must be {context['expected']}"
    if kind in _TYPE_WORDS:
        return f"{where} is {given}, but must be {_TYPE_WORDS[kind]}"
    return f"{where} is {given}: {detail['msg'][:1].lower()}{detail['msg'][1:]}"


def _path(detail: ErrorDetails) -> str:
    return ".".join(str(part) for part in detail["loc"]) or "the arguments"


def _given(value: JsonValue) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):  # pragma: no cover -- arguments came as JSON
        text = type(value).__name__
    return shorten(text, GIVEN_MAX_CHARACTERS)


def _about(arguments: type[BaseModel], name: str) -> str:
    field = arguments.model_fields.get(name)
    return f" ({field.description})" if field is not None and field.description else ""
