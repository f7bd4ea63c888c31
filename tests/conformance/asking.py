"""Fixture tools that ask the client for something: in the middle of a call, or by ending it with a question."""

from collections.abc import Mapping
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.exceptions import MCPError
from mcp.types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolResult,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    SamplingMessage,
    TextContent,
)

from tests.conformance.fixtures import text

Outcome = CallToolResult | InputRequiredResult


def _form(message: str, required: bool = True, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties) if required else []}
    return {"method": "elicitation/create", "params": {"mode": "form", "message": message, "requestedSchema": schema}}


NAME = _form("What is your name?", name={"type": "string"})
CONFIRM = _form("Please confirm", ok={"type": "boolean"})
CONTEXT = _form("What context should the prompt use?", context={"type": "string"})
FIRST_STEP = _form("Step 1: What is your name?", name={"type": "string"})
SECOND_STEP = _form("Step 2: What is your favorite color?", color={"type": "string"})
ROOTS = {"method": "roots/list", "params": {}}


def _sample(words: str, max_tokens: int) -> dict[str, Any]:
    message = {"role": "user", "content": {"type": "text", "text": words}}
    return {"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": max_tokens}}


def _wanted(state: str | None = None, **requests: Any) -> InputRequiredResult:
    return InputRequiredResult.model_validate({"inputRequests": requests, "requestState": state})


def _answers(ctx: Context[Any, Any]) -> Mapping[str, Any]:
    return ctx.input_responses or {}


def _accepted(answer: object) -> Mapping[str, Any] | None:
    """Return what a form was filled in with; None where it was not, or this is no such answer."""
    if isinstance(answer, ElicitResult) and answer.action == "accept":
        return answer.content or {}
    return None


def add_rounds(server: MCPServer[Any]) -> None:
    """Add what ends a round with a question, and takes the answer in the next one."""

    @server.tool(description="Asks for a name.")
    async def test_input_required_result_elicitation(ctx: Context[Any, Any]) -> Outcome:
        answer = _accepted(_answers(ctx).get("user_name"))
        if answer is None or not isinstance(answer.get("name"), str):
            return _wanted(user_name=NAME)
        return text(f"Hello, {answer['name']}!")

    @server.tool(description="Asks the client's model.")
    async def test_input_required_result_sampling(ctx: Context[Any, Any]) -> Outcome:
        answer = _answers(ctx).get("capital_question")
        if answer is None:
            return _wanted(capital_question=_sample("What is the capital of France?", 100))
        return text(f"The model says: {answer.content.text}")

    @server.tool(description="Asks for the client's roots.")
    async def test_input_required_result_list_roots(ctx: Context[Any, Any]) -> Outcome:
        answer = _answers(ctx).get("client_roots")
        if answer is None:
            return _wanted(client_roots=ROOTS)
        return text(f"Roots: {', '.join(str(root.uri) for root in answer.roots)}")

    @server.tool(description="Asks, and keeps its state with the client.")
    async def test_input_required_result_request_state(ctx: Context[Any, Any]) -> Outcome:
        if ctx.request_state is None or "confirm" not in _answers(ctx):
            return _wanted("asked", confirm=CONFIRM)
        return text("state-ok" if ctx.request_state == "asked" else "state-lost")


def add_longer_rounds(server: MCPServer[Any]) -> None:
    """Add what asks for several things, several times, or only for what the client has."""

    @server.tool(description="Asks for three things at once.")
    async def test_input_required_result_multiple_inputs(ctx: Context[Any, Any]) -> Outcome:
        asked = {"user_name": NAME, "greeting": _sample("Generate a greeting", 50), "client_roots": ROOTS}
        if not asked.keys() <= _answers(ctx).keys():
            return _wanted("asked", **asked)
        return text(f"Got {', '.join(sorted(_answers(ctx)))}.")

    @server.tool(description="Asks twice.")
    async def test_input_required_result_multi_round(ctx: Context[Any, Any]) -> Outcome:
        first, second = _accepted(_answers(ctx).get("step1")), _accepted(_answers(ctx).get("step2"))
        if ctx.request_state is None:
            return _wanted("round 1", step1=FIRST_STEP)
        if ctx.request_state == "round 1":
            name = (first or {}).get("name", "nobody")
            return _wanted(f"round 2: {name}", step2=SECOND_STEP)
        return text(f"{ctx.request_state.removeprefix('round 2: ')} likes {(second or {}).get('color')}.")

    @server.tool(description="Asks, with a state that must come back as it was.")
    async def test_input_required_result_tampered_state(ctx: Context[Any, Any]) -> Outcome:
        # That it was not changed is checked before this runs.
        return _wanted("sealed", confirm=CONFIRM) if ctx.request_state is None else text("state-ok")


