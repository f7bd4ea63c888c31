"""Templates: `{args.x}` and the like in texts and nested values, evaluated by look-up alone.

    {args.testbed}              an argument of the call that started the job
    {result.tasks.0.ip}         its answer
    {poll.per_device.0.ip}      the answer of the latest poll
    {settings.base_url}         a setting of the connector
    {poll_count} {max_polls}    numbers

A path is keys joined by dots; in a list a number is an index. There is no attribute access, no format specification and
no call, and what was filled in is never read as a template again: the data may be hostile, and stays data.

Two ways to evaluate: `render_value` is strict (arguments of a call: a missing value is an error, nothing is cut) and
`render_text` is lenient (messages to a reader: a missing value is said, everything is bounded, a cut is marked).
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping

from tp_mcp.connectors.findings import nearest_words
from tp_mcp.errors import WatchSpecError

ROOTS = ("args", "result", "poll", "settings", "poll_count", "max_polls")

MESSAGE_MAX_CHARACTERS = 2_000
"""Longest text that `render_text` returns, unless told otherwise."""

FILLED_MAX_CHARACTERS = 500
"""Longest text that one template in a message is replaced by."""

FILLED_FROM_OUTSIDE_MAX_CHARACTERS = 60
"""The same for what the answers of another system say, in a sentence that is ours: too short to say much of its own."""

FILLED_WORD_MAX_CHARACTERS = 120
"""The same where it is a single word, such as the path of a report."""

STRICT_MAX_CHARACTERS = 65_536
"""Longest text that `render_value` builds; a longer one is an error, because a cut argument is another argument."""

UNKNOWN = "unknown"

_TEMPLATE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)((?:\.[A-Za-z0-9_-]+)*)\}")
_NEAR_TEMPLATE = re.compile(rf"\{{\s*(?:{'|'.join(ROOTS)})\b[^{{}}\n]{{0,80}}\}}?")
_COUNTERS = frozenset({"poll_count", "max_polls"})
_FROM_OUTSIDE = frozenset({"result", "poll"})
_WORD = re.compile(r"[\w./:%+=,@~-]*")
_INDEX = re.compile(r"[0-9]{1,9}")


# No document can contain it.
_MISSING = object()


def texts_at(value: object, where: str) -> Iterator[tuple[str, str]]:
    """Yield all texts of a nested value that may hold templates, each with its key path below `where`."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts_at(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from texts_at(item, f"{where}.{index}")


def texts_of(value: object) -> Iterator[str]:
    """Yield all texts of a nested value that may hold templates, which keys never do."""
    return (text for _, text in texts_at(value, ""))


def template_roots(value: object) -> frozenset[str]:
    """Return the first names of all templates in a text or a nested value."""
    return frozenset(match[1] for text in texts_of(value) for match in _TEMPLATE.finditer(text))


def template_paths(value: object) -> frozenset[str]:
    """Return all templates in a text or a nested value, without their braces, such as `poll.status`."""
    return frozenset(match[1] + match[2] for text in texts_of(value) for match in _TEMPLATE.finditer(text))


def template_problems(value: object, allowed_roots: Collection[str]) -> tuple[str, ...]:
    """Say what is wrong with the templates in a text or a nested value; nothing is wrong where this is empty.

    Args:
        value: a text, or lists and mappings of them; other values hold no template.
        allowed_roots: the roots that have a value where this is evaluated, out of `ROOTS`.

    """
    allowed = [root for root in ROOTS if root in allowed_roots]
    problems: list[str] = []
    for text in texts_of(value):
        for match in _TEMPLATE.finditer(text):
            template, root, path = match[0], match[1], match[2]
            if root not in allowed:
                near = nearest_words(root, allowed) if root not in ROOTS else ""
                problems.append(f"{template} has no value here: a template begins with {_listed(allowed)}{near}")
            elif root in _COUNTERS and path:
                problems.append(f"{template}: {root} is a number and has no parts")
            elif root == "settings" and not path:
                problems.append(f"{template}: name one setting, such as {{settings.base_url}}")
        problems.extend(
            f"{match[0]} is not a template: inside the braces are names and numbers joined by dots alone"
            for match in _NEAR_TEMPLATE.finditer(text)
            if not _TEMPLATE.fullmatch(match[0])
        )
    return tuple(problems)


def lacks_value(text: str, roots: Mapping[str, object]) -> bool:
    """Return whether a template in a text has no value, or null, as an argument has that was left out."""
    found = (_look_up(match[1], match[2], roots) for match in _TEMPLATE.finditer(text))
    return any(value is None or value is _MISSING for value in found)


def render_each(text: str, roots: Mapping[str, object], written: Callable[[str, object], str]) -> str:
    """Fill the templates of a text that all have values, each as `written` puts its path and its value down."""
    return _TEMPLATE.sub(lambda match: written(match[1] + match[2], _look_up(match[1], match[2], roots)), text)


def look_up(path: str, value: object) -> object:
    """Return what is at a dotted path below a value; None where nothing is."""
    found = _look_up("value", f"value.{path}", {"value": value})
    return None if found is _MISSING else found


def render_value(value: object, roots: Mapping[str, object]) -> object:
    """Fill the templates of a JSON value, strictly.

    A text that is wholly one template becomes the value itself, with its type. Inside a longer text a value is written
    as text, and lists and objects as JSON. Keys of mappings are never templates. What comes out is JSON again: lists,
    dicts and scalars.

    Raises:
        WatchSpecError: a template has no value, or is null inside a longer text, or the text grows beyond
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
    """Fill the templates in the values of a mapping, such as the arguments of a call, as `render_value` does.

    Raises:
        WatchSpecError: as in `render_value`.

    """
    return {key: render_value(value, roots) for key, value in values.items()}


def render_text(template: str, roots: Mapping[str, object], *, max_characters: int = MESSAGE_MAX_CHARACTERS) -> str:
    """Fill the templates of a message for a reader, leniently: this never fails.

    What has no value, or null, reads "unknown"; an argument that was left out is simply empty. A value is put on one
    line, without control and invisible characters, and is cut at `FILLED_MAX_CHARACTERS`, or sooner where it comes from
    an answer; the whole is cut at `max_characters`.
    Both cuts say how much is missing. Spaces at the end of a line are dropped.
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
                remedy="Give it a value, or let the template stand alone.",
            )
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    filled = _TEMPLATE.sub(fill, text)
    if len(filled) > STRICT_MAX_CHARACTERS:
        raise WatchSpecError(
            f"A filled template has {len(filled):,} characters, and {STRICT_MAX_CHARACTERS:,} are allowed.",
            remedy="Use a template that names a smaller part.",
        )
    return filled


def _required(match: re.Match[str], roots: Mapping[str, object]) -> object:
    value = _look_up(match[1], match[2], roots)
    if value is _MISSING:
        raise WatchSpecError(
            f"The template {match[0]} has no value.",
            remedy=f"There is {_listed([root for root in ROOTS if root in roots])}; check the path below it.",
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
    # The mark's own length is subtracted for the largest number it can hold.
    kept = max(max_characters - len(_cut_mark(len(text))), 0)
    return (text[:kept] + _cut_mark(len(text) - kept))[:max_characters]


def _cut_mark(left_out: int) -> str:
    return f" [... {left_out:,} characters left out]"


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "nothing"
