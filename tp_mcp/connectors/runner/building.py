"""Making a request of its declaration, the settings and the arguments. Pure.

The arguments come from a model and are hostile until proven otherwise: none of them can choose the scheme, the host or
the port, leave the path it stands in, or add a header. What is put in a URL is percent-encoded; with
`url_encoding: none` it may have slashes, and nothing that begins a query, a fragment or another host.
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
    """A request that is ready to be sent. It may hold secrets.

    Attributes:
        headers: names as declared.
        content: the body; None for none.

    """

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None


def prepared(request: Request, parameters: Mapping[str, Parameter], roots: Roots) -> Prepared:
    """Return a request with its templates filled.

    What an argument or a setting that was left out stands in is dropped: the key of a query, a header, a body's or a
    form's field.

    Args:
        request: as declared.
        parameters: those of the tool.
        roots: `settings` and `args`, and nothing else.

    Raises:
        InvalidArgumentError: an argument that the URL needs was left out, or cannot be written into a header.
        UnsafeArgumentError: an argument would change where the request goes.
        ConfigurationError: a setting cannot be used in the address.
        WatchSpecError: a text grows too long.

    """
    try:
        return _prepared(request, parameters, roots)
    except UnicodeEncodeError:
        raise InvalidArgumentError("An argument holds half a character, which cannot be sent.") from None
    except RecursionError:
        raise InvalidArgumentError("An argument is nested too deeply.") from None


def as_text(value: object) -> str:
    """Return a value as it stands in a URL, a header or a form: a text as it is, anything else as JSON."""
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
    """Return a text with its templates filled; empty where one of them has no value."""
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
        raise InvalidArgumentError("The fields of a form must be an object of names and values.")
    return _encoded(form)


def _encoded(fields: Mapping[str, object]) -> str:
    return "&".join(f"{quote(name, safe='')}={quote(as_text(value), safe='')}" for name, value in fields.items())


def _header(name: str, value: object) -> str:
    text = as_text(value)
    if not text.isprintable() or not text.isascii():
        raise InvalidArgumentError(
            f"What is put in the header {name} must be printable ASCII, without line breaks.", remedy="Leave it out."
        )
    return text


def _url(request: Request, parameters: Mapping[str, Parameter], roots: Roots) -> str:
    if lacks_value(request.url, roots):
        raise InvalidArgumentError(
            "An argument or a setting that the address needs was left out.", remedy=f"The address is {request.url}"
        )
    _check_address(request.url, roots)
    in_path = template_paths(request.url.partition("?")[0])
    url = render_each(request.url, roots, lambda path, value: _in_url(path, value, parameters, in_path=path in in_path))
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationError(
            "The address of the request cannot be read.", remedy="Check the connector's settings."
        ) from None
    # A server may take an encoded slash for a slash.
    for segment in _SLASHES.split(unquote(parts.path)):
        if segment in {".", ".."}:
            raise UnsafeArgumentError(
                "The address would have a '.' or '..' in its path, which leads elsewhere.",
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
            "The address of the request does not begin with http:// or https:// and a host.",
            remedy="Check the connector's settings; an argument cannot choose the host.",
        )
    if first is not None and begin[address.end() :][:1] not in {"/", "?"}:
        raise UnsafeArgumentError(
            "An argument stands where the host of the address is.", remedy="A host comes from the connector's settings."
        )
    if "@" in address[0]:
        raise ConfigurationError("The address of the request must not carry a user name or password.")


def _in_url(path: str, value: object, parameters: Mapping[str, Parameter], *, in_path: bool) -> str:
    root, _, name = path.partition(".")
    text = as_text(value)
    if root == "settings":
        # The user's own: an address, or a part of one.
        return text
    parameter = parameters.get(name.partition(".")[0])
    if parameter is None or parameter.url_encoding != "none":
        if in_path and not text:
            raise UnsafeArgumentError(
                f"{name} is empty, and the address would be that of all there are.", remedy="Name one."
            )
        return quote(text, safe="")
    if not _RAW.fullmatch(text) or "//" in text:
        raise UnsafeArgumentError(
            f"{name} may only have what a path has: letters, digits, slashes, and no query or fragment.",
            remedy="Percent-encode anything else.",
        )
    return text
