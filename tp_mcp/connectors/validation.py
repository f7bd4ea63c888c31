"""Checks of a manifest that concern several of its parts."""

import re
from collections.abc import Iterator, Mapping

from tp_mcp.connectors.findings import Finding, nearest_words
from tp_mcp.connectors.follow_up import tool_problem
from tp_mcp.connectors.manifest import (
    AsyncBlock,
    FollowUp,
    Manifest,
    Match,
    Parameter,
    Request,
    Setting,
    ToolManifest,
    is_of,
)
from tp_mcp.connectors.match import OPERATORS, match_problems
from tp_mcp.connectors.template import template_paths, template_problems, template_roots, texts_at

_ROOTS = frozenset({"settings", "args"})
_ADDRESS = re.compile(r"(?:https?://|\{settings\.)")
_BEFORE_THE_PATH = re.compile(r"(?:[a-z]+://)?[^/?#]*")


def request_problems(manifest: Manifest, request: Request, tool: ToolManifest | None, where: str) -> Iterator[Finding]:
    """Yield the problems of a request; `tool` is None for the connection test's request."""
    roots = _ROOTS if tool is not None else frozenset({"settings"})
    for place, text in texts_at(_parts(request), where):
        for problem in template_problems(text, roots):
            yield Finding(place, problem)
        yield from _name_problems(manifest, tool, text, place)
    if not _ADDRESS.match(request.url) and not template_problems(request.url, roots):
        yield Finding(f"{where}.url", "must begin with http://, https:// or a setting such as {settings.base_url}")
    if request.body is not None and request.body_form is not None:
        yield Finding(f"{where}.body_form", "a request takes either body or body_form")
    if isinstance(request.body_form, str) and not re.fullmatch(r"\{[^{}]+\}", request.body_form):
        yield Finding(f"{where}.body_form", "must be a mapping of keys and values, or a single template")


def request_warnings(tool: ToolManifest, where: str) -> Iterator[Finding]:
    """Yield valid parts of a tool's request that are probably unintended."""
    request = tool.request
    before_the_path = _BEFORE_THE_PATH.match(request.url)
    if before_the_path is not None and "args" in template_roots(before_the_path[0]):
        yield Finding(f"{where}.request.url", "an argument chooses the host; tp-mcp does not send such a request")
    if request.method == "GET" and (request.body is not None or request.body_form is not None):
        yield Finding(f"{where}.request.method", "GET has a body, which many servers ignore")
    used = set(_named(list(_parts(request).values()), "args"))
    for name, parameter in tool.parameters.items():
        if name not in used:
            # `instance` selects an instance of type instances, and appears in no template.
            if name != "instance":
                yield Finding(f"{where}.parameters.{name}", "is not used in the request")
        elif parameter.url_encoding == "none" and name not in _named(request.url, "args"):
            yield Finding(f"{where}.parameters.{name}.url_encoding", "only affects parameters in the url")


def _parts(request: Request) -> dict[str, object]:
    return {
        "url": request.url,
        "query": request.query,
        "headers": request.headers,
        "body": request.body,
        "body_form": request.body_form,
    }


START_ROOTS = frozenset({"settings", "args", "result"})
END_ROOTS = frozenset({"settings", "args", "result", "poll", "poll_count", "max_polls"})


def manifest_problems(manifest: Manifest) -> Iterator[Finding]:
    """Yield all problems that make a manifest unusable."""
    for name, setting in manifest.settings.items():
        yield from _setting_problems(setting, f"settings.{name}")
    if manifest.auth is not None:
        texts = manifest.auth.model_dump(exclude={"type", "bearer_path", "expires_path"}, exclude_none=True)
        for key, value in texts.items():
            yield from _text_problems(manifest, None, value, f"auth.{key}", frozenset({"settings"}))
    if manifest.test is not None:
        yield from request_problems(manifest, manifest.test.request, None, "test.request")
    for name, tool in manifest.tools.items():
        for key, parameter in tool.parameters.items():
            yield from _value_problems(parameter, f"tools.{name}.parameters.{key}")
        yield from request_problems(manifest, tool.request, tool, f"tools.{name}.request")
        if tool.async_block is not None:
            yield from _async_problems(manifest, tool, tool.async_block, f"tools.{name}.async")


def manifest_warnings(manifest: Manifest) -> Iterator[Finding]:
    """Yield valid parts of a manifest that are probably unintended."""
    for name, tool in manifest.tools.items():
        yield from request_warnings(tool, f"tools.{name}")
        block = tool.async_block
        if block is None or block.max_polls is None:
            continue
        reach = block.max_polls * block.interval_sec
        if reach < block.timeout_sec:
            yield Finding(
                f"tools.{name}.async.max_polls",
                f"{block.max_polls} polls every {block.interval_sec:g} s end after {reach:g} s, before timeout_sec "
                f"({block.timeout_sec:g} s)",
            )


def _setting_problems(setting: Setting, where: str) -> Iterator[Finding]:
    yield from _value_problems(setting, where)
    for name, field in (setting.fields or {}).items():
        yield from _setting_problems(field, f"{where}.fields.{name}")


