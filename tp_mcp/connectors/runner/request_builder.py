"""Construction of a request from its declaration, the settings and the arguments. Pure.

Arguments come from a model and are considered hostile: none of them can choose scheme, host or port, leave its path
segment, or add a header. Values in a URL are percent-encoded; with `url_encoding: none` they may contain slashes, but
nothing that starts a query, a fragment or another host.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from pydantic import JsonValue

from tp_mcp.connectors.manifest import Parameter, Request
from tp_mcp.connectors.template import lacks_value, render_each, render_value, template_paths
from tp_mcp.errors import ConfigurationError, InvalidArgumentError, UnsafeArgumentError

Roots = Mapping[str, object]

_ADDRESS = re.compile(r"https?://[^/?#]+", re.IGNORECASE)
_RAW = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@/%-]*")
_FIRST_ARGUMENT = re.compile(r"\{args\b")
_SLASHES = re.compile(r"[/\\]")
_DROPPED = object()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that is ready to be sent, with header names as declared. It may contain secrets."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None


def prepared(request: Request, parameters: Mapping[str, Parameter], roots: Roots) -> Prepared:
    """Return a request with filled templates.

    A part with an omitted argument or setting is dropped: a query key, a header, a field of a body or a form.

    Args:
        roots: values of `settings` and `args`.

    Raises:
        InvalidArgumentError: an argument that the URL needs was omitted, or cannot be part of a header.
        UnsafeArgumentError: an argument would change the target of the request.
        ConfigurationError: a setting cannot be part of the URL.
        WatchSpecError: a text exceeds the limit.
    """
    try:
        return _prepared(request, parameters, roots)
    except UnicodeEncodeError:
        raise InvalidArgumentError("An argument contains half a character, which cannot be sent.") from None
    except RecursionError:
        raise InvalidArgumentError("An argument is nested too deeply.") from None


def as_text(value: object) -> str:
    """Return a value for a URL, a header or a form: texts unchanged, other values as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _prepared(request: Request, parameters: Mapping[str, Parameter], roots: Roots) -> Prepared:
    headers = {name: _header(name, value) for name, value in _fields(request.headers, roots).items()}
    content: bytes | None = None
    if request.body is not None:
        body = _filled(request.body, roots)
        if body is not _DROPPED:
            content = json.dumps(body, ensure_ascii=False).encode()
            headers.setdefault("Content-Type", "application/json")
    elif request.body_form is not None:
        form = _filled(request.body_form, roots)
        content = _form(form).encode()
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    return Prepared(request.method, _url(request, parameters, roots), headers, content)


def filled_text(text: str, roots: Roots) -> str:
    """Return a text with filled templates; empty if one of them has no value."""
    filled = _filled(text, roots)
    return "" if filled is _DROPPED else as_text(filled)


def _filled(value: object, roots: Roots) -> object:
    if isinstance(value, str):
        return _DROPPED if lacks_value(value, roots) else render_value(value, roots)
    if isinstance(value, Mapping):
        return _fields(value, roots)
    if isinstance(value, list | tuple):
        return [item for each in value if (item := _filled(each, roots)) is not _DROPPED]
    return value


def _fields(values: Mapping[str, JsonValue] | Mapping[str, str], roots: Roots) -> dict[str, object]:
    return {name: item for name, value in values.items() if (item := _filled(value, roots)) is not _DROPPED}


def _form(form: object) -> str:
    if form is _DROPPED:
        return ""
    if not isinstance(form, Mapping):
        raise InvalidArgumentError("The fields of a form must be an object with names and values.")
    return _encoded(form)


def _encoded(fields: Mapping[str, object]) -> str:
    return "&".join(f"{quote(name, safe='')}={quote(as_text(value), safe='')}" for name, value in fields.items())


def _header(name: str, value: object) -> str:
    text = as_text(value)
    if not text.isprintable() or not text.isascii():
        raise InvalidArgumentError(
            f"The header {name} must be printable ASCII, without line breaks.", remedy="Omit the value."
        )
    return text


def _url(request: Request, parameters: Mapping[str, Parameter], roots: Roots) -> str:
    if lacks_value(request.url, roots):
        raise InvalidArgumentError(
            "An argument or a setting in the request's URL is missing.", remedy=f"The URL is {request.url}"
        )
    _check_address(request.url, roots)
    in_path = template_paths(request.url.partition("?")[0])
    url = render_each(request.url, roots, lambda path, value: _in_url(path, value, parameters, in_path=path in in_path))
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationError(
            "The URL of the request is invalid.", remedy="Check the connector's settings."
        ) from None
    # A server may treat an encoded slash as a slash.
    for segment in _SLASHES.split(unquote(parts.path)):
        if segment in {".", ".."}:
            raise UnsafeArgumentError(
                "The URL would contain '.' or '..' in its path, which leads elsewhere.",
                remedy="Pass a name without it.",
            )
    query = _encoded(_fields(request.query, roots))
    if not query:
        return url
    return f"{url}{'&' if parts.query else '?'}{query}"


def _check_address(template: str, roots: Roots) -> None:
    first = _FIRST_ARGUMENT.search(template)
    begin = render_each(template[: first.start()] if first else template, roots, lambda _path, value: as_text(value))
    address = _ADDRESS.match(begin)
    if address is None or not begin.isprintable() or " " in begin or "\\" in begin or "#" in begin:
        raise ConfigurationError(
            "The URL of the request does not start with http:// or https:// and a host.",
            remedy="Check the connector's settings; an argument cannot choose the host.",
        )
    if first is not None and begin[address.end() :][:1] not in {"/", "?"}:
        raise UnsafeArgumentError(
            "An argument is part of the URL's host.", remedy="The host must come from the connector's settings."
        )
    if "@" in address[0]:
        raise ConfigurationError("The URL of the request must not contain a user name or password.")


def _in_url(path: str, value: object, parameters: Mapping[str, Parameter], *, in_path: bool) -> str:
    root, _, name = path.partition(".")
    text = as_text(value)
    if root == "settings":
        # The user's own value: a URL, or a part of one.
        return text
    parameter = parameters.get(name.partition(".")[0])
    if parameter is None or parameter.url_encoding != "none":
        if in_path and not text:
            raise UnsafeArgumentError(f"{name} is empty, so the URL would address all objects.", remedy=f"Pass {name}.")
        return quote(text, safe="")
    if not _RAW.fullmatch(text) or "//" in text:
        raise UnsafeArgumentError(
            f"{name} may only contain characters of a path: letters, digits, slashes, but no query or fragment.",
            remedy="Percent-encode other characters.",
        )
    return text
