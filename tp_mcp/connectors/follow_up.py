"""What follows the end of a watch, when a caller chose it: a message, or a further call of a tool.

    {mode: chat, message: "{args.testbed} is on build {poll.per_device.0.last_build_number}"}
    {mode: tool, tool: run_pytest, args: {lab: "{args.testbed}", testcase: ["Tests_CLI"]}}

It is checked before anything starts, because what it would get wrong otherwise shows only when the job has ended. Its
templates are filled at the end, strictly, from the call that started the job (`args`), its answer (`result`) and the
latest poll's answer (`poll`); settings are not among them, because some are secret.
"""

import json
from collections.abc import Collection, Iterator, Mapping

from tp_mcp.connectors.findings import nearest_words
from tp_mcp.connectors.manifest import FollowUp
from tp_mcp.connectors.template import render_value, template_paths, template_problems, texts_of
from tp_mcp.errors import WatchSpecError

CHAIN_ROOTS = frozenset({"args", "result", "poll"})
"""What the templates of a follow-up that a caller chose may use."""

ARGUMENTS_MAX_CHARACTERS = 65_536
"""Longest arguments of a further call, as JSON, once they are filled."""

_NOTHING_KNOWN: Mapping[str, object] = {}


def follow_up_problems(
    follow_up: FollowUp,
    *,
    tools: Collection[str],
    roots: Collection[str] = CHAIN_ROOTS,
    known: Mapping[str, object] = _NOTHING_KNOWN,
) -> tuple[str, ...]:
    """Say everything that is wrong with a follow-up, each as `<key>: <what>`; nothing is wrong where this is empty.

    Args:
        follow_up: what is to follow.
        tools: the tools that may be called.
        roots: the roots that templates may use.
        known: the values of roots that are known already, such as `args`: a template below one of them that has no
            value now will have none at the end.

    """
    return tuple(_problems(follow_up, tools, roots, known))


def tool_problem(tool: str, tools: Collection[str]) -> str | None:
    """Say that a tool is none of those that may be called, naming the nearest and all of them; None where it is one."""
    if tool in tools:
        return None
    return f"there is no tool {tool!r}{nearest_words(tool, tools)}; the tools are {', '.join(sorted(tools)) or 'none'}"


def render_follow_up_args(follow_up: FollowUp, roots: Mapping[str, object]) -> dict[str, object]:
    """Return the arguments of the further call, with their templates filled.

    Args:
        follow_up: one of mode `tool` that `follow_up_problems` has nothing against.
        roots: the values of `args`, `result` and `poll`.

    Raises:
        WatchSpecError: templates that have no value, all of them with the argument they are in; or arguments that
            grow beyond `ARGUMENTS_MAX_CHARACTERS`. Nothing is ever cut, because cut arguments are other arguments.

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
            f"{follow_up.tool} was to follow, and its arguments cannot be filled. {' '.join(problems)}",
            remedy=f"Call {follow_up.tool} yourself.",
        )
    if not _fits(rendered):
        raise WatchSpecError(
            f"{follow_up.tool} was to follow, and its filled arguments have more than {ARGUMENTS_MAX_CHARACTERS:,} "
            "characters.",
            remedy=f"Call {follow_up.tool} yourself, with what it needs alone.",
        )
    return rendered


def _problems(
    follow_up: FollowUp, tools: Collection[str], roots: Collection[str], known: Mapping[str, object]
) -> Iterator[str]:
    for key in follow_up.model_extra or {}:
        yield f"{key}: is not known here; there are {', '.join(FollowUp.model_fields)}"
    if follow_up.mode == "tool":
        problem = tool_problem(follow_up.tool, tools)
        if problem is not None:
            yield f"tool: {problem}"
    else:
        # A caller who gives them expects the call to be made.
        for key, given in (("tool", follow_up.tool), ("args", follow_up.args)):
            if given:
                yield f"{key}: mode chat calls no tool; leave it out, or give mode tool"
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
                # Null may be a whole argument, and may not be part of a longer text.
                render_value(template if text == template else f"- {template}", known)
            except WatchSpecError as error:
                yield str(error)


def _fits(arguments: Mapping[str, object]) -> bool:
    length = 0
    try:
        # Piece by piece: the same large part may be named a thousand times, and is never written out in full.
        for piece in json.JSONEncoder(ensure_ascii=False).iterencode(dict(arguments)):
            length += len(piece)
            if length > ARGUMENTS_MAX_CHARACTERS:
                return False
    except RecursionError:
        return False
    return True
