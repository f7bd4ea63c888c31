"""Small HTTP servers that stand for other products, each on a port of this machine."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, Any, dict[str, str]]


@dataclass(frozen=True)
class Asked:
    """A request that arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Stub:
    """A server's address, and what it was asked."""

    url: str
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def serving(answer: Callable[[Asked], Answer]) -> Iterator[Stub]:
    """Serve on a free port."""
    stub = Stub("")

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, parts.path, query, headers, body)
            stub.asked.append(asked)
            status, value, extra = answer(asked)
            content = b"" if value is None else json.dumps(value).encode()
            self.send_response(status)
            for name, text in {
                "Content-Type": "application/json",
                "Content-Length": str(len(content)),
                **extra,
            }.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _handle  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield stub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def refused(status: int, why: str) -> Answer:
    return status, {"error": why}, {}


class CiServer:
    """Builds wait for two looks, then run for two looks, and end as told."""

    def __init__(self, result: str = "SUCCESS") -> None:
        self.result = result
        self.looks = 0

    def __call__(self, asked: Asked) -> Answer:
        expected = "Basic " + base64.b64encode(b"ann:ci-s3cret").decode()
        if asked.headers.get("authorization") != expected:
            return refused(401, "who are you?")
        match asked.method, asked.path:
            case "GET", "/api/json":
                return 200, {"node": {"name": "main"}, "executors": 4}, {}
            case "POST", "/job/team/job/app/buildWithParameters":
                return 201, {"queue_id": 31}, {"Location": "/queue/item/31/"}
            case "GET", "/queue/item/31/api/json":
                return 200, self._item(), {}
            case "GET", "/job/team/job/app/118/api/json":
                return 200, self._build(), {}
        return refused(404, asked.path)

    def _item(self) -> dict[str, Any]:
        self.looks += 1
        if self.looks <= 2:
            return {"started": False, "why": "waiting for an executor"}
        return {"started": True, "why": None, "executable": {"number": 118}}

    def _build(self) -> dict[str, Any]:
        self.looks += 1
        if self.looks <= 6:
            return {"building": True, "result": None, "percent": self.looks * 10}
        return {"building": False, "result": self.result, "percent": 100}


class IssueTracker:
    """Five issues; one that is created is closed after `closed_after` looks."""

    def __init__(self, closed_after: int = 2) -> None:
        self.closed_after = closed_after
        self.looks = 0

    def __call__(self, asked: Asked) -> Answer:
        if asked.headers.get("private-token") != "issues-s3cret":
            return refused(401, f"not {asked.headers.get('private-token')}")
        match asked.method, asked.path:
            case "GET", "/api/user":
                return 200, {"username": "ann"}, {}
            case "GET", "/api/issues":
                return self._page(asked.query)
            case "POST", "/api/issues":
                return 201, {"iid": 9, **json.loads(asked.body)["issue"]}, {}
            case "GET", "/api/issues/9":
                self.looks += 1
                closed = {"state": "closed", "closed_by": {"name": "Lee"}}
                return 200, closed if self.looks > self.closed_after else {"state": "open"}, {}
        return refused(404, asked.path)

    @staticmethod
    def _page(query: dict[str, str]) -> Answer:
        page, size = int(query["page"]), int(query["per_page"])
        issues = [
            {"iid": number, "title": f"Issue {number}", "author": {"name": "Ann", "mail": "a@x"}, "body": "long" * 99}
            for number in range(1, 6)
        ]
        rows = issues[(page - 1) * size : page * size]
        following = str(page + 1) if page * size < len(issues) else ""
        return 200, {"data": {"issues": rows}}, {"X-Total": "5", "X-Next-Page": following}


class Scanner:
    """Exchanges tokens, each good for three requests; scans end at the fourth look."""

    def __init__(self, phase: str = "FINISHED") -> None:
        self.phase = phase
        self.looks = 0
        self.exchanged = 0
        self.left = 0

    def __call__(self, asked: Asked) -> Answer:
        if asked.path == "/tokens/authenticate":
            if asked.headers.get("authorization") != "token scan-s3cret" or asked.method != "POST":
                return refused(401, "wrong token")
            self.exchanged += 1
            self.left = 3
            return 200, {"bearerToken": f"bearer-{self.exchanged}-abcdef", "expiresInMilliseconds": 7_200_000}, {}
        self.left -= 1
        if asked.headers.get("authorization") != f"Bearer bearer-{self.exchanged}-abcdef" or self.left < 0:
            return refused(401, f"expired: {asked.headers.get('authorization')}")
        match asked.method, asked.path:
            case "PUT", "/projects/a%2Fb/scan":
                return 202, {"phase": "QUEUED"}, {}
            case "GET", "/projects/a%2Fb/scan":
                self.looks += 1
                scan: dict[str, Any] = {"phase": "RUNNING"}
                if self.looks > 3:
                    scan = {"phase": self.phase, "count": 2, "findings": [{"severity": "HIGH"}, {"severity": "LOW"}]}
                return 200, {"scan": scan, "links": ["x"] * 50}, {}
        return refused(404, asked.path)
