"""TP's own JSON, read with the client's models."""

from typing import TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from tp_mcp.errors import TpNotJsonError
from tp_mcp.redaction import Redactor
from tp_mcp.results.fence import one_line
from tp_mcp.results.text import shorten

WORD_MAX_CHARACTERS = 60

Model = TypeVar("Model", bound=BaseModel)


def parsed(model: type[Model], answer: JsonValue) -> Model:
    """Return an answer as its model.

    Raises:
        TpNotJsonError: it has not the shape that TP promises.

    """
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        where = ", ".join(sorted({".".join(str(part) for part in problem["loc"]) for problem in error.errors()}))
        raise TpNotJsonError(f"TP's answer has an unexpected shape ({where or 'no object'}).") from None


def word(value: object) -> str:
    """Return a value of TP's as one short printable word or phrase, fit for a sentence of ours."""
    # Before the cut, which may take what a secret is known by and leave the secret.
    return shorten(Redactor().redact(one_line(str(value))), WORD_MAX_CHARACTERS)
