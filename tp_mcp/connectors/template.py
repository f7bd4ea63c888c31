"""Templates: `{args.x}` and similar in texts and nested values, evaluated by look-up only.

    {args.testbed}              an argument of the call that started the job
    {result.tasks.0.ip}         its answer
    {poll.per_device.0.ip}      the answer of the latest poll
    {settings.base_url}         a setting of the connector
    {poll_count} {max_polls}    numbers

A path consists of keys joined by dots; a number is an index in a list. There is no attribute access, no format
specification and no call, and filled values are never parsed as templates again: they may be hostile, and stay data.

`render_value` is strict, for arguments of a call: a missing value is an error, and nothing is cut. `render_text` is
lenient, for messages to a reader: a missing value reads "unknown", and lengths are limited, with a mark at each cut.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping

from tp_mcp.connectors.findings import nearest_words
from tp_mcp.errors import WatchSpecError

ROOTS = ("args", "result", "poll", "settings", "poll_count", "max_polls")

MESSAGE_MAX_CHARACTERS = 2_000
"""Default limit of `render_text`'s result."""

FILLED_MAX_CHARACTERS = 500
"""Limit of one filled value in a message."""

FILLED_FROM_OUTSIDE_MAX_CHARACTERS = 60
"""The same for values from another system: too short for a message of their own inside our sentence."""

FILLED_WORD_MAX_CHARACTERS = 120
"""The same for single words, such as the path of a report."""

STRICT_MAX_CHARACTERS = 65_536
"""Limit of a text that `render_value` builds; a longer one is an error, because a cut argument would be another one."""

UNKNOWN = "unknown"

_TEMPLATE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)((?:\.[A-Za-z0-9_-]+)*)\}")
_NEAR_TEMPLATE = re.compile(rf"\{{\s*(?:{'|'.join(ROOTS)})\b[^{{}}\n]{{0,80}}\}}?")
_COUNTERS = frozenset({"poll_count", "max_polls"})
_FROM_OUTSIDE = frozenset({"result", "poll"})
_WORD = re.compile(r"[\w./:%+=,@~-]*")
_INDEX = re.compile(r"[0-9]{1,9}")


# No document can contain this object.
_MISSING = object()