def add_checked(server: MCPServer[Any]) -> None:
    """Add what looks at what the client declared, and a prompt that asks."""

    @server.tool(description="Asks for what the client can be asked for.")
    async def test_input_required_result_capabilities(ctx: Context[Any, Any]) -> Outcome:
        capabilities = ctx.client_capabilities
        asked: dict[str, Any] = {}
        if capabilities is not None and capabilities.elicitation is not None:
            asked["user_name"] = NAME
        if capabilities is not None and capabilities.sampling is not None:
            asked["greeting"] = _sample("Generate a greeting", 50)
        if capabilities is not None and capabilities.roots is not None:
            asked["client_roots"] = ROOTS
        return _wanted(**asked) if asked.keys() - _answers(ctx).keys() else text("Nothing to ask.")

    @server.tool(description="Needs the client's model.")
    async def test_missing_capability(ctx: Context[Any, Any]) -> CallToolResult:
        capabilities = ctx.client_capabilities
        if capabilities is None or capabilities.sampling is None:
            needed: dict[str, Any] = {"requiredCapabilities": {"sampling": {}}}
            raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "The client has to sample for this.", needed)
        return text("The client can sample.")

    @server.prompt(description="Asks before it says anything.")
    async def test_input_required_result_prompt(ctx: Context[Any, Any]) -> Any:
        answer = _accepted(_answers(ctx).get("user_context"))
        return _wanted(user_context=CONTEXT) if answer is None else f"Use this context: {answer.get('context')}"


def add_inline(server: MCPServer[Any]) -> None:
    """Add what asks in the middle of a call, as the handshake era does."""

    @server.tool(description="Asks the client's model.")
    async def test_sampling(prompt: str, ctx: Context[Any, Any]) -> CallToolResult:
        message = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
        try:
            answer = await ctx.session.create_message(  # type: ignore[deprecated, unused-ignore] # what the suite asks for
                messages=[message], max_tokens=100, related_request_id=ctx.request_id
            )
        except MCPError as error:
            raise ToolError(f"The client cannot sample: {error}") from None
        return text(f"LLM response: {getattr(answer.content, 'text', '')}")

    @server.tool(description="Asks the client's user.")
    async def test_elicitation(message: str, ctx: Context[Any, Any]) -> CallToolResult:
        properties = {
            "username": {"type": "string", "description": "User's response"},
            "email": {"type": "string", "description": "User's email address"},
        }
        return await _elicited(ctx, message, "User response", properties)

    @server.tool(description="Asks with a default for each kind of value.")
    async def test_elicitation_sep1034_defaults(ctx: Context[Any, Any]) -> CallToolResult:
        properties = {
            "name": {"type": "string", "default": "John Doe"},
            "age": {"type": "integer", "default": 30},
            "score": {"type": "number", "default": 95.5},
            "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
            "verified": {"type": "boolean", "default": True},
        }
        return await _elicited(ctx, "Please review", "Elicitation completed", properties)

    @server.tool(description="Asks with each kind of choice.")
    async def test_elicitation_sep1330_enums(ctx: Context[Any, Any]) -> CallToolResult:
        options = [f"option{number}" for number in (1, 2, 3)]
        titled = [{"const": f"value{number}", "title": f"Option {number}"} for number in (1, 2, 3)]
        properties = {
            "untitledSingle": {"type": "string", "enum": options},
            "titledSingle": {"type": "string", "oneOf": titled},
            "legacyEnum": {"type": "string", "enum": options, "enumNames": ["One", "Two", "Three"]},
            "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
            "titledMulti": {"type": "array", "items": {"anyOf": titled}},
        }
        return await _elicited(ctx, "Please choose", "Elicitation completed", properties)


async def _elicited(ctx: Context[Any, Any], message: str, said: str, properties: Mapping[str, Any]) -> CallToolResult:
    form = ElicitRequestFormParams.model_validate(_form(message, **properties)["params"])
    try:
        answer = await ctx.session.elicit_form(message, form.requested_schema, ctx.request_id)
    except MCPError as error:
        raise ToolError(f"The client cannot ask its user: {error}") from None
    return text(f"{said}: action={answer.action}, content={answer.content}")
