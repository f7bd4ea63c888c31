"""Follow-ups of a watch that a caller chose: a message, or a tool call.

    {mode: chat, message: "{args.testbed} is on build {poll.per_device.0.last_build_number}"}
    {mode: tool, tool: run_pytest, args: {lab: "{args.testbed}", testcase: ["Tests_CLI"]}}

A follow-up is checked before the job starts, because otherwise its errors would appear only at the end of the job. Its
templates are filled at the end, strictly, from the call that started the job (`args`), its answer (`result`) and the
latest poll's answer (`poll`). Settings are not available, because some are secret.
"""

import json
from collections.abc import Collection, Iterator, Mapping

from tp_mcp.connectors.findings import nearest_words
from tp_mcp.connectors.manifest import FollowUp
from tp_mcp.connectors.template import render_value, template_paths, template_problems, texts_of
from tp_mcp.errors import WatchSpecError

CHAIN_ROOTS = frozenset({"args", "result", "poll"})
"""Roots that templates of a caller's follow-up may use."""

ARGUMENTS_MAX_CHARACTERS = 65_536
"""Limit of a call's filled arguments, as JSON."""

_NOTHING_KNOWN: Mapping[str, object] = {}


def follow_up_problems(
    follow_up: FollowUp,
    *,
    tools: Collection[str],
    roots: Collection[str] = CHAIN_ROOTS,
    known: Mapping[str, object] = _NOTHING_KNOWN,
) -> tuple[str, ...]:
    """Return the problems of a follow-up, each as `<key>: <problem>`; empty if it is valid.

    Args:
        known: values of roots that are already known, such as `args`; a template without a value below one of them is a
            problem, because it will have none at the end either.
    """
    return tuple(_problems(follow_up, tools, roots, known))


def tool_problem(tool: str, tools: Collection[str]) -> str | None:
    """Return the problem of a tool that may not be called, with the nearest name and all names; None if it may."""
    if tool in tools:
        return None
    return f"there is no tool {tool!r}{nearest_words(tool, tools)}; the tools are {', '.join(sorted(tools)) or 'none'}"


def render_follow_up_args(follow_up: FollowUp, roots: Mapping[str, object]) -> dict[str, object]:
    """Return the arguments of the call, with filled templates.

    Args:
        follow_up: valid follow-up of mode `tool`.
        roots: values of `args`, `result` and `poll`.

    Raises:
        WatchSpecError: templates without a value, each with its argument; or arguments beyond
            `ARGUMENTS_MAX_CHARACTERS`. Nothing is cut, because a cut argument would be a different one.
    """
    rendered: dict[str, object] = {}
    problems: list[str] = []
    for name, value in follow_up.args.items():
        try:
            rendered[name] = render_value(value, roots)
        except WatchSpecError as error:
            problems.append(f"args.{name}: {error}")
    if problems:
        raise WatchSpecError(
            f"{follow_up.tool} was not called: its arguments cannot be filled. {' '.join(problems)}",
            remedy=f"Call {follow_up.tool} yourself.",
        )
    if not _fits(rendered):
        raise WatchSpecError(
            f"{follow_up.tool} was not called: its filled arguments exceed {ARGUMENTS_MAX_CHARACTERS:,} characters.",
            remedy=f"Call {follow_up.tool} yourself, with smaller arguments.",
        )
    return rendered


def _problems(
    follow_up: FollowUp, tools: Collection[str], roots: Collection[str], known: Mapping[str, object]
) -> Iterator[str]:
    for key in follow_up.model_extra or {}:
        yield f"{key}: is unknown; the keys are {', '.join(FollowUp.model_fields)}"
    if follow_up.mode == "tool":
        problem = tool_problem(follow_up.tool, tools)
        if problem is not None:
            yield f"tool: {problem}"
    else:
        # A caller who passes them expects the call.
        for key, given in (("tool", follow_up.tool), ("args", follow_up.args)):
            if given:
                yield f"{key}: mode chat calls no tool; omit it, or use mode tool"
    if not _fits(follow_up.args):
        yield f"args: more than {ARGUMENTS_MAX_CHARACTERS:,} characters as JSON"
    texts: dict[str, object] = {"message": follow_up.message}
    texts.update((f"args.{name}", value) for name, value in follow_up.args.items())
    for key, value in texts.items():
        for problem in (*template_problems(value, roots), *_missing(value, roots, known)):
            yield f"{key}: {problem}"


def _missing(value: object, roots: Collection[str], known: Mapping[str, object]) -> Iterator[str]:
    for text in texts_of(value):
        for path in sorted(template_paths(text)):
            root, template = path.partition(".")[0], f"{{{path}}}"
            if root not in roots or root not in known:
                continue
            try:
                # Null is valid as a whole argument, but not inside a longer text.
                render_value(template if text == template else f"- {template}", known)
            except WatchSpecError as error:
                yield str(error)


def _fits(arguments: Mapping[str, object]) -> bool:
    length = 0
    try:
        # In pieces: a large part may be used a thousand times, and is never written out in full.
        for piece in json.JSONEncoder(ensure_ascii=False).iterencode(dict(arguments)):
            length += len(piece)
            if length > ARGUMENTS_MAX_CHARACTERS:
                return False
    except RecursionError:
        return False
    return True