def texts_at(value: object, where: str) -> Iterator[tuple[str, str]]:
    """Yield all texts of a nested value that may contain templates, each with its key path below `where`."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts_at(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from texts_at(item, f"{where}.{index}")


def texts_of(value: object) -> Iterator[str]:
    """Yield all texts of a nested value that may contain templates; keys never do."""
    return (text for _, text in texts_at(value, ""))


def template_roots(value: object) -> frozenset[str]:
    """Return the roots of all templates in a text or a nested value."""
    return frozenset(path.partition(".")[0] for path in template_paths(value))


def template_paths(value: object) -> frozenset[str]:
    """Return the paths of all templates in a text or a nested value, such as `poll.status`."""
    return frozenset(match[1] + match[2] for text in texts_of(value) for match in _TEMPLATE.finditer(text))


def template_problems(value: object, allowed_roots: Collection[str]) -> tuple[str, ...]:
    """Return the problems of the templates in a text or a nested value; empty if all are valid.

    Args:
        value: text, or lists and mappings of texts; other values contain no templates.
        allowed_roots: roots that have a value at the time of evaluation, out of `ROOTS`.
    """
    allowed = [root for root in ROOTS if root in allowed_roots]
    problems: list[str] = []
    for text in texts_of(value):
        for match in _TEMPLATE.finditer(text):
            template, root, path = match[0], match[1], match[2]
            if root not in allowed:
                near = nearest_words(root, allowed) if root not in ROOTS else ""
                problems.append(f"{template} has no value here: a template starts with {_listed(allowed)}{near}")
            elif root in _COUNTERS and path:
                problems.append(f"{template}: {root} is a number and has no parts")
            elif root == "settings" and not path:
                problems.append(f"{template}: name one setting, such as {{settings.base_url}}")
        problems.extend(
            f"{match[0]} is not a template: braces may only contain names and numbers joined by dots"
            for match in _NEAR_TEMPLATE.finditer(text)
            if not _TEMPLATE.fullmatch(match[0])
        )
    return tuple(problems)


def lacks_value(text: str, roots: Mapping[str, object]) -> bool:
    """Return whether a template in a text has no value, or null, such as an omitted argument."""
    found = (_look_up(match[1], match[2], roots) for match in _TEMPLATE.finditer(text))
    return any(value is None or value is _MISSING for value in found)


def render_each(text: str, roots: Mapping[str, object], written: Callable[[str, object], str]) -> str:
    """Fill the templates of a text, which all have values; `written` formats each path and value."""
    return _TEMPLATE.sub(lambda match: written(match[1] + match[2], _look_up(match[1], match[2], roots)), text)


def look_up(path: str, value: object) -> object:
    """Return the value at a dotted path below a value; None if there is none."""
    found = _look_up("value", f"value.{path}", {"value": value})
    return None if found is _MISSING else found


def render_value(value: object, roots: Mapping[str, object]) -> object:
    """Fill the templates of a JSON value, strictly.

    A text that consists of one template becomes the value itself, with its type. Inside a longer text a value is
    converted to text, lists and objects to JSON. Keys of mappings are never templates. The result is JSON again: lists,
    dicts and scalars.

    Raises:
        WatchSpecError: a template has no value, or is null inside a longer text, or a text exceeds
            `STRICT_MAX_CHARACTERS`.
    """
    if isinstance(value, str):
        return _render_strictly(value, roots)
    if isinstance(value, list | tuple):
        return [render_value(item, roots) for item in value]
    if isinstance(value, Mapping):
        return render_mapping(value, roots)
    return value


def render_mapping(values: Mapping[str, object], roots: Mapping[str, object]) -> dict[str, object]:
    """Fill the templates in the values of a mapping, such as the arguments of a call, as `render_value` does."""
    return {key: render_value(value, roots) for key, value in values.items()}


def render_text(template: str, roots: Mapping[str, object], *, max_characters: int = MESSAGE_MAX_CHARACTERS) -> str:
    """Fill the templates of a message for a reader, leniently: this never fails.

    A missing value or null reads "unknown", except that an omitted argument is empty. A value is put on one line,
    without control and invisible characters, and cut at `FILLED_MAX_CHARACTERS`, or earlier if it comes from an answer;
    the whole text is cut at `max_characters`. Both cuts state the missing length. Spaces at the end of a line are
    removed.
    """
    filled = _TEMPLATE.sub(lambda match: _text_for_reader(match[1], match[2], roots), template)
    return _cut("\n".join(line.rstrip() for line in filled.split("\n")).strip(), max_characters)


def _look_up(root: str, path: str, roots: Mapping[str, object]) -> object:
    found = roots.get(root, _MISSING)
    for part in path.split(".")[1:]:
        if isinstance(found, Mapping):
            found = found.get(part, _MISSING)
        elif isinstance(found, list) and _INDEX.fullmatch(part) and int(part) < len(found):
            found = found[int(part)]
        else:
            return _MISSING
    return found


def _render_strictly(text: str, roots: Mapping[str, object]) -> object:
    whole = _TEMPLATE.fullmatch(text)
    if whole is not None:
        return _required(whole, roots)

    def fill(match: re.Match[str]) -> str:
        value = _required(match, roots)
        if value is None:
            raise WatchSpecError(
                f"{match[0]} is null and cannot be part of a text.",
                remedy="Give it a value, or use the template as the whole text.",
            )
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    filled = _TEMPLATE.sub(fill, text)
    if len(filled) > STRICT_MAX_CHARACTERS:
        raise WatchSpecError(
            f"A filled template has {len(filled):,} characters; the limit is {STRICT_MAX_CHARACTERS:,}.",
            remedy="Use a template for a smaller part.",
        )
    return filled


def _required(match: re.Match[str], roots: Mapping[str, object]) -> object:
    value = _look_up(match[1], match[2], roots)
    if value is _MISSING:
        raise WatchSpecError(
            f"The template {match[0]} has no value.",
            remedy=f"Available: {_listed([root for root in ROOTS if root in roots])}; check the path below it.",
        )
    return value


def _text_for_reader(root: str, path: str, roots: Mapping[str, object]) -> str:
    value = _look_up(root, path, roots)
    if value is None or value is _MISSING:
        return "" if root == "args" else UNKNOWN
    text = _plain(value)
    return _cut("".join(character if character.isprintable() else " " for character in text), _longest(root, text))


def _longest(root: str, text: str) -> int:
    if root not in _FROM_OUTSIDE:
        return FILLED_MAX_CHARACTERS
    return FILLED_WORD_MAX_CHARACTERS if _WORD.fullmatch(text) else FILLED_FROM_OUTSIDE_MAX_CHARACTERS


def _plain(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        return ", ".join(_plain(item) for item in value)
    return json.dumps(value, ensure_ascii=False)


def _cut(text: str, max_characters: int) -> str:
    if len(text) <= max_characters:
        return text
    # Subtract the mark's length for the largest number it may contain.
    kept = max(max_characters - len(_cut_mark(len(text))), 0)
    return (text[:kept] + _cut_mark(len(text) - kept))[:max_characters]


def _cut_mark(left_out: int) -> str:
    return f" [... {left_out:,} characters left out]"


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "nothing"
