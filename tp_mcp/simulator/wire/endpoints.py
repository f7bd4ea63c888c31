"""The endpoints of TP's automation API and of its companion API."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Route

from tp_mcp.simulator.refusals import Reason, Refusal
from tp_mcp.simulator.wire.answers import bearer, error, json_object, login_page, login_redirect

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from tp_mcp.simulator.simulator import Simulator

Endpoint = Callable[["Request"], Awaitable["Response"]]


def routes(simulator: "Simulator") -> list[Route]:
    """Return TP's routes; their names are those that faults and the request log use."""
    api = Endpoints(simulator)
    return [
        Route("/token-auth/", api.token_auth, methods=["POST"], name="token_auth"),
        Route("/login/", api.login, name="login"),
        Route("/adc/automation/upgrade/", api.start_upgrade, methods=["POST"], name="start_upgrade"),
        Route("/adc/automation/upgrade/{testbed:path}/", api.get_upgrade, name="get_upgrade"),
        Route("/adc/automation/pytest/", api.start_pytest, methods=["POST"], name="start_pytest"),
        Route("/adc/automation/pytest/{exec_id:path}/", api.get_execution, name="get_execution"),
        Route("/adc/get_testcases", api.get_testcases, name="get_testcases"),
        Route("/adc/get_automation_lab", api.list_labs, methods=["POST"], name="list_labs"),
        Route("/adc/automation-verion/", api.list_versions, name="list_versions"),
        Route("/adc/get_test_result", api.list_executions, methods=["POST"], name="list_executions"),
        Route("/adc/test_exec_kill", api.kill_execution, methods=["POST"], name="kill_execution"),
        Route("/data/AutomationTest/{name:path}", api.get_report, name="get_report"),
    ]


class Endpoints:
    """One method per endpoint. All but the login ask for a token."""

    def __init__(self, simulator: "Simulator") -> None:
        self._simulator = simulator

    async def token_auth(self, request: "Request") -> "Response":
        """Mint a token."""
        state = self._simulator.state
        if state.sso_only:
            return login_redirect(request.url.path)
        body = await json_object(request)
        user = state.user_with(body.get("username"), body.get("password"))
        return JSONResponse({"token": self._simulator.tokens.mint(user)})

    async def login(self, _: "Request") -> "Response":
        """Show the login page of the single sign-on."""
        return login_page()

    async def start_upgrade(self, request: "Request") -> "Response":
        """Dispatch an upgrade."""
        username = self._caller(request)
        return JSONResponse(self._simulator.state.start_upgrade(username, await json_object(request)), 202)

    async def get_upgrade(self, request: "Request") -> "Response":
        """Show a testbed's upgrade."""
        username = self._caller(request)
        return JSONResponse(self._simulator.state.upgrade(username, request.path_params["testbed"]))

    async def start_pytest(self, request: "Request") -> "Response":
        """Start an execution."""
        username = self._caller(request)
        execution = self._simulator.start_execution(username, await json_object(request))
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
        exec_id = _exec_id(request.path_params["exec_id"])
        self._simulator.state.execution_for(username, exec_id)
        return JSONResponse(self._simulator.workers.look(exec_id).view())

    async def get_testcases(self, request: "Request") -> "Response":
        """Show the whole test tree, after a pull of the tests' mirror."""
        self._caller(request)
        return JSONResponse(await self._simulator.testcases())

    async def list_labs(self, request: "Request") -> "Response":
        """List the labs that a user may use."""
        user = await self._user(request)
        self._simulator.workers.look_at_all()
        return JSONResponse(self._simulator.state.labs_of(user))

    async def list_versions(self, request: "Request") -> "Response":
        """List the versions that the automation knows."""
        self._caller(request)
        return JSONResponse(sorted({build.version for build in self._simulator.state.builds.builds.values()}))

    async def list_executions(self, request: "Request") -> "Response":
        """List a user's executions, the newest first."""
        user = await self._user(request)
        self._simulator.workers.look_at_all()
        return JSONResponse(self._simulator.state.executions_of(user))

    async def kill_execution(self, request: "Request") -> "Response":
        """End a running execution."""
        username = self._caller(request)
        exec_id = _exec_id((await json_object(request)).get("id"))
        self._simulator.state.execution_for(username, exec_id)
        execution = await self._simulator.workers.cancel(exec_id)
        return JSONResponse({"id": exec_id, "status": execution.status})

    async def get_report(self, request: "Request") -> "Response":
        """Serve the report of an execution: only a path that belongs to one is ever opened."""
        self._caller(request)
        asked = f"data/AutomationTest/{request.path_params['name']}"
        for execution in self._simulator.state.executions:
            if execution.report_file_path == asked:
                self._simulator.state.execution_for(self._caller(request), execution.exec_id)
                path = self._simulator.controller.server_root / asked
                if path.is_file():
                    return FileResponse(path, media_type="text/html")
        return error(404, "report not found")

    def _caller(self, request: "Request") -> str:
        return self._simulator.tokens.username(bearer(request))

    async def _user(self, request: "Request") -> str:
        self._caller(request)
        user: Any = (await json_object(request)).get("user")
        if not isinstance(user, str) or not user:
            raise Refusal(Reason.INVALID, "user (string) is required")
        return user


def _exec_id(text: object) -> int:
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    if isinstance(text, str) and text.isdecimal() and text.isascii() and len(text) < 19:
        return int(text)
    raise Refusal(Reason.UNKNOWN, f"execution {text} not found")
