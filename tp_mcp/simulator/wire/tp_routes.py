"""The endpoints of TP's automation API and of its companion API."""

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from tp_mcp.simulator.executions.execution import read_exec_id
from tp_mcp.simulator.refusals import Reason, Refusal
from tp_mcp.simulator.request_log import KILL_EXECUTION, LOCK_LAB, START_PYTEST, START_UPGRADE, UNAUTHORIZED
from tp_mcp.simulator.token_issuer import BadTokenError
from tp_mcp.simulator.wire import control_plane
from tp_mcp.simulator.wire.fault_layer import FaultLayer
from tp_mcp.simulator.wire.responses import (
    bad_token,
    bearer,
    error,
    json_object,
    login_page,
    login_redirect,
    not_found,
    refused,
    written,
)

if TYPE_CHECKING:
    from starlette.requests import Request

    from tp_mcp.simulator.platform import Platform

JSON = "application/json"
_REPORT = re.compile(r"test_(\d+)_report_")
Endpoint = Callable[["Request"], Awaitable["Response"]]


def routes(platform: "Platform") -> list[Route]:
    """Return TP's routes; their names are those that faults and the request log use."""
    api = Endpoints(platform)
    return [
        Route("/token-auth/", api.token_auth, methods=["POST"], name="token_auth"),
        Route("/login/", api.login, name="login"),
        Route("/adc/automation/upgrade/", api.start_upgrade, methods=["POST"], name=START_UPGRADE),
        Route("/adc/automation/upgrade/{testbed:path}/", api.get_upgrade, name="get_upgrade"),
        Route("/adc/automation/pytest/", api.start_pytest, methods=["POST"], name=START_PYTEST),
        Route("/adc/automation/pytest/{exec_id:path}/", api.get_execution, name="get_execution"),
        Route("/adc/get_testcases", api.get_testcases, name="get_testcases"),
        Route("/adc/get_automation_lab", api.list_labs, methods=["POST"], name="list_labs"),
        Route("/adc/automation_lock", api.lock_lab, methods=["POST"], name=LOCK_LAB),
        Route("/adc/automation-verion/", api.list_versions, name="list_versions"),
        Route("/adc/get_test_result", api.list_executions, methods=["POST"], name="list_executions"),
        Route("/adc/test_exec_kill", api.kill_execution, methods=["POST"], name=KILL_EXECUTION),
        Route("/data/AutomationTest/{name:path}", api.get_report, name="get_report"),
    ]


class Endpoints:
    """One method per endpoint. All but the login ask for a token."""

    def __init__(self, platform: "Platform") -> None:
        self._platform = platform

    async def token_auth(self, request: "Request") -> "Response":
        """Mint a token."""
        state = self._platform.state
        if state.sso_only:
            return login_redirect(request.url.path)
        body = await json_object(request)
        user = state.user_with(body.get("username"), body.get("password"))
        return JSONResponse({"token": self._platform.tokens.mint(user)})

    async def login(self, _: "Request") -> "Response":
        """Show the login page of the single sign-on."""
        return login_page()

    async def start_upgrade(self, request: "Request") -> "Response":
        """Dispatch an upgrade."""
        username, body = await self._write(request, START_UPGRADE)
        return JSONResponse(self._platform.state.start_upgrade(username, body), 202)

    async def get_upgrade(self, request: "Request") -> "Response":
        """Show a testbed's upgrade."""
        state = self._platform.state
        lab = state.lab_for(self._caller(request), request.path_params["testbed"])
        return JSONResponse(state.testbeds.view(lab, state.clock.now()))

    async def start_pytest(self, request: "Request") -> "Response":
        """Start an execution."""
        username, body = await self._write(request, START_PYTEST)
        execution = self._platform.start_execution(username, body)
        answer = {
            "exec_id": execution.exec_id,
            "status": execution.status,
            "lab": execution.lab,
            "testcase_count": len(execution.testcase),
        }
        return JSONResponse(answer, 202)

    async def get_execution(self, request: "Request") -> "Response":
        """Show an execution."""
        username = self._caller(request)
        exec_id = read_exec_id(request.path_params["exec_id"])
        self._platform.state.execution_for(username, exec_id)
        return JSONResponse(self._platform.workers.look(exec_id).view())

    async def get_testcases(self, request: "Request") -> "Response":
        """Show the whole test tree, after a pull of the tests' mirror."""
        self._caller(request)
        return JSONResponse(await self._platform.testcases())

    async def list_labs(self, request: "Request") -> "Response":
        """List the labs that a user may use."""
        user = await self._user(request)
        self._platform.workers.settle()
        return Response(self._platform.state.labs_of(user), media_type=JSON)

    async def lock_lab(self, request: "Request") -> "Response":
        """Mark a lab as taken, or free it."""
        username, body = await self._write(request, LOCK_LAB)
        return JSONResponse(dict(self._platform.state.lock_lab(username, body)))

    async def list_versions(self, request: "Request") -> "Response":
        """List the versions that the automation knows."""
        self._caller(request)
        return JSONResponse(sorted({build.version for build in self._platform.state.builds.builds.values()}))

    async def list_executions(self, request: "Request") -> "Response":
        """List a user's executions, the newest first."""
        user = await self._user(request)
        self._platform.workers.look_at_those_of(user)
        return Response(self._platform.state.executions_of(user), media_type=JSON)

    async def kill_execution(self, request: "Request") -> "Response":
        """End a running execution."""
        username, body = await self._write(request, KILL_EXECUTION)
        execution = await self._platform.kill_execution(username, body)
        return JSONResponse({"id": execution.exec_id, "status": execution.status})

    async def get_report(self, request: "Request") -> "Response":
        """Serve the report of an execution: only a path that belongs to one is ever opened."""
        username = self._caller(request)
        name = request.path_params["name"]
        asked = f"data/AutomationTest/{name}"
        path = self._platform.controller.server_root / asked
        found = _REPORT.match(name)
        if found is None:
            return error(404, "report not found")
        execution = self._platform.state.execution_for(username, read_exec_id(found[1]))
        if execution.report_file_path != asked or not path.is_file():
            return error(404, "report not found")
        return FileResponse(path, media_type="text/html")

    def _caller(self, request: "Request") -> str:
        return self._platform.tokens.username(bearer(request))

    async def _write(self, request: "Request", endpoint: str) -> tuple[str, dict[str, Any]]:
        record = self._platform.state.record
        try:
            username = self._caller(request)
        except BadTokenError as problem:
            record.refuse(endpoint, "", await written(request), UNAUTHORIZED, str(problem))
            raise
        with record.refusing(endpoint, username, {}):
            return username, await json_object(request)

    async def _user(self, request: "Request") -> str:
        self._caller(request)
        user: Any = (await json_object(request)).get("user")
        if not isinstance(user, str) or not user:
            raise Refusal(Reason.INVALID, "user (string) is required")
        return user


def build_application(platform: "Platform") -> FaultLayer:
    """Return the application of one simulated TP."""
    of_tp = routes(platform)
    application = Starlette(
        routes=[*control_plane.routes(platform, frozenset(route.name for route in of_tp)), *of_tp],
        exception_handlers={Refusal: refused, BadTokenError: bad_token, 404: not_found},
    )
    application.router.redirect_slashes = False
    return FaultLayer(application, platform, of_tp)