def _value_problems(value: Setting | Parameter, where: str) -> Iterator[Finding]:
    if value.type == "select" and not value.options:
        yield Finding(where, "type select needs options")
    if value.default is None:
        return
    if not is_of(value.type, value.default):
        yield Finding(f"{where}.default", f"must be of type {value.type}")
    elif value.options and value.default not in value.options:
        yield Finding(f"{where}.default", f"must be one of the options: {', '.join(map(str, value.options))}")


def _async_problems(manifest: Manifest, tool: ToolManifest, block: AsyncBlock, where: str) -> Iterator[Finding]:
    yield from _poll_problems(manifest, block, where)
    yield from _text_problems(manifest, tool, block.poll_args, f"{where}.poll_args", START_ROOTS)
    for key, match in (("done_match", block.done_match), ("fail_match", block.fail_match)):
        if match is not None:
            yield from _match_problems(manifest, tool, match, f"{where}.{key}")
    for key, follow_up in (("on_done", block.on_done), ("on_fail", block.on_fail)):
        if follow_up is not None:
            yield from _follow_up_problems(manifest, tool, follow_up, f"{where}.{key}")
    progress = block.progress.message if block.progress is not None else ""
    yield from _shown_problems(manifest, tool, progress, f"{where}.progress.message")


def _poll_problems(manifest: Manifest, block: AsyncBlock, where: str) -> Iterator[Finding]:
    poll_tool = manifest.tools.get(block.poll)
    if poll_tool is None:
        yield Finding(f"{where}.poll", str(tool_problem(block.poll, manifest.tools)))
        return
    if poll_tool.destructive:
        yield Finding(f"{where}.poll", f"{block.poll} is destructive; polling it would repeat the change")
    for key in block.poll_args:
        if key not in poll_tool.parameters:
            allowed = ", ".join(poll_tool.parameters) or "none"
            near = nearest_words(key, poll_tool.parameters)
            yield Finding(f"{where}.poll_args.{key}", f"{block.poll} has no such parameter{near}; it has {allowed}")
    for key, parameter in poll_tool.parameters.items():
        if parameter.required and key not in block.poll_args:
            yield Finding(f"{where}.poll_args", f"{block.poll} needs {key}")


def _match_problems(manifest: Manifest, tool: ToolManifest, match: Match, where: str) -> Iterator[Finding]:
    for key, problem in match_problems(match):
        yield Finding(f"{where}.{key}", problem)
    if OPERATORS[match.operator].takes_templates:
        key, value = match.operators()[match.operator], getattr(match, match.operator)
        yield from _text_problems(manifest, tool, value, f"{where}.{key}", START_ROOTS)


def _follow_up_problems(manifest: Manifest, tool: ToolManifest, follow_up: FollowUp, where: str) -> Iterator[Finding]:
    yield from _shown_problems(manifest, tool, follow_up.message, f"{where}.message")
    yield from _shown_problems(manifest, tool, follow_up.args, f"{where}.args")
    problem = tool_problem(follow_up.tool, manifest.tools) if follow_up.mode == "tool" else None
    if problem is not None:
        yield Finding(f"{where}.tool", problem)


def _shown_problems(manifest: Manifest, tool: ToolManifest, value: object, where: str) -> Iterator[Finding]:
    yield from _text_problems(manifest, tool, value, where, END_ROOTS)
    settings = _setting_names(manifest)
    for place, name in ((place, name) for place, text in texts_at(value, where) for name in _named(text, "settings")):
        if name in settings and settings[name].type == "secret":
            yield Finding(place, f"{{settings.{name}}} is a secret, which a message or a chained call would reveal")


def _text_problems(
    manifest: Manifest, tool: ToolManifest | None, value: object, where: str, roots: frozenset[str]
) -> Iterator[Finding]:
    for place, text in texts_at(value, where):
        for problem in template_problems(text, roots):
            yield Finding(place, problem)
        yield from _name_problems(manifest, tool, text, place)


def _setting_names(manifest: Manifest) -> Mapping[str, Setting]:
    """Return all settings that a template may name, including those of an instance."""
    names: dict[str, Setting] = {}
    for setting in manifest.settings.values():
        names.update(setting.fields or {})
    return {**names, **manifest.settings}


def _named(value: object, root: str) -> list[str]:
    """Return the names directly below a root in the templates of a value, in order."""
    prefix = f"{root}."
    paths = template_paths(value)
    return sorted({path.removeprefix(prefix).split(".")[0] for path in paths if path.startswith(prefix)})


def _name_problems(manifest: Manifest, tool: ToolManifest | None, value: object, where: str) -> Iterator[Finding]:
    """Yield the unknown settings and parameters in the templates of a value."""
    settings = _setting_names(manifest)
    for name in _named(value, "settings"):
        if name not in settings:
            near, all_names = nearest_words(name, settings), ", ".join(settings) or "none"
            yield Finding(where, f"there is no setting {name!r}{near}; the settings are {all_names}")
    if tool is None:
        return
    for name in _named(value, "args"):
        if name not in tool.parameters:
            near, all_names = nearest_words(name, tool.parameters), ", ".join(tool.parameters) or "none"
            yield Finding(where, f"there is no parameter {name!r}{near}; the tool has {all_names}")
