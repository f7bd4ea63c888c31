"""What a request must be, beyond its shape."""

import re
from collections.abc import Iterator

from tp_mcp.connectors.findings import Finding
from tp_mcp.connectors.manifest import Manifest, Request, ToolManifest
from tp_mcp.connectors.names import name_problems, named
from tp_mcp.connectors.template import template_problems, template_roots, texts_at

_ROOTS = frozenset({"settings", "args"})
_ADDRESS = re.compile(r"(?:https?://|\{settings\.)")
_BEFORE_THE_PATH = re.compile(r"(?:[a-z]+://)?[^/?#]*")


def request_problems(manifest: Manifest, request: Request, tool: ToolManifest | None, where: str) -> Iterator[Finding]:
    """Yield what is wrong with a request; `tool` is None for the connection test's."""
    roots = _ROOTS if tool is not None else frozenset({"settings"})
    for place, text in texts_at(_parts(request), where):
        for problem in template_problems(text, roots):
            yield Finding(place, problem)
        yield from name_problems(manifest, tool, text, place)
    if not _ADDRESS.match(request.url) and not template_problems(request.url, roots):
        yield Finding(f"{where}.url", "must begin with http://, https:// or a setting such as {settings.base_url}")
    if request.body is not None and request.body_form is not None:
        yield Finding(f"{where}.body_form", "a request has body or body_form, not both")
    if isinstance(request.body_form, str) and not _is_one_template(request.body_form):
        yield Finding(f"{where}.body_form", "must be a mapping of keys and values, or one template that gives it")


def request_warnings(tool: ToolManifest, where: str) -> Iterator[Finding]:
    """Yield what is allowed in a tool's request and is probably not meant."""
    request = tool.request
    before_the_path = _BEFORE_THE_PATH.match(request.url)
    if before_the_path is not None and "args" in template_roots(before_the_path[0]):
        yield Finding(f"{where}.request.url", "an argument chooses the host; tp-mcp runs no such request")
    if request.method == "GET" and (request.body is not None or request.body_form is not None):
        yield Finding(f"{where}.request.method", "GET has a body, which many servers ignore")
    used = set(named(list(_parts(request).values()), "args"))
    for name, parameter in tool.parameters.items():
        if name not in used:
            # `instance` chooses among the settings of type instances, and appears in no template.
            if name != "instance":
                yield Finding(f"{where}.parameters.{name}", "is used nowhere in the request")
        elif parameter.url_encoding == "none" and name not in named(request.url, "args"):
            yield Finding(f"{where}.parameters.{name}.url_encoding", "only counts for what is put in the url")


def _parts(request: Request) -> dict[str, object]:
    return {
        "url": request.url,
        "query": request.query,
        "headers": request.headers,
        "body": request.body,
        "body_form": request.body_form,
    }


def _is_one_template(text: str) -> bool:
    return re.fullmatch(r"\{[^{}]+\}", text) is not None
