"""What every tool's definition has in common."""

import json
from typing import Annotated, Any

import pytest
from pydantic import Field

from tp_mcp.errors import InvalidArgumentError
from tp_mcp.results.document import Document
from tp_mcp.server.toolset import DEFAULT_TOOLS
from tp_mcp.tools.framework.arguments import ToolArguments
from tp_mcp.tools.framework.definition import Call, ToolDefinition


class BookArguments(ToolArguments):
    """What the tool of these tests takes."""

    title: Annotated[str, Field(description="Its title.")]
    pages: list[int] = Field(default_factory=list)
    notes: dict[str, Any] = Field(default_factory=dict)


async def read(arguments: BookArguments, _: Call) -> Document:
    return Document(arguments.title)


BOOK = ToolDefinition("book", "Book", "Read a book.", BookArguments, read, read_only=True)


def test_a_schema_has_no_titles_but_keeps_an_argument_of_that_name() -> None:
    schema = BOOK.schema()
    assert schema == {
        "properties": {
            "title": {"description": "Its title.", "type": "string"},
            "pages": {"items": {"type": "integer"}, "type": "array"},
            "notes": {"type": "object"},
        },
        "required": ["title"],
        "type": "object",
    }


@pytest.mark.parametrize("definition", DEFAULT_TOOLS, ids=lambda definition: definition.name)
def test_no_schema_of_a_tool_has_a_title_anywhere(definition: ToolDefinition[Any]) -> None:
    assert '"title":' not in json.dumps(definition.schema())


def test_lists_and_objects_may_come_as_json_text_and_texts_stay_texts() -> None:
    parsed = BOOK.parse({"title": "[1, 2]", "pages": "[1, 2]", "notes": '{"a": [1]}'})
    assert parsed == BookArguments(title="[1, 2]", pages=[1, 2], notes={"a": [1]})


@pytest.mark.parametrize("text", ["[1, 2", "[" * 100_000, "1, 2"])
def test_text_that_is_no_json_is_refused_as_what_it_is(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"pages is .* but must be a list"):
        BOOK.parse({"title": "x", "pages": text})


def test_what_was_given_is_shown_in_short() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        BOOK.parse({"title": "x", "pages": {"key": "x" * 10_000}})
    assert "characters left out" in caught.value.message
    assert len(caught.value.message) < 300


def test_no_more_than_a_handful_of_problems_is_told() -> None:
    with pytest.raises(InvalidArgumentError, match="and 95 more"):
        BOOK.parse({"title": "x", "pages": ["?"] * 100})
