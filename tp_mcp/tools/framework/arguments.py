"""Arguments of tools: their base model, their JSON schema, and the errors that explain how to fix a call."""

import json
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from tp_mcp.errors import InvalidArgumentError
from tp_mcp.results.text import echoed, nearest

TEXT_MAX_CHARACTERS = 10_000
"""Longest text in an argument that has no limit of its own."""

_LEFT_OUT = frozenset(
    {
        "$ref",
        "additionalProperties",
        "examples",
        "maxItems",
        "maxLength",
        "minItems",
        "minLength",
        "propertyNames",
        "title",
    }
)
_LEFT_OUT_IF_EMPTY = frozenset({"default", "exclusiveMinimum", "minimum"})
"""Keywords that tell a reader nothing if their value is zero or empty."""

GIVEN_MAX_CHARACTERS = 80
MAX_PROBLEMS = 5

_TEXT = "is {given}, but must be a string in quotes"
_WHOLE = "is {given}, but must be a whole number"
_NUMBER = "is {given}, but must be a number"
_TRUTH = "is {given}, but must be true or false"
_LIST = "is {given}, but must be a list"
_OBJECT = "is {given}, but must be an object"

_WORDS = {
    "string_type": _TEXT,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "is {given}, but must be a finite number",
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "list_type": _LIST,
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "literal_error": "is {given}, but must be {expected}",
    "value_error": "is {given}: {error}",
    "greater_than": "is {given}, but must be more than {gt:g}",
    "greater_than_equal": "is {given}, but must be at least {ge:g}",
    "less_than_equal": "is {given}, but must be at most {le:g}",
    "too_short": "has {actual_length} items, but must have at least {min_length}",
    "too_long": "has {actual_length} items, but must have at most {max_length}",
    "string_too_short": "is {given}, but must not be empty",
    "string_too_long": "has more than {max_length} characters",
}
"""Message for each of pydantic's types of errors; pydantic's own messages describe Python types."""

_OTHERWISE = "is {given}, but must be like {example}"


class ToolArguments(BaseModel):
    """Base of all arguments of tools. Unknown arguments are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_max_length=TEXT_MAX_CHARACTERS)

    @field_validator("*", mode="before")
    @classmethod
    def _lists_written_as_text(cls, value: object, info: ValidationInfo) -> object:
        # Some clients send a list or an object as its JSON text.
        field = cls.model_fields.get(info.field_name or "")
        if isinstance(value, str) and field is not None and field.annotation is not str and value[:1] in {"[", "{"}:
            try:
                return json.loads(value)
            except (ValueError, RecursionError):
                return value
        return value


def schema_of(arguments: type[BaseModel]) -> dict[str, JsonValue]:
    """Return the JSON schema of a tool's arguments in the form that every client can read.

    Without `$ref`, `null`, `additionalProperties`, lengths and examples: some clients cannot convert them, and each
    conversation pays for the rest. Validation checks everything.
    """
    schema = arguments.model_json_schema()
    plain = _plain(schema, schema.pop("$defs", {}))
    del plain["description"]
    return plain


def _plain(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Return a schema with references replaced by their definitions, without the keywords that are left out."""
    # A caller omits an optional argument instead of passing null.
    kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    if len(kinds) == 1:
        schema = {**kinds[0], **{name: value for name, value in schema.items() if name != "anyOf"}}
    if "$ref" in schema:
        schema = {**definitions[schema["$ref"].rpartition("/")[2]], **schema}
    plain: dict[str, JsonValue] = {}
    for name, value in schema.items():
        if name in _LEFT_OUT or (name in _LEFT_OUT_IF_EMPTY and not value):
            continue
        match name:
            case "properties":
                plain[name] = {key: _plain(each, definitions) for key, each in value.items()}
            case "items":
                plain[name] = _plain(value, definitions)
            case "anyOf":
                plain[name] = [_plain(each, definitions) for each in kinds]
            case _:
                plain[name] = value
    return plain


def argument_error(tool: str, arguments: type[BaseModel], error: ValidationError) -> InvalidArgumentError:
    """Return the error for wrong arguments: it names each argument, its value and the allowed values."""
    details = error.errors(include_url=False)
    problems = [_problem(arguments, detail) for detail in details[:MAX_PROBLEMS]]
    if len(details) > MAX_PROBLEMS:
        problems.append(f"and {len(details) - MAX_PROBLEMS} more")
    names = ", ".join(arguments.model_fields) or "none"
    return InvalidArgumentError(
        f"{tool} was not called: {'; '.join(problems)}.",
        remedy=f"Its arguments are: {names}. Correct the call and repeat it.",
    )


def _problem(arguments: type[BaseModel], detail: ErrorDetails) -> str:
    where = _path(detail)
    kind = detail["type"]
    if kind == "missing":
        return f"{where} is missing{_about(arguments, where)}"
    if kind == "extra_forbidden":
        suggestions = nearest(str(detail["loc"][-1]), _names_beside(arguments, detail))
        meant = f" (did you mean {' or '.join(suggestions)}?)" if suggestions else ""
        return f"there is no argument {where}{meant}"
    words = _WORDS.get(kind, _OTHERWISE)
    context: Mapping[str, Any] = detail.get("ctx", {})
    problem = words.format(given=_given(detail["input"]), example=_example(arguments, where), **context)
    return f"{where} {problem}"


def _path(detail: ErrorDetails) -> str:
    return ".".join(str(part) for part in detail["loc"]) or "the arguments"


def _names_beside(arguments: type[BaseModel], detail: ErrorDetails) -> tuple[str, ...]:
    """Return the allowed names beside an unknown one."""
    model = arguments
    for part in detail["loc"][:-1]:
        annotation = model.model_fields[str(part)].annotation
        model = next(each for each in (annotation, *get_args(annotation)) if hasattr(each, "model_fields"))
    return tuple(field.alias or name for name, field in model.model_fields.items())


def _given(value: JsonValue) -> str:
    return echoed(json.dumps(value, ensure_ascii=False), GIVEN_MAX_CHARACTERS)


def _example(arguments: type[BaseModel], name: str) -> str:
    field = arguments.model_fields.get(name)
    examples = field.examples if field is not None else None
    return json.dumps(examples[0], ensure_ascii=False) if examples else "its description"


def _about(arguments: type[BaseModel], name: str) -> str:
    field = arguments.model_fields.get(name)
    return f" ({field.description})" if field is not None and field.description else ""
