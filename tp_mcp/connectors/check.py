"""What a manifest's parts must be to one another: the checks that no single model can make.

Every problem is `<key path>: <what is wrong and what is allowed>`. Warnings have the same form.
"""

from collections.abc import Iterator

from tp_mcp.connectors.follow_up import tool_problem
from tp_mcp.connectors.manifest import AsyncBlock, FollowUp, Manifest, Match, Request, ToolManifest
from tp_mcp.connectors.match import match_problems
from tp_mcp.connectors.operators import OPERATORS
from tp_mcp.connectors.template import template_paths, template_problems

REQUEST_ROOTS = frozenset({"settings", "args"})
START_ROOTS = frozenset({"settings", "args", "result"})
END_ROOTS = frozenset({"settings", "args", "result", "poll", "poll_count", "max_polls"})


def manifest_problems(manifest: Manifest) -> Iterator[str]:
    """Yield everything that makes a manifest unusable."""
    if manifest.test is not None:
        yield from _request_problems(manifest, manifest.test.request, None, "test.request")
    for name, tool in manifest.tools.items():
        yield from _request_problems(manifest, tool.request, tool, f"tools.{name}.request")
        if tool.async_block is not None:
            yield from _async_problems(manifest, tool, tool.async_block, f"tools.{name}.async")


def manifest_warnings(manifest: Manifest) -> Iterator[str]:
    """Yield what is allowed and is probably not meant."""
    for name, tool in manifest.tools.items():
        block = tool.async_block
        if block is None or block.max_polls is None:
            continue
        reach = block.max_polls * block.interval_sec
        if reach < block.timeout_sec:
            yield (
                f"tools.{name}.async.max_polls: {block.max_polls} polls every {block.interval_sec:g} s end after "
                f"{reach:g} s, before timeout_sec ({block.timeout_sec:g} s)"
            )


def _request_problems(manifest: Manifest, request: Request, tool: ToolManifest | None, where: str) -> Iterator[str]:
    roots = REQUEST_ROOTS if tool is not None else frozenset({"settings"})
    parts: dict[str, object] = {
        "url": request.url,
        "query": request.query,
        "headers": request.headers,
        "body": request.body,
        "body_form": request.body_form,
    }
    for key, value in parts.items():
        for problem in template_problems(value, roots):
            yield f"{where}.{key}: {problem}"
        yield from _name_problems(manifest, tool, value, f"{where}.{key}")


def _async_problems(manifest: Manifest, tool: ToolManifest, block: AsyncBlock, where: str) -> Iterator[str]:
    yield from _poll_problems(manifest, block, where)
    for problem in template_problems(block.poll_args, START_ROOTS):
        yield f"{where}.poll_args: {problem}"
    yield from _name_problems(manifest, tool, block.poll_args, f"{where}.poll_args")
    for key, match in (("done_match", block.done_match), ("fail_match", block.fail_match)):
        if match is not None:
            yield from _match_problems(manifest, tool, match, f"{where}.{key}")
    for key, follow_up in (("on_done", block.on_done), ("on_fail", block.on_fail)):
        if follow_up is not None:
            yield from _follow_up_problems(manifest, tool, follow_up, f"{where}.{key}")
    progress = block.progress.message if block.progress is not None else ""
    yield from _text_problems(manifest, tool, progress, f"{where}.progress.message")


def _poll_problems(manifest: Manifest, block: AsyncBlock, where: str) -> Iterator[str]:
    poll_tool = manifest.tools.get(block.poll)
    if poll_tool is None:
        yield f"{where}.poll: {tool_problem(block.poll, manifest.tools)}"
        return
    if poll_tool.destructive:
        yield f"{where}.poll: {block.poll} is destructive, and polling it would repeat what it changes"
    for key in block.poll_args:
        if key not in poll_tool.parameters:
            allowed = ", ".join(poll_tool.parameters) or "none"
            yield f"{where}.poll_args.{key}: {block.poll} has no such parameter; it has {allowed}"
    for key, parameter in poll_tool.parameters.items():
        if parameter.required and key not in block.poll_args:
            yield f"{where}.poll_args: {block.poll} needs {key}"


def _match_problems(manifest: Manifest, tool: ToolManifest, match: Match, where: str) -> Iterator[str]:
    for key, problem in match_problems(match):
        yield f"{where}.{key}: {problem}"
    if OPERATORS[match.operator].takes_templates:
        key, value = match.operators()[match.operator], getattr(match, match.operator)
        for problem in template_problems(value, START_ROOTS):
            yield f"{where}.{key}: {problem}"
        yield from _name_problems(manifest, tool, value, f"{where}.{key}")


def _follow_up_problems(manifest: Manifest, tool: ToolManifest, follow_up: FollowUp, where: str) -> Iterator[str]:
    yield from _text_problems(manifest, tool, follow_up.message, f"{where}.message")
    yield from _text_problems(manifest, tool, follow_up.args, f"{where}.args")
    problem = tool_problem(follow_up.tool, manifest.tools) if follow_up.mode == "tool" else None
    if problem is not None:
        yield f"{where}.tool: {problem}"


def _text_problems(manifest: Manifest, tool: ToolManifest, value: object, where: str) -> Iterator[str]:
    for problem in template_problems(value, END_ROOTS):
        yield f"{where}: {problem}"
    yield from _name_problems(manifest, tool, value, where)
    for name in _named(value, "settings"):
        setting = manifest.settings.get(name)
        if setting is not None and setting.type == "secret":
            yield f"{where}: {{settings.{name}}} is a secret, and a message or a chained call would show it"


def _name_problems(manifest: Manifest, tool: ToolManifest | None, value: object, where: str) -> Iterator[str]:
    for name in _named(value, "settings"):
        if name not in manifest.settings:
            yield f"{where}: there is no setting {name!r}; the settings are {', '.join(manifest.settings) or 'none'}"
    if tool is None:
        return
    for name in _named(value, "args"):
        if name not in tool.parameters:
            yield f"{where}: there is no parameter {name!r}; the tool has {', '.join(tool.parameters) or 'none'}"


def _named(value: object, root: str) -> list[str]:
    """Return the names directly below a root that the templates of a value use, in order."""
    prefix = f"{root}."
    paths = template_paths(value)
    return sorted({path.removeprefix(prefix).split(".")[0] for path in paths if path.startswith(prefix)})
