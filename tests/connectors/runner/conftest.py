import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
import yaml

from tests.api.conftest import certificate, self_signed
from tests.support.clock import FakeClock, step_clock
from tp_mcp.connectors.loader import parse_manifest
from tp_mcp.connectors.runner import ConnectorRunner

__all__ = ["certificate", "self_signed"]

Answer = httpx2.Response | Exception | Callable[[httpx2.Request], httpx2.Response]


@dataclass
class Server:
    """Keeps every request and answers with what was laid out, the last answer again and again."""

    answers: list[Answer] = field(default_factory=lambda: [httpx2.Response(200, json={})])
    requests: list[httpx2.Request] = field(default_factory=list)
    clock: FakeClock = field(default_factory=step_clock)

    async def handle(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return answer(request)
        return httpx2.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def last(self) -> httpx2.Request:
        return self.requests[-1]

    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests]

    def runner(self, document: dict[str, Any], **settings: Any) -> ConnectorRunner:
        manifest = parse_manifest(yaml.safe_dump(document), source="lift.yaml").manifest
        return ConnectorRunner(manifest, settings, clock=self.clock, transport=httpx2.MockTransport(self.handle))

    def tool(self, request: dict[str, Any], *, settings: Any = None, **tool: Any) -> ConnectorRunner:
        """Return a runner of one tool, `call`, at http://lift.example."""
        declared: dict[str, Any] = {"base_url": {"type": "string"}, "token": {"type": "secret"}, **(settings or {})}
        document = {
            "id": "lift",
            "name": "Lift",
            "version": "1.0.0",
            "category": "connector",
            "mode": "server-side",
            "settings": declared,
            "tools": {
                "call": {
                    "description": "Calls it.",
                    "protocol": "http",
                    "request": {"method": "GET", "url": "{settings.base_url}/a", **request},
                    **tool,
                }
            },
        }
        return self.runner(document, base_url="http://lift.example", token="s3cret-token")


@pytest.fixture
def server() -> Server:
    return Server()
