"""The HTTP application: MCP under `/mcp`, and whether the server is alive and ready."""

from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tp_mcp.server.app import TpServer
from tp_mcp.server.http.limits import MAX_BODY_BYTES, MAX_SESSIONS, SESSION_IDLE_SECONDS
from tp_mcp.server.http.readiness import Readiness

MCP_PATH = "/mcp"


def http_app(server: TpServer, readiness: Readiness, *, security: TransportSecuritySettings) -> Starlette:
    """Return the application of a server that answers to the names in `security`.

    Answers are event streams, so that a wait can tell its progress. Host and Origin headers are checked: a page in a
    browser must not speak to a server on the same machine.
    """
    app = server.streamable_http_app(
        streamable_http_path=MCP_PATH,
        json_response=False,
        max_request_body_size=MAX_BODY_BYTES,
        session_idle_timeout=SESSION_IDLE_SECONDS,
        max_sessions=MAX_SESSIONS,
        transport_security=security,
    )

    async def healthz(_: Request) -> Response:
        return JSONResponse({"alive": True})

    async def readyz(_: Request) -> Response:
        found = await readiness.look()
        return JSONResponse(
            {"ready": found.ready, "store": found.store, "tp": found.tp}, status_code=200 if found.ready else 503
        )

    app.router.routes += [Route("/healthz", healthz, methods=["GET"]), Route("/readyz", readyz, methods=["GET"])]
    return app
