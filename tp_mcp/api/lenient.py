"""Lenient field types: missing, null and oddly typed values of TP become "unknown" instead of an error."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, JsonValue, ValidationError

from tp_mcp.errors import TpNotJsonError

GREATEST_NUMBER = 2**53
"""Limit of a whole number; JSON readers do not represent larger ones exactly, and TP's counts never reach it."""

_DIGITS_OF_A_NUMBER = 18
_NAME_KEYS = ("username", "name", "version")
_LIST_KEYS = ("data", "results", "labs", "executions", "items", "list", "rows")


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _whole(value: object) -> int | None:
    number = _any_whole(value)
    return None if number is None or abs(number) > GREATEST_NUMBER else number


def _any_whole(value: object) -> int | None:
    if isinstance(value, str) and len(value) <= _DIGITS_OF_A_NUMBER and value.strip().lstrip("-").isdecimal():
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _moment(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value
    try:
        seconds = float(_text(value))
    except ValueError:
        return _iso_moment(_text(value))
    try:
        return datetime.fromtimestamp(seconds, UTC) if math.isfinite(seconds) else None
    except (OverflowError, OSError, ValueError):
        return None


def _iso_moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def texts_of(value: object) -> tuple[str, ...]:
    """Return the strings in a list of strings or of named objects, or in a comma-separated string."""
    if isinstance(value, str):
        return tuple(part for each in value.split(",") if (part := each.strip()))
    if isinstance(value, list | tuple):
        return tuple(text for each in value if (text := _text(_name_of(each))))
    return ()


def _name_of(value: object) -> object:
    # Users and versions may be objects; only their name is used.
    if not isinstance(value, Mapping):
        return value
    return next((value[key] for key in _NAME_KEYS if value.get(key)), None)


Text = Annotated[str, BeforeValidator(_text)]
"""A string; a number is converted, other values become empty."""

Whole = Annotated[int | None, BeforeValidator(_whole)]
"""A whole number, also as a string; other values, and those beyond `GREATEST_NUMBER`, become None."""

Moment = Annotated[datetime | None, BeforeValidator(_moment)]
"""An aware datetime, from an ISO 8601 string (UTC by default) or epoch seconds, also as a string."""

Texts = Annotated[tuple[str, ...], BeforeValidator(texts_of)]
"""Strings, from a list of strings or of named objects, or from a comma-separated string."""


class TpModel(BaseModel):
    """An answer of TP: frozen, tolerant of missing and extra fields."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


ModelT = TypeVar("ModelT", bound=TpModel)
AnyModelT = TypeVar("AnyModelT", bound=BaseModel)


def parsed(model: type[AnyModelT], answer: JsonValue) -> AnyModelT:
    """Return an answer as its model; raise TpNotJsonError if it has an unexpected shape."""
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        where = ", ".join(sorted({".".join(str(part) for part in problem["loc"]) for problem in error.errors()}))
        raise TpNotJsonError(f"TP's answer has an unexpected shape ({where or 'no object'}).") from None


def each_valid(model: type[ModelT], value: object) -> tuple[ModelT, ...]:
    """Return the valid rows of a list; invalid ones are skipped."""
    rows: list[ModelT] = []
    for row in value if isinstance(value, list | tuple) else ():
        try:
            rows.append(model.model_validate(row))
        except ValidationError:
            continue
    return tuple(rows)


def rows_of(value: JsonValue) -> list[JsonValue] | None:
    """Return the list in an answer: the answer itself, or a list inside an object; None without one."""
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        return None
    for key in _LIST_KEYS:
        if isinstance(rows := value.get(key), list):
            return rows
    lists = [each for each in value.values() if isinstance(each, list)]
    return lists[0] if len(lists) == 1 else None


def object_of(value: object) -> Mapping[str, object]:
    """Return an object that TP sends directly or as a JSON string; an empty one for other values."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, Mapping) else {}
