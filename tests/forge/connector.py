"""A connector as Forge installs it: plain YAML of which what is not known is ignored, and requests sent over HTTP."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import httpx2
import yaml

from tests.forge.templates import LeftOut, at, fill, fill_url


class CallFailed(Exception):  # noqa: N818 - what a tool says when it failed
    """A tool failed."""


class Connector(Protocol):
    """What Forge needs of a connector."""

    tools: Mapping[str, Any]
    settings: Mapping[str, Any]

    async def call(self, tool: str, args: Mapping[str, Any]) -> Any:
        """Run a tool and return its answer; raises CallFailed."""
        ...


class HttpConnector:
    """A manifest whose requests carry their own headers."""

    def __init__(self, manifest: Path, settings: Mapping[str, Any], client: httpx2.AsyncClient) -> None:
        document = yaml.safe_load(manifest.read_text(encoding="utf-8"))
        self.tools: Mapping[str, Any] = document["tools"]
        self.settings = settings
        self._client = client

    async def call(self, tool: str, args: Mapping[str, Any]) -> Any:
        declared = self.tools[tool]
        parameters = declared.get("parameters", {})
        given = {name: parameter["default"] for name, parameter in parameters.items() if "default" in parameter}
        given |= {name: value for name, value in args.items() if value is not None}
        if missing := [name for name, each in parameters.items() if each.get("required") and name not in given]:
            raise CallFailed(f"missing {', '.join(missing)}")
        roots = {"settings": self.settings, "args": given}
        request = declared["request"]
        response = await self._client.request(
            request["method"],
            fill_url(request["url"], roots),
            params=fill(request.get("query", {}), roots) or None,
            headers=fill(request.get("headers", {}), roots),
            json=fill(request["body"], roots) if "body" in request else None,
        )
        if not response.is_success:
            raise CallFailed(f"HTTP {response.status_code}: {response.text}")
        return _shown(declared, response.json() if response.content else None)


def _shown(declared: Mapping[str, Any], answer: Any) -> Any:
    if "items_path" in declared:
        answer = at(declared["items_path"], answer)
    fields = declared.get("response_fields")
    if fields is None:
        return answer
    if isinstance(answer, list):
        return [_kept(item, fields) for item in answer]
    return _kept(answer, fields)


def _kept(item: Any, fields: list[str]) -> Any:
    kept = {}
    for field in fields:
        try:
            kept[field] = at(field, item)
        except LeftOut:
            continue
    return kept
