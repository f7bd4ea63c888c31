"""Answers that arrive whole and are wrong: JSON cut in the middle, and JSON that is not what was promised."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.types import Message

_MADE_UP = json.dumps({"status": "Initiating", "detail": "the request was taken"}).encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as TP gave it."""

    status: int
    content: bytes
    media_type: str | None


MADE_UP_ANSWER = Answer(202, _MADE_UP, "application/json")


def answer_of(messages: Iterable["Message"]) -> Answer:
    """Join the messages of an ASGI application."""
    status, content = 500, b""
    headers: dict[bytes, bytes] = {}
    for message in messages:
        status = message.get("status", status)
        content += message.get("body", b"")
        headers |= dict(message.get("headers", ()))
    media_type = headers.get(b"content-type")
    return Answer(status, content, None if media_type is None else media_type.decode("latin-1"))


def truncated(answer: Answer) -> Response:
    """Return the first half of an answer, with the length of that half."""
    return Response(answer.content[: len(answer.content) // 2], answer.status, media_type=answer.media_type)


def malformed(answer: Answer, shape: str) -> Response:
    """Return 200 with JSON of a shape (see `faults`) that was not promised."""
    try:
        value = json.loads(answer.content)
    except ValueError:
        value = None
    return Response(json.dumps(_reshaped(value, shape)), media_type="application/json")


def _reshaped(value: object, shape: str) -> object:
    match shape, value:
        case "text", _:
            return json.dumps(value)
        case "nulls", dict():
            return dict.fromkeys(value)
        case "nulls", list():
            return [_reshaped(row, shape) for row in value]
        case "other", dict():
            return [value]
        case "other", list():
            return {"results": value}
        case _:
            return None
