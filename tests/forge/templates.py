"""Forge's templates and paths, written apart from this project's own, so that one mistake cannot hide another."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

TEMPLATE = re.compile(r"\{((?:settings|args|result|poll|poll_count|max_polls)(?:\.[\w-]+)*)\}")


class LeftOut(Exception):  # noqa: N818 - it is no error
    """A template has no value."""


def at(path: str, document: Any) -> Any:
    """Return what is at a dotted path, in which an index is a number."""
    for part in path.split("."):
        if isinstance(document, Mapping) and part in document:
            document = document[part]
        elif isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        else:
            raise LeftOut(path)
    return document


def fill(value: Any, roots: Mapping[str, Any]) -> Any:
    """Fill the templates of a request; what was left out drops its key."""
    if isinstance(value, str):
        if whole := TEMPLATE.fullmatch(value):
            return at(whole[1], roots)
        return TEMPLATE.sub(lambda match: text(at(match[1], roots)), value)
    if isinstance(value, dict):
        filled = {}
        for key, item in value.items():
            try:
                filled[key] = fill(item, roots)
            except LeftOut:
                continue
        return filled
    return [fill(item, roots) for item in value] if isinstance(value, list) else value


def fill_url(url: str, roots: Mapping[str, Any]) -> str:
    """Fill a URL; what is put in by an argument is percent-encoded."""

    def written(match: re.Match[str]) -> str:
        value = text(at(match[1], roots))
        return quote(value, safe="") if match[1].startswith("args.") else value

    return TEMPLATE.sub(written, url)


def say(message: str, roots: Mapping[str, Any]) -> str:
    """Fill a message; what has no value is left as it is written."""

    def written(match: re.Match[str]) -> str:
        try:
            return text(at(match[1], roots))
        except LeftOut:
            return match[0]

    return TEMPLATE.sub(written, message)


def text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
