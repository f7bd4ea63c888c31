"""The tools, resources and prompts that the conformance suite asks for by name, in the shapes that it describes.

They are plain SDK functions: what is tried with them is how this product's server carries them.
"""

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import Message, UserMessage
from mcp.types import (
    AudioContent,
    CallToolResult,
    Completion,
    CompletionArgument,
    CompletionContext,
    EmbeddedResource,
    ImageContent,
    PromptReference,
    ResourceTemplateReference,
    TextContent,
    TextResourceContents,
)

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
"""A PNG of one pixel."""

SILENCE = base64.b64encode(
    b"RIFF$\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x40\x1f\0\0\1\0\x08\0data\0\0\0\0"
).decode()
"""A WAV without a sample."""

STEP_SECONDS = 0.05

Completing = Callable[[Callable[..., Awaitable[Completion]]], object]


def text(words: str) -> CallToolResult:
    """Return words as a tool's result."""
    return CallToolResult(content=[TextContent(type="text", text=words)])


def _image() -> ImageContent:
    return ImageContent(type="image", data=PIXEL, mime_type="image/png")


def _embedded(uri: str, mime_type: str, words: str) -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=words))


def add_contents(server: MCPServer[Any]) -> None:
    """Add the tools that answer with each kind of content."""

    @server.tool(description="Says a fixed text.")
    async def test_simple_text() -> CallToolResult:
        return text("This is a simple text response for testing.")

    @server.tool(description="Shows an image.")
    async def test_image_content() -> CallToolResult:
        return CallToolResult(content=[_image()])

    @server.tool(description="Plays nothing.")
    async def test_audio_content() -> CallToolResult:
        return CallToolResult(content=[AudioContent(type="audio", data=SILENCE, mime_type="audio/wav")])

    @server.tool(description="Embeds a resource.")
    async def test_embedded_resource() -> CallToolResult:
        words = "This is an embedded resource content."
        return CallToolResult(content=[_embedded("test://embedded-resource", "text/plain", words)])

    @server.tool(description="Mixes kinds of content.")
    async def test_multiple_content_types() -> CallToolResult:
        data = json.dumps({"test": "data", "value": 123})
        return CallToolResult(
            content=[
                TextContent(type="text", text="Multiple content types test:"),
                _image(),
                _embedded("test://mixed-content-resource", "application/json", data),
            ]
        )


def add_tellers(server: MCPServer[Any]) -> None:
    """Add the tools that fail, or tell how they go on."""

    @server.tool(description="Fails.")
    async def test_error_handling() -> CallToolResult:
        raise ToolError("This tool intentionally returns an error for testing")

    @server.tool(description="Tells how far it is.")
    async def test_tool_with_progress(ctx: Context[Any, Any]) -> CallToolResult:
        for done in (0, 50, 100):
            await ctx.report_progress(done, 100, f"{done} of 100")
            await anyio.sleep(STEP_SECONDS)
        return text("It is done.")

    @server.tool(description="Logs what it does.")
    async def test_tool_with_logging(ctx: Context[Any, Any]) -> CallToolResult:
        for said in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await log(ctx, said)
            await anyio.sleep(STEP_SECONDS)
        return text("It is done.")


async def log(ctx: Context[Any, Any], words: str) -> None:
    """Send a log message with the call that is under way."""
    request = ctx.request_context
    await request.session.send_log_message("info", words, related_request_id=request.request_id)  # type: ignore[deprecated, unused-ignore] # what the suite asks for


def add_resources(server: MCPServer[Any]) -> None:
    """Add the resources below `test://`."""

    @server.resource("test://static-text", description="A fixed text.", mime_type="text/plain")
    def static_text() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", description="A fixed image.", mime_type="image/png")
    def static_binary() -> bytes:
        return base64.b64decode(PIXEL)

    @server.resource("test://watched-resource", description="One to subscribe to.", mime_type="text/plain")
    def watched_resource() -> str:
        return "This is watched."

    @server.resource("test://template/{id}/data", description="One for each id.", mime_type="application/json")
    def template(id: str) -> str:  # noqa: A002 -- the name in the template
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def add_prompts(server: MCPServer[Any]) -> None:
    """Add the prompts, and completions of their arguments."""

    @server.prompt(description="Says a fixed text.")
    def test_simple_prompt() -> str:
        return "This is a simple prompt for testing."

    @server.prompt(description="Says its arguments.")
    def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt(description="Embeds a resource.")
    def test_prompt_with_embedded_resource(resourceUri: str) -> list[Message]:  # noqa: N803 -- the suite's name
        return [
            UserMessage(_embedded(resourceUri, "text/plain", "Embedded resource content for testing.")),
            UserMessage("Please process the embedded resource above."),
        ]

    @server.prompt(description="Shows an image.")
    def test_prompt_with_image() -> list[Message]:
        return [UserMessage(_image()), UserMessage("Please analyze the image above.")]

    completing = cast(Completing, cast(Any, server).completion())

    @completing
    async def complete(
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion:
        values = [value for value in ("paris", "park", "party") if value.startswith(argument.value)]
        return Completion(values=values, total=len(values), has_more=False)
